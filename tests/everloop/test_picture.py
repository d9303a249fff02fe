"""The picture and the report of a run."""

from __future__ import annotations

import base64
import re
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.records.decisions import Decision
from everloop.picture import accuracy_picture, mean_accuracy, smooth
from everloop.report import run_report

START = datetime(2026, 1, 5, tzinfo=UTC)
EVENTS = [
    {"timestamp": (START + timedelta(days=d)).isoformat(), "kind": kind, "text": "<b>"}
    for d, kind in enumerate(("drift", "retrain", "promotion", "rollback"), start=3)
]


def days(n: int, accuracy: float = 0.9) -> list[dict[str, Any]]:
    return [
        {
            "day": f"{START + timedelta(days=i):%Y-%m-%d}",
            "accuracy": accuracy - 0.01 * (i % 3),
            "requests": 100 + i,
        }
        for i in range(n)
    ]


def png_size(path: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


@pytest.mark.parametrize("n", [0, 1, 2, 60, 400])
def test_any_number_of_days_makes_a_picture_of_the_same_size(tmp_path: Path, n: int) -> None:
    path = accuracy_picture(days(n), days(n, 0.7), [], tmp_path / "new" / "accuracy.png")
    assert png_size(path) == (1400, 700)
    assert [p.name for p in path.parent.iterdir()] == ["accuracy.png"]


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_the_same_run_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    one, two = (
        accuracy_picture(days(9), days(9, 0.6), EVENTS, tmp_path / str(i) / name, "20 labels a day")
        for i in range(2)
    )
    assert one.read_bytes() == two.read_bytes()


def test_events_leave_their_mark(tmp_path: Path) -> None:
    with_events = accuracy_picture(days(9), [], EVENTS, tmp_path / "a.png").read_bytes()
    assert with_events != accuracy_picture(days(9), [], [], tmp_path / "b.png").read_bytes()


def test_an_svg_is_one(tmp_path: Path) -> None:
    assert "<svg" in accuracy_picture(days(3), [], EVENTS, tmp_path / "a.svg").read_text()[:500]


def test_accuracy_is_weighted_by_requests() -> None:
    assert mean_accuracy([]) == 0.0
    assert mean_accuracy([{"accuracy": 1.0, "requests": 9}, {"accuracy": 0.0, "requests": 1}]) == 0.9


def test_smoothing_keeps_a_constant_and_every_day() -> None:
    level = [{"accuracy": 0.8, "requests": r} for r in (1, 50, 3, 200)]
    assert smooth(level).tolist() == pytest.approx([0.8] * 4)


def a_result(**more: Any) -> dict[str, Any]:
    return {
        "days": 9, "requests": 936, "prequential_accuracy": 0.8901, "daily_accuracy": days(9),
        "labels": 180, "retrains": 2, "promotions": 1, "rollbacks": 1, "drift_alerts": 1,
        "encoder_passes_per_text": 1.0,
        "seconds": 12.3, "seconds_per_stage": {"serving": 8.0, "training": 4.0}, **more,
    }  # fmt: skip


def decision(hour: int, stage: str, verdict: str, reason: str, severity: str = "info") -> Decision:
    when = START + timedelta(hours=hour)
    return Decision(f"{stage}/{hour}", stage, when, verdict, reason, severity=severity)  # type: ignore[arg-type]  # a str here


def report(tmp_path: Path, decisions: list[Decision], **more: Any) -> str:
    picture = accuracy_picture(days(9), [], EVENTS, tmp_path / "a.png")
    commands = ["everloop data list", "everloop serve"]
    page = run_report(a_result(**more), decisions, picture, tmp_path / "run.html", commands)
    return page.read_text(encoding="utf-8")


def test_the_report_has_numbers_picture_reasons_and_commands(tmp_path: Path) -> None:
    html = report(
        tmp_path, [decision(3, "triggers", "retrain", "drift: 2 alerts")], frozen_accuracy=0.66
    )
    assert "<h1>0.890 of all answers right with the loop, 0.660 frozen</h1>" in html
    assert "labels, 19.2% of the requests" in html
    assert "drift: 2 alerts" in html
    assert "<pre>everloop data list\neverloop serve</pre>" in html
    embedded = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert embedded
    assert base64.b64decode(embedded[1]) == (tmp_path / "a.png").read_bytes()


def test_decisions_stand_in_order_of_time_and_routine_is_folded(tmp_path: Path) -> None:
    decisions = [
        decision(9, "rollout", "promote", "third"),
        decision(3, "monitoring", "alert", "first", "warning"),
        decision(5, "triggers", "wait", "second"),
        decision(6, "curation", "20 picked", "second too"),
    ]
    html = report(tmp_path, decisions)
    assert (
        html.index("first")
        < html.index("2 routine decisions")
        < html.index("second")
        < html.index("third")
    )
    assert "2 decisions that changed or flagged something, of 4." in html


def test_hostile_reasons_stay_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    html = report(tmp_path, [decision(1, "<i>", "<b>", '"><script>alert(1)</script>')])
    assert "<script" not in html
    assert "<i>" not in html
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_a_run_without_decisions_or_days_has_a_report(tmp_path: Path) -> None:
    html = report(tmp_path, [], daily_accuracy=[], requests=0, labels=0, seconds_per_stage={})
    assert "0 requests in 9 days." in html
