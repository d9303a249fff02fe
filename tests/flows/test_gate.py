"""What the loop does with a candidate that nobody can judge, and with a label of one row."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from core.models.classifier.head import Head
from core.records.labels import Annotation
from flows.session import Session, open_session
from flows.stages import decide
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool
from tests.command_line import everloop
from tests.small_loop import make_session, rows_of

NOW = datetime(2026, 1, 8, tzinfo=UTC)
SLIP = "no such label"
TOO_FEW = (
    "an evaluation set needs 100 rows (testing.min_rows), and there are: fixed set 30, audit set 6. "
    "The champion stays. Next: label 94 more audit rows (curation.audit_share says how many are drawn), "
    "or start with more: everloop train TRAIN.csv --eval EVAL.csv"
)


def settings(place: Path, section: str, **changes: Any) -> None:
    written = yaml.safe_load((place / "params.yaml").read_text())
    written[section] |= changes
    (place / "params.yaml").write_text(yaml.safe_dump(written))


def label_more(session: Session, size: int, slip: str) -> None:
    """So many more answers picked by a round, and labelled; the last one with a slip."""
    window = session.store.answers.window(NOW - timedelta(days=2), NOW)
    free = ~window.rows["prediction_id"].isin(
        session.store.queue.ids(list(window.rows["prediction_id"]))
    )
    pool = Pool(window.take(free.to_numpy(dtype=bool)))
    policy = Margin(policy="margin", labels_per_day=size, audit_share=0)
    tasks = policy.pick(pool, size, "2026-01-08", NOW)
    session.store.queue.add(tasks)
    session.store.labels.annotate(
        [
            Annotation(task.prediction_id, slip if task is tasks[-1] else task.predicted, "ana", NOW)
            for task in tasks
        ]
    )


@pytest.fixture
def few(own: Path) -> Session:
    """A workspace with too few evaluation rows to judge by, and nine new labels, one of them a slip."""
    settings(own, "testing", min_rows=100)
    session = open_session(own)
    if session.store.decisions.live_rollout():
        assert everloop("rollout", "rollback", "-w", own, "--now", "2026-01-07T01:00").code == 0
    label_more(session, 9, SLIP)
    return session


def test_the_loop_trains_nothing_that_it_could_not_judge(few: Session) -> None:
    """Neither now nor at any later turn: the labels wait until there is something to judge by."""
    for days in range(3):
        told = decide(few, NOW + timedelta(days=days))
        assert (told.verdict, told.reason) == (
            "wait",
            f"cannot judge a candidate: {TOO_FEW} (labels: 9 new labels, 8 needed)",
        )
    assert few.store.labels.unclaimed() == (9, 0)
    settings(few.workspace.root, "testing", min_rows=30)
    told = decide(open_session(few.workspace.root), NOW + timedelta(days=3))
    assert (told.verdict, told.reason) == ("retrain", "labels: 9 new labels, 8 needed")


def test_asked_for_by_hand_it_is_trained_and_goes_nowhere(few: Session) -> None:
    """The label of one row is in the report, and not in the model."""
    place = few.workspace.root
    ran = everloop("retrain", "-w", place, "--now", "2026-01-08")
    training, testing = ran.out.splitlines()
    assert training.startswith("training: candidate 4: head on v0004: 86 rows, 7 labels; ")
    assert "7 labels; only the first model.max_tokens of 68 texts were read; " in training
    assert "; character n-grams alone are better than this model on the same rows" in training
    assert training.endswith("; held back, as new labels with fewer than 2 rows: 1")
    assert testing.startswith(
        f"testing: cannot judge: nothing to judge by: {TOO_FEW}; held back, fewer than 2 rows to train "
        f"on (training.min_label_rows): `{SLIP}` (1 row to train on, 0 to test). A slip: everloop label "
        f"set merge '{SLIP}' --into RIGHT. A new class: label more rows of it; fixed set: "
    )
    assert few.store.decisions.live_rollout() is None
    assert few.store.state.champion() == "2"
    assert SLIP not in Head.load(few.registry.path("4")).labels
    assert (place / "reports" / "testing-v0004.html").read_text().count("Cannot judge") == 1
    again = everloop("stage", "testing", "-w", place)
    assert again.out.startswith(f"testing: cannot judge: nothing to judge by: {TOO_FEW}; held back, ")


def test_what_does_not_train_is_counted_with_the_reason(tmp_path: Path) -> None:
    """And what there is too little of is named: a label of one row, rows to judge the next model by."""
    place = make_session(tmp_path / "shop").workspace.root
    train, evaluation = rows_of("train.csv", 60), rows_of("eval.csv", 6)
    slip = train.head(1).assign(text="a slip of the keyboard", label="retrun_item")
    copies = evaluation.head(2).assign(text=lambda r: r["text"].str.upper())
    both = pd.concat([train, slip, copies])[["text", "label"]]
    both.to_csv(tmp_path / "train.csv", index=False)
    evaluation[["text", "label"]].to_csv(tmp_path / "eval.csv", index=False)
    ran = everloop("train", tmp_path / "train.csv", "--eval", tmp_path / "eval.csv", "-w", place)
    assert (ran.code, ran.err) == (0, "")
    said = re.sub(r"(accuracy|max_tokens of) [\d.]+", r"\1 #", ran.out)
    assert said == (
        "first model 1: head on v0001: 63 rows, 2 near-copies of evaluation rows left out: 61 train, "
        "7 labels, evaluation accuracy #; a slip? fewer than 2 rows to train on: `retrun_item` (1); "
        "6 evaluation rows judge no later model, 10 needed (testing.min_rows); "
        "only the first model.max_tokens of # texts were read\n"
    )
    (_, version) = everloop("data", "list", "-w", place).out.splitlines()
    assert version.endswith("all          7     61     6      0  2 near-copies of evaluation rows")
    assert (
        "  left out  2 near-copies of evaluation rows\n"
        in everloop("data", "list", "1", "--rows", "-w", place).out
    )
