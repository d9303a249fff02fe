"""What the loop does with a candidate that nobody can judge, and with a label of one row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.models.head import Head
from core.records import Annotation
from flows.home import Home, open_home
from flows.stages import decide
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool
from tests.code.command_line import everloop

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


def label_more(home: Home, size: int, slip: str) -> None:
    """So many more answers picked by a round, and labelled; the last one with a slip."""
    window = home.store.window(NOW - timedelta(days=2), NOW)
    free = ~window.rows["prediction_id"].isin(home.store.task_ids(list(window.rows["prediction_id"])))
    pool = Pool(window.take(free.to_numpy(dtype=bool)))
    policy = Margin(policy="margin", labels_per_day=size, audit_share=0)
    tasks = policy.pick(pool, size, "2026-01-08", NOW)
    home.store.add_tasks(tasks)
    home.store.annotate(
        [
            Annotation(task.prediction_id, slip if task is tasks[-1] else task.predicted, "ana", NOW)
            for task in tasks
        ]
    )


@pytest.fixture
def few(own: Path) -> Home:
    """A workspace with too few evaluation rows to judge by, and nine new labels, one of them a slip."""
    settings(own, "testing", min_rows=100)
    home = open_home(own)
    if home.store.live_rollout():
        assert everloop("rollout", "rollback", "-w", own, "--now", "2026-01-07T01:00").code == 0
    label_more(home, 9, SLIP)
    return home


def test_the_loop_trains_nothing_that_it_could_not_judge(few: Home) -> None:
    """Neither now nor at any later turn: the labels wait until there is something to judge by."""
    for days in range(3):
        told = decide(few, NOW + timedelta(days=days))
        assert (told.verdict, told.reason) == (
            "wait",
            f"cannot judge a candidate: {TOO_FEW} (labels: 9 new labels, 8 needed)",
        )
    assert few.store.unclaimed() == (9, 0)
    settings(few.workspace.root, "testing", min_rows=30)
    told = decide(open_home(few.workspace.root), NOW + timedelta(days=3))
    assert (told.verdict, told.reason) == ("retrain", "labels: 9 new labels, 8 needed")


def test_asked_for_by_hand_it_is_trained_and_goes_nowhere(few: Home) -> None:
    """The label of one row is in the report, and not in the model."""
    place = few.workspace.root
    ran = everloop("retrain", "-w", place, "--now", "2026-01-08")
    training, testing = ran.out.splitlines()
    assert training == (
        "training: candidate 4: head on v0004: 86 rows, 7 labels; "
        "held back, as new labels with fewer than 2 rows: 1"
    )
    assert testing.startswith(
        f"testing: cannot judge: nothing to judge by: {TOO_FEW}; held back, fewer than 2 rows to train "
        f"on (training.min_label_rows): `{SLIP}` (1 row to train on, 0 to test). A slip: everloop label "
        f"set merge '{SLIP}' --into RIGHT. A new class: label more rows of it; fixed set: "
    )
    assert few.store.live_rollout() is None
    assert few.store.champion() == "2"
    assert SLIP not in Head.load(few.registry.path("4")).labels
    assert (place / "reports" / "testing-v0004.html").read_text().count("Cannot judge") == 1
    again = everloop("stage", "testing", "-w", place)
    assert again.out.startswith(f"testing: cannot judge: nothing to judge by: {TOO_FEW}; held back, ")
