"""Labels that are merged, split and retired, from the command to the next dataset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from core import collections
from core.label_set import LabelSet, Operation
from core.records import utc
from core.store import Store
from flows.home import open_home
from flows.label_set import declared
from flows.labels import known_labels
from flows.retrain import retrain
from flows.state import progress_of
from pipelines.datasets.contents import TESTED, TRAIN, rows_here, show
from pipelines.datasets.verify import verify
from pipelines.labeling import Labeling
from pipelines.labeling.judgements import Judgement, take
from tests.code.command_line import everloop


def test_a_change_of_labels_goes_through_the_loop(own: Path) -> None:
    home = open_home(own)
    counts = rows_here(home.workspace, TRAIN)["label"].value_counts()
    a, b, wide, gone = counts.index[:4]
    now = datetime.fromisoformat(progress_of(home)["last"]) + timedelta(days=1)
    at = ("-w", str(own), "--now", now.isoformat())
    merged = everloop("label", "set", "merge", a, b, "--into", "both", "--why", "one thing", *at)
    assert merged.out == f"label set version 1: merge {a}, {b} into both\n"
    again = everloop("label", "set", "merge", a, b, "--into", "both", *at)
    assert again.out == merged.out
    parts = everloop("label", "set", "split", wide, "--into", "one", "--into", "other", *at)
    assert f"{counts[wide]} rows wait" in parts.out or "rows wait for a label" in parts.out
    everloop("label", "set", "retire", gone, *at)
    shown = everloop("label", "set", "show", "-w", str(own)).out
    assert shown.startswith("version 3: ")
    assert f"merge {a}, {b} into both (one thing)" in shown

    refused = everloop("label", "set", "split", "both", "--into", "both", "--into", "x", *at)
    assert refused.code == 2
    assert "cannot be split into itself" in refused.err
    assert "Traceback" not in refused.err

    waiting = [r for r in home.store.reviews(500) if r.suggested == "one, other"]
    assert {r.label for r in waiting} == {wide}
    first = waiting[0].prediction_id
    told = everloop("label", "adjudicate", first, "one", *at)
    assert told.out == f"{first} is one, says adjudicator\n"
    late = everloop("label", "adjudicate", waiting[1].prediction_id, gone, *at)
    assert late.code == 2
    assert "was retired" in late.err
    renamed = everloop("label", "adjudicate", waiting[1].prediction_id, a, *at)
    assert renamed.out.endswith(" is both, says adjudicator\n")

    names = known_labels(home, LabelSet.load(own))
    assert {"both", "one", "other"} <= set(names)
    assert not {a, b, wide, gone} & set(names)
    assert declared(home, utc(now)) is None
    result = retrain(home, utc(now), "a new label set")
    train = rows_here(home.workspace, TRAIN)
    assert not {a, b, wide, gone} & set(train["label"])
    assert train.set_index("row_id")["label"].get(first) == "one"
    assert show(own, result["dataset"]).version.label_set == LabelSet.load(own).version == 3
    assert not [f for c in verify(own) for f in c.faults]
    home.store.close()


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
    home = open_home(own)
    train = rows_here(home.workspace, TRAIN)
    page = tmp_path / "hard.csv"
    train[["text", "label"]].drop_duplicates("text").iloc[:3].to_csv(page, index=False)
    collections.add(own, "hard-ones", page)
    now = datetime.fromisoformat(progress_of(home)["last"]) + timedelta(days=1)
    made = retrain(home, utc(now), "collections")["dataset"]
    named = rows_here(home.workspace, TESTED)
    assert named.loc[named["set"] == "regression", "round"].tolist() == ["hard-ones"] * 3
    assert not set(named["text"]) & set(rows_here(home.workspace, TRAIN)["text"])
    decision = next(d for d in home.store.decisions() if d.key == f"testing/{made}")
    assert "collection hard-ones: " in decision.reason
    assert decision.evidence["collection.hard-ones_rows"] == 3
    (own / "data/collections/hard-ones.csv").unlink()
    retrain(home, utc(now) + timedelta(days=1), "none any more")
    assert "regression" not in set(rows_here(home.workspace, TESTED)["set"])
    assert not [f for c in verify(own) for f in c.faults]
    home.store.close()
