"""Labels that are merged, split and retired, from the command to the next dataset."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import collections
from core.label_set import LabelSet, Operation
from core.records.labels import AnnotationTask
from core.state import Retrains
from core.store import Store
from core.times import utc
from everloop.score import daily_scores
from flows.curate import gather
from flows.label_set import change, declared
from flows.labels import known_labels
from flows.monitor import look
from flows.retrain import retrain
from flows.session import Session, open_session
from pipelines.datasets.contents import TESTED, TRAIN, rows_here, show
from pipelines.datasets.verify import verify
from pipelines.labeling import Labeling
from pipelines.labeling.judgements import Judgement, take
from tests import ROOT
from tests.command_line import everloop
from tests.small_loop import job


def end_rollout(session: Session) -> None:
    """No retrain begins while one is under way."""
    live = session.store.decisions.live_rollout()
    if live:
        session.store.decisions.put_rollout(replace(live, stage="rolled_back"))


def test_a_change_of_labels_goes_through_the_loop(own: Path) -> None:
    session = open_session(own)
    end_rollout(session)
    counts = rows_here(session.workspace, TRAIN)["target"].value_counts()
    a, b, wide, gone = counts.index[:4]
    now = session.store.state.read(Retrains).last + timedelta(days=1)
    at = ("-w", str(own), "--now", now.isoformat())
    merged = everloop("label", "set", "merge", a, b, "--into", "both", "--why", "one thing", *at)
    assert merged.out == f"label set version 1: merge {a}, {b} into both\n"
    again = everloop("label", "set", "merge", a, b, "--into", "both", *at)
    assert again.out == merged.out
    parts = everloop("label", "set", "split", wide, "--into", "one", "--into", "other", *at)
    assert f"{counts[wide]} rows wait" in parts.out or "rows wait for a label" in parts.out
    everloop("label", "set", "retire", gone, *at)
    shown = everloop("label", "set", "-w", str(own)).out
    assert shown.startswith("version 3: ")
    assert f"merge {a}, {b} into both (one thing)" in shown

    refused = everloop("label", "set", "split", "both", "--into", "both", "--into", "x", *at)
    assert refused.code == 2
    assert "cannot be split into itself" in refused.err
    assert "Traceback" not in refused.err

    waiting = [r for r in session.store.reviews.open(500) if r.suggested == "one, other"]
    assert {r.label for r in waiting} == {wide}
    first = waiting[0].prediction_id
    told = everloop("label", "adjudicate", first, "one", *at)
    assert told.out == f"{first} is one, says adjudicator\n"
    late = everloop("label", "adjudicate", waiting[1].prediction_id, gone, *at)
    assert late.code == 2
    assert "was retired" in late.err
    renamed = everloop("label", "adjudicate", waiting[1].prediction_id, a, *at)
    assert renamed.out.endswith(" is both, says adjudicator\n")

    names = known_labels(session, LabelSet.load(own))
    assert {"both", "one", "other"} <= set(names)
    assert not {a, b, wide, gone} & set(names)
    assert declared(session, utc(now)) is None
    result = retrain(session, utc(now), "a new label set")
    train = rows_here(session.workspace, TRAIN)
    assert not {a, b, wide, gone} & set(train["target"])
    assert not {a, b, wide, gone} & set(session.registry.load(result["candidate"]).trained.labels)
    assert train.set_index("row_id")["target"].get(first) == "one"
    assert show(own, result["dataset"]).version.label_set == LabelSet.load(own).version == 3
    assert not [f for c in verify(own) for f in c.faults]
    session.store.close()


def test_an_imported_label_that_is_gone_is_refused_with_the_reason(store: Store) -> None:
    labels = LabelSet((Operation("retire", ("fax",), why="no fax any more"),))
    labels = labels.after(Operation("split", ("card",), ("lost", "fee")), ["card", "x"])
    found = [Judgement(1, "p1", "ana", "fax"), Judgement(2, "p2", "ana", "card")]
    done = take(found, store.under(labels), Labeling(), utc(datetime(2026, 1, 5, tzinfo=UTC)))
    assert [r.reason for r in done.refused] == [
        "'fax' was retired: no fax any more",
        "'card' was split: say which of lost, fee",
    ]


def test_a_candidate_is_tested_on_the_collections_of_its_version(own: Path, tmp_path: Path) -> None:
    session = open_session(own)
    end_rollout(session)
    train = rows_here(session.workspace, TRAIN)
    page = tmp_path / "hard.csv"
    train[["input", "target"]].set_axis(["text", "label"], axis=1).drop_duplicates("text").iloc[
        :3
    ].to_csv(page, index=False)
    collections.add(own, "hard-ones", page)
    now = session.store.state.read(Retrains).last + timedelta(days=1)
    made = retrain(session, utc(now), "collections")["dataset"]
    named = rows_here(session.workspace, TESTED)
    assert named.loc[named["set"] == "regression", "round"].tolist() == ["hard-ones"] * 3
    assert not set(named["input"]) & set(rows_here(session.workspace, TRAIN)["input"])
    decision = next(d for d in session.store.decisions.read() if d.key == f"testing/{made}")
    assert "collection hard-ones: " in decision.reason
    assert decision.evidence.stored()["collection.hard-ones_rows"] == 3
    (own / "data/collections/hard-ones.csv").unlink()
    end_rollout(session)
    retrain(session, utc(now) + timedelta(days=1), "none any more")
    assert "regression" not in set(rows_here(session.workspace, TESTED)["set"])
    assert not [f for c in verify(own) for f in c.faults]
    session.store.close()


def test_monitoring_reads_the_past_as_it_was_and_the_present_by_its_names(own: Path) -> None:
    """Of a merge the day after nothing is news: no shift of labels, no row of an unknown label, and what
    was right is right. A look at the time before it finds what it found."""
    session = open_session(own)
    last = utc(session.store.state.read(Retrains).last)
    now = last + timedelta(hours=1)
    before = {s.name: s for s in look(session, last).signals if not s.segment}
    window = session.store.at(last).answers.window(last - timedelta(days=1), last).rows
    a, b = window["output"].value_counts().index[:2]
    everloop("label", "set", "merge", a, b, "--into", "both", "-w", str(own), "--now", now.isoformat())
    assert {s.name: s for s in look(session, last).signals if not s.segment} == before

    merged = session.store.at(now)
    rows = merged.answers.window(last - timedelta(days=1), last).rows
    assert not {a, b} & set(rows["output"])
    seen = look(session, now)
    assert seen.view is not None
    assert "both" in seen.view.model.labels
    assert not {a, b} & set(seen.view.model.known)
    for window in (seen.view.window, seen.view.reference):
        assert not {a, b} & set(window.rows["output"])
    found = {s.name: s.value for s in seen.signals if not s.segment}
    assert (found["accuracy"] or 0) > (before["accuracy"].value or 1)  # a for b is right by now
    assert not [c for c in seen.view.checks if c.failed and "label" in c.name]
    pool = gather(session, last - timedelta(days=1), now)
    assert "both" in set(pool.known.labels)
    assert not {a, b} & set(pool.known.labels)
    session.store.close()


def test_a_replay_that_goes_on_is_scored_by_the_names_of_each_day(own: Path) -> None:
    session = open_session(own)
    last = utc(session.store.state.read(Retrains).last)
    start = last.replace(hour=0) - timedelta(days=2)
    stream = job(days=2).stream
    truth = dict(zip(stream["request_id"], stream["label"], strict=True))
    before = daily_scores(session, truth, start, 2)
    assert sum(d.requests for d in before) == len(stream)
    labels = sorted(set(truth.values()))
    change(
        session,
        Operation("merge", tuple(labels[:-1]), ("all",), (start + timedelta(days=1)).isoformat()),
    )
    after = daily_scores(session, truth, start, 2)
    assert after[0].right > before[0].right  # the day's end is when it changed
    assert [d.requests for d in after] == [d.requests for d in before]
    session.store.close()


def test_an_annotators_file_of_last_week(own: Path, tmp_path: Path) -> None:
    """Old names in what comes back: taken as new ones, or refused with what can be given instead."""
    session = open_session(own)
    last = utc(session.store.state.read(Retrains).last)
    now = ("-w", str(own), "--now", (last + timedelta(hours=1)).isoformat())
    rows = session.store.answers.window(last - timedelta(days=1), last).rows
    a, b, wide = sorted(known_labels(session, LabelSet()))[:3]
    free = [
        i for i in rows["prediction_id"] if i not in session.store.queue.ids(rows["prediction_id"])
    ][:3]
    session.store.queue.add([AnnotationTask(i, last, "r", "margin", 0.5, False) for i in free])
    page = tmp_path / "tasks.csv"
    everloop("label", "set", "merge", a, b, "--into", "both", *now)
    everloop("label", "set", "split", wide, "--into", "one", "--into", "other", *now)
    page.write_text(f"prediction_id,label\n{free[0]},{a}\n{free[1]},{b}\n{free[2]},{wide}\n")
    done = everloop("label", "import", str(page), *now)
    assert done.out == "2 new labels, 0 known already, 0 not filled in, 2 given under an old name\n"
    assert f"row 4: '{wide}' was split: say which of one, other" in done.err
    again = everloop("label", "import", str(page), *now).out
    assert again.startswith("0 new labels, 2 known already")
    out = tmp_path / "open.json"
    everloop("label", "export", str(out), "--format", "label-studio", *now)
    config = out.with_suffix(".xml").read_text()
    assert '"both"' in config
    assert f'"{a}"' not in config
    session.store.close()


MERGE = """
import sys
from pathlib import Path
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from core.label_set import Operation
from flows.session import Session, open_session
from flows.label_set import change
session = open_session(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(5):
    change(session, Operation("add", (f"{sys.argv[2]}{i}",), (), datetime(2026, 1, 5, tzinfo=UTC).isoformat()))
"""


@pytest.mark.slow
def test_two_at_once_lose_no_change(own: Path) -> None:
    commands = [[sys.executable, "-c", MERGE, str(own), who] for who in ("ana", "bob")]
    root = ROOT
    both = [
        subprocess.Popen(c, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for c in commands
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [p.wait(timeout=60) for p in both] == [0, 0]
    for process in both:
        process.communicate()
    operations = LabelSet.load(own).operations
    assert sorted(o.labels[0] for o in operations) == [
        f"{w}{i}" for w in ("ana", "bob") for i in range(5)
    ]
    assert {
        w: [o.labels[0][-1] for o in operations if o.labels[0][:3] == w] for w in ("ana", "bob")
    } == {
        "ana": [*"01234"],
        "bob": [*"01234"],
    }


def test_a_split_that_was_killed_is_finished_after_another_change(own: Path) -> None:
    session = open_session(own)
    wide, other = rows_here(session.workspace, TRAIN)["target"].value_counts().index[:2]
    split = Operation("split", (wide,), ("one", "two"), datetime(2026, 3, 1, tzinfo=UTC).isoformat())
    LabelSet((split,)).save(own)  # killed before the reviews were opened
    change(session, Operation("retire", (other,), (), split.at))
    labels, waiting = change(session, split)
    assert labels.version == 2
    assert waiting > 0
    assert {r.label for r in session.store.reviews.open(500) if r.suggested == "one, two"} == {wide}
    assert change(session, split) == (labels, 0)
    session.store.close()
