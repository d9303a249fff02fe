"""What the triggers look at does not grow with the history of the workspace."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.records.decisions import Decision
from core.records.labels import Annotation
from core.state import Champion, Retrains
from everloop.laws.traffic import DAY, NOW
from flows.session import Session
from flows.situation import RETRAINS, situation
from pipelines.triggers.trigger import PromisedAccuracy


def lived(session: Session, days: int) -> None:
    """A trigger's decision a day, every day's followed by a retrain, whose candidate was tested."""
    store = session.store
    store.decisions.put(
        [Decision("training/v0001", "training", NOW - DAY * days, "v0001", "the first")]
    )
    for i in range(days):
        when = NOW - DAY * (days - i)
        said, told = (
            {"shortfall": i / 1000},
            {"candidate": str(i), "eval_rows": 100, "eval_accuracy": 0.9},
        )
        store.decisions.put(
            [
                Decision(f"trigger/{when.isoformat()}", "triggers", when, "retrain", f"day {i}", said),
                Decision(f"testing/v{i + 2:04d}", "testing", when, "pass", "good", told),
            ]
        )
    last = NOW - DAY
    store.state.write(Retrains(days, last))


def test_the_newest_retrains_and_what_was_said_before_them(session: Session) -> None:
    lived(session, 30)
    session.store.state.write(Champion("3"))
    seen = situation(session, NOW)
    assert [r.timestamp for r in seen.retrains] == [NOW - DAY * d for d in range(RETRAINS, 0, -1)]
    assert [r.shortfall for r in seen.retrains] == [i / 1000 for i in range(30 - RETRAINS, 30)]
    assert seen.asked is not None
    assert seen.asked.reason == "day 29"
    assert seen.promise == PromisedAccuracy(10, 100)  # tested 26 retrains ago, and champion still


def test_a_gain_on_a_handful_of_rows_is_none(session: Session) -> None:
    lived(session, 2)
    for name, rows in (("v0002", 9), ("v0003", 10)):
        told = session.store.decisions.get(f"testing/{name}")
        assert told is not None
        evidence = {**told.evidence.stored(), "audit_rows": rows, "audit_difference": 0.5}
        session.store.decisions.put([replace(told, evidence=evidence)])
    assert [r.gain for r in situation(session, NOW).retrains] == [None, 0.5]


def test_a_retrain_by_hand_was_asked_for_by_nobody(session: Session) -> None:
    lived(session, 2)
    session.store.state.write(Retrains(3, NOW - timedelta(hours=1)))
    assert situation(session, NOW).asked is None


def test_labels_of_a_partition(session: Session) -> None:
    lived(session, 2)
    session.store.labels.annotate(
        [Annotation("p1", "refund", "ana", NOW), Annotation("p2", "refund", "ana", NOW)]
    )
    session.store.labels.claim("v0003", NOW)
    assert [r.labels for r in situation(session, NOW).retrains] == [0, 2]


@pytest.mark.parametrize("days", [100, 400])
def test_it_reads_as_much_after_a_year_as_after_a_season(session: Session, days: int) -> None:
    lived(session, days)
    read: list[int] = []
    records = session.store.database.records

    def counted(*given: object) -> list[object]:
        found = records(*given)  # type: ignore[arg-type]
        read.append(len(found))
        return found

    session.store.database.records = counted  # type: ignore[method-assign, assignment]
    situation(session, datetime.fromisoformat(NOW.isoformat()))
    assert sum(read) == 2 * RETRAINS + 3  # with the champion's test, the first model, what was asked
