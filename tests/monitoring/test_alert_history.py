"""What triggers and people are told of alerts later: by windows that were bad, not by when one opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.episodes import Episodes, words_now
from core.evidence import AlertEvidence, AnyEvidence
from core.records.signals import Signal
from flows.alerts import alert, alerts_since, open_alerts, recent
from flows.session import Session

START = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)


def turn(session: Session, day: int, bad: bool | None) -> list[str]:
    """One window of a drift signal; what was said of it."""
    end = START + day * DAY
    value = None if bad is None else 0.7 if bad else 0.1
    said: list[str] = []
    session.listen = lambda d: said.append(d.verdict)
    alert(session, [Signal("drift.labels", end - DAY, end, value, "L1", baseline=0.6)], end)
    return said


@pytest.mark.parametrize("seed", range(6))
def test_a_trigger_sees_an_alert_exactly_when_a_window_since_the_retrain_was_bad(
    session: Session, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bad = rng.random(25) < (0.15, 0.5, 0.9)[seed % 3]
    for day, is_bad in enumerate(bad):
        turn(session, day, bool(is_bad))
        now = START + day * DAY
        for last in range(day + 1):
            seen = alerts_since(session.store, START + last * DAY, now)
            assert bool(seen) == bad[last + 1 : day + 1].any(), (last, day)


def test_a_retrain_does_not_hide_an_alert_that_stays_open(session: Session) -> None:
    for day in range(10):
        turn(session, day, bad=True)
    [seen] = alerts_since(session.store, START + 8 * DAY, START + 9 * DAY)
    assert (seen.timestamp, seen.verdict, seen.evidence.stored()["windows"]) == (START, "alert", 10)
    assert seen.evidence.stored()["kind"] == "drift"
    assert len(session.store.decisions.read("monitoring")) == 1


def test_every_open_alert_is_known_with_its_numbers_of_today(session: Session) -> None:
    """The page of a window said "2 alerts" while a third had been open for eight days."""
    for day in range(9):
        end = START + day * DAY
        signals = [Signal("drift.labels", end - DAY, end, 0.7 + day / 100, "L1", baseline=0.6)]
        if day == 8:
            signals.append(Signal("accuracy", end - DAY, end, 0.4, "share", 0.8, 0.3, 0.5))
        new = alert(session, signals, end)
    assert [a.evidence.stored()["signal"] for a in new] == ["accuracy"]
    (worst, old) = open_alerts(session.store)
    assert (worst.evidence.stored()["signal"], worst.timestamp) == ("accuracy", START + 8 * DAY)
    assert (old.evidence.stored()["signal"], old.timestamp) == ("drift.labels", START)
    assert old.reason == "drift of predicted labels: L1 0.70, more than 0.60"
    assert words_now(old) == "drift of predicted labels: L1 0.78, more than 0.60"
    assert words_now(worst) == worst.reason


def test_listeners_hear_what_is_new_only(session: Session) -> None:
    days = [True, True, None, False, True, False, False, False, True]
    said = [turn(session, day, bad) for day, bad in enumerate(days)]
    assert said == [["alert"], [], [], ["over"], ["again"], ["over"], [], [], ["alert"]]
    verdicts = [d.verdict for d in session.store.decisions.read("monitoring")]
    assert sorted(verdicts) == ["alert", "alert", "over"]


def test_what_others_wrote_into_an_alert_stays_while_it_is_open(session: Session) -> None:
    turn(session, 0, bad=True)
    [stored] = session.store.decisions.read("monitoring")
    said = replace(stored.read(AlertEvidence), explanation=["labels: oos +12 %"])
    session.store.decisions.put([replace(stored, evidence=said)])
    turn(session, 1, bad=True)
    turn(session, 1, bad=True)  # killed, and run again
    [kept] = session.store.decisions.read("monitoring")
    assert kept.evidence.stored()["explanation"] == ["labels: oos +12 %"]
    assert (kept.evidence.stored()["windows"], kept.severity) == (2, "info")


def test_a_turn_done_again_replaces_its_records(session: Session) -> None:
    for day, bad in enumerate([True, False, True]):
        turn(session, day, bad)
        before = session.store.decisions.read()
        turn(session, day, bad)
        assert session.store.decisions.read() == before


def test_alerts_of_an_older_store_are_no_open_ones(session: Session) -> None:
    turn(session, 0, bad=True)
    [stored] = session.store.decisions.read("monitoring")
    new = ("last", "over", "windows")
    old = {k: v for k, v in stored.evidence.stored().items() if k not in new}
    session.store.decisions.put([replace(stored, evidence=AnyEvidence(old))], [Episodes()])
    assert recent(session.store, START - DAY, START + DAY) == []
    assert [d.key for d in alerts_since(session.store, START - DAY, START)] == [stored.key]
