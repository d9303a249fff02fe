"""Alerts reach people: once, soon, and again when they did not arrive; a kill loses none."""

from __future__ import annotations

import logging
import os
import signal as signals
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.records.signals import Signal
from core.state import ToldAlerts
from flows.alerts import alert, deliver
from flows.session import Session
from monitoring.alerts.delivery import Channel, DeliveryError, Message, by_apprise, channels
from tests import ROOT
from tests.inbox import Inbox

START = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def told(session: Session, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A workspace whose alerts go to the inbox."""
    monkeypatch.setenv("EVERLOOP_HOOK", inbox.url)
    session.channels = channels(["env:EVERLOOP_HOOK"], "warning")
    return session


def confidence(value: float, day: int) -> Signal:
    end = START + day * DAY
    return Signal("confidence", end - DAY, end, value, "probability", baseline=0.8)


def day(session: Session, number: int, *values: Signal) -> None:
    now = START + number * DAY
    alert(session, values, now)
    deliver(session, now)


def test_an_alert_is_sent_once_and_its_end_when_it_cannot_come_back(
    told: Session, inbox: Inbox
) -> None:
    for number, value in enumerate([0.6, 0.6, 0.9, 0.9, 0.9, 0.9]):
        day(told, number, confidence(value, number))
    assert inbox.titles == ["shop: warning: confidence", "shop: over: confidence"]
    first, last = inbox.messages
    assert first["message"] == (
        "confidence: mean 0.600, less than 0.800\nnext: everloop label export tasks.csv"
    )
    assert last["message"] == (
        "confidence: over after 2 days, bad in 2 windows since 2026-01-13 00:00\n"
        "it began with: confidence: mean 0.600, less than 0.800"
    )
    assert (first["type"], last["type"]) == ("warning", "success")


def test_one_that_comes_and_goes_is_told_once(told: Session, inbox: Inbox) -> None:
    for number, value in enumerate([0.6, 0.9, 0.6, 0.9, 0.6]):
        day(told, number, confidence(value, number))
    assert inbox.titles == ["shop: warning: confidence"]


def test_what_costs_no_accuracy_is_not_sent_until_it_does(told: Session, inbox: Inbox) -> None:
    def drifts(number: int) -> Signal:
        end = START + number * DAY
        return Signal("drift.labels", end - DAY, end, 0.7, "L1", baseline=0.6)

    day(told, 0, drifts(0))
    assert inbox.titles == []
    day(told, 1, drifts(1), confidence(0.6, 1))
    assert sorted(inbox.titles) == ["shop: warning: confidence", "shop: warning: drift.labels"]


def test_what_did_not_arrive_is_logged_with_the_reason_and_sent_again(
    told: Session, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.status = 500
    with caplog.at_level(logging.WARNING, "flows.alerts"):
        day(told, 0, confidence(0.6, 0))
    assert [r.getMessage() for r in caplog.records if r.name == "flows.alerts"] == [
        "alert not delivered to env:EVERLOOP_HOOK, tried again next turn: "
        "Failed to send JSON POST notification: Internal server error., error=500."
    ]
    inbox.status = 200
    day(told, 1, confidence(0.6, 1))
    assert inbox.titles == ["shop: warning: confidence"]


def test_a_channel_that_fails_does_not_hold_up_another(told: Session, inbox: Inbox) -> None:
    def broken(message: Message) -> None:
        raise DeliveryError("no")

    told.channels = [Channel("broken", broken), *told.channels]
    day(told, 0, confidence(0.6, 0))
    assert inbox.titles == ["shop: warning: confidence"]
    assert told.store.state.read(ToldAlerts).levels == {
        "alert/confidence/2026-01-13T00": {"env:EVERLOOP_HOOK": "warning"}
    }


def test_without_channels_nothing_is_sent(session: Session, inbox: Inbox) -> None:
    day(session, 0, confidence(0.6, 0))
    assert inbox.titles == []
    assert session.store.state.read(ToldAlerts) == ToldAlerts()


SECRET = "T0KEN-of-somebody"  # not a secret: what must not be told


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "the environment variable EVERLOOP_HOOK is not set"),
        (f"nothing://{SECRET}", "it holds no URL that Apprise knows"),
        (f"json://{SECRET}@127.0.0.1:9/hook", "A Connection error occurred"),
    ],
)
def test_why_it_did_not_arrive_is_said_without_the_address(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch, told: Session
) -> None:
    monkeypatch.setenv("EVERLOOP_HOOK", url)
    alert(told, [confidence(0.6, 0)], START)
    [stored] = told.store.decisions.read("monitoring")
    message = Message("warning", "title", "body", stored)
    with pytest.raises(DeliveryError, match=why) as fault:
        told.channels[0].send(message)
    assert SECRET not in str(fault.value)


def test_a_message_of_any_alphabet_arrives_whole(inbox: Inbox, told: Session) -> None:
    alert(told, [confidence(0.6, 0)], START)
    [stored] = told.store.decisions.read("monitoring")
    text = "naïve — 検索 <b>& 'quotes'\nsecond line"
    by_apprise(inbox.url, Message("critical", "täuschung", text, stored))
    assert inbox.messages[0]["message"] == text
    assert (inbox.messages[0]["title"], inbox.messages[0]["type"]) == ("täuschung", "failure")


# -- a real process, killed ---------------------------------------------------------------------------

TURN = """
import os, signal, sys
from pathlib import Path
from datetime import datetime, timedelta
from flows.alerts import alert, deliver
from flows.session import open_session
from monitoring.alerts.delivery import Channel
from tests.monitoring.test_delivery import START, confidence

place, log, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
session = open_session(place)

def die(at):
    if when == at:
        os.kill(os.getpid(), signal.SIGKILL)

def send(message):
    die("before it is sent")
    with log.open("a") as file:
        file.write(message.title + "\\n")
    die("before that is stored")

session.channels = [Channel("log", send)]
alert(session, [confidence(0.6, 0)], START)
die("before it is told")
deliver(session, START)
"""


@pytest.mark.parametrize(
    ("moment", "times"),
    [("before it is told", 1), ("before it is sent", 1), ("before that is stored", 2)],
)
def test_killed_between_record_and_delivery_it_is_told_by_the_next(
    session: Session, tmp_path: Path, moment: str, times: int
) -> None:
    log = tmp_path / "log"

    def turn(when: str) -> int:
        command = [sys.executable, "-c", TURN, str(session.workspace.root), str(log), when]
        root = ROOT
        environment = {**os.environ, "PYTHONPATH": str(root)}
        return subprocess.run(command, cwd=root, env=environment, timeout=120).returncode

    assert turn(moment) == -signals.SIGKILL
    assert [d.key for d in session.store.decisions.read("monitoring")] == [
        "alert/confidence/2026-01-13T00"
    ]
    assert turn("never") == 0
    [stored] = session.store.decisions.read("monitoring")
    assert stored.evidence.stored()["windows"] == 1
    assert log.read_text().splitlines() == ["shop: warning: confidence"] * times
    assert turn("never") == 0
    assert log.read_text().splitlines() == ["shop: warning: confidence"] * times
