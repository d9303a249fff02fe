"""Rows that fail a data quality check are kept with their reasons, shown, and never sent for labels."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.records.answers import Quarantined, Request
from everloop.laws.traffic import NOW
from flows import stages
from flows.first import first_model
from flows.session import Session
from serving.service import Service
from tests.command_line import everloop
from tests.small_loop import job, make_session

LONG = "x" * 2500


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A day of 30 requests, two of them too long for the quality check, looked at once."""
    root = tmp_path_factory.mktemp("quarantine") / "shop"
    monitoring = {
        "expectations": [
            {"type": "expect_column_values_to_not_match_regex", "name": "text.email",
             "kwargs": {"column": "text", "regex": "@"}}
        ],
    }  # fmt: skip
    session, rows = make_session(root, monitoring=monitoring), job(days=1)
    first_model(session, rows.train, rows.evaluation, NOW - timedelta(days=1))
    texts = {3: LONG, 7: f"{LONG} me@example.com", 9: "me@example.com"}
    service = Service(session.store, session.registry.load, max_text=3000)
    for i in range(30):
        when = NOW - timedelta(hours=20) + timedelta(minutes=i)
        service.predict([Request(f"r{i}", when, texts.get(i, f"where is my parcel {i}"))])
    stages.monitor(session, NOW)
    return session


def test_a_row_is_kept_with_its_reasons(shop: Session) -> None:
    first = NOW - timedelta(hours=20)
    expected = [
        Quarantined(f"r{i}", first + timedelta(minutes=i), reasons)
        for i, reasons in (
            (3, ["text.length"]),
            (7, ["text.length", "text.email"]),
            (9, ["text.email"]),
        )
    ]
    assert shop.store.signals.quarantine() == expected
    stages.monitor(shop, NOW)  # looking again adds nothing
    assert shop.store.signals.quarantine() == expected
    assert shop.store.signals.quarantine(since=first + timedelta(minutes=8)) == expected[2:]


def test_it_is_not_worth_a_label(shop: Session) -> None:
    stages.curate(shop, NOW)
    picked = {t.request_id for t in shop.store.queue.open()}
    assert picked
    assert picked.isdisjoint({"r3", "r7", "r9"})
    reason = shop.store.decisions.read("curation")[-1].reason
    assert "of 27 requests" in reason


def test_the_command_shows_it(shop: Session) -> None:
    root = str(shop.workspace.root)
    ran = everloop("monitor", "--failed", "7d", "-w", root, "--now", NOW.isoformat())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "request  time (UTC)        failed\n"
        "r3       2026-01-12 04:03  text.length\n"
        "r7       2026-01-12 04:07  text.length, text.email\n"
        "r9       2026-01-12 04:09  text.email\n"
    )
    later = (NOW + timedelta(days=9)).isoformat()
    assert (
        everloop("monitor", "--failed", "7d", "-w", root, "--now", later).out
        == "no row failed a check since 7d\n"
    )


def test_it_is_forgotten_with_the_rows(shop: Session, tmp_path: Path) -> None:
    shop.store.erasure.retire(NOW - timedelta(hours=19, minutes=52), "a turn")
    assert [q.request_id for q in shop.store.signals.quarantine()] == ["r9"]
