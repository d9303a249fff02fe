"""The page about a window: whole, offline, and everything in it escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.records.decisions import Decision
from core.records.signals import Signal
from monitoring.explain.explanation import Explanation, explain
from monitoring.monitor import observe
from monitoring.page import WindowStory, window_page
from monitoring.sparkline import sparkline
from monitoring.topics.clusters import new_topics
from monitoring.topics.tracking import followed
from tests.monitoring.changes import DAY, NOW, learnt, traffic, view

EVIL = "<script>alert(1)</script> tyre \" ' & oil \ud800"


def story(**changes: object) -> WindowStory:
    seen = view(traffic(new=0.3, web=0.6))
    found = followed([], new_topics(seen, learnt()), NOW)
    alert = Decision("a", "monitoring", NOW, "alert", "drift of labels", {"next": "everloop monitor"})
    signals = observe(seen)
    told = WindowStory(seen, signals, signals, [alert], explain(seen), [(c, [EVIL]) for c in found])
    return replace(told, **changes)


def page(tmp_path: Path, told: WindowStory) -> str:
    return window_page(told, tmp_path / "reports" / "window.html").read_text(encoding="utf-8")


def test_the_page_says_what_changed_what_is_new_and_every_signal(tmp_path: Path):
    told = story()
    html = page(tmp_path, told)
    assert "<h1>1 alert open</h1>" in html
    for word in [*(w.word for w in told.explanation.came), *(m.value for m in told.explanation.labels)]:
        assert word in html
    for found in told.explanation.texts:
        assert found.text in html
        assert found.nearest in html
    assert all(s.name in html for s in told.signals)
    (topic, _), *_ = told.topics
    assert f"everloop topics ask {topic.name}" in html
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["window.html"]


def test_the_page_has_every_open_alert_with_the_numbers_of_its_window(tmp_path: Path):
    """It said "2 alerts" while a third had been open for eight days."""
    new = Decision("a", "monitoring", NOW, "alert", "drift of labels")
    old = Decision(
        "b", "monitoring", NOW - 8 * DAY, "alert", "began at 6 sd", {"latest": "now at 83 sd"}
    )
    over = Decision("c/over", "monitoring", NOW, "over", "rows: over after 2 days")
    html = page(tmp_path, story(alerts=[new, old, over]))
    assert "<h1>2 alerts open, 1 of them new</h1>" in html
    assert "now at 83 sd" in html
    assert "began at 6 sd" not in html
    assert f"open since {NOW - 8 * DAY:%a %d %b %H:%M} UTC, 8 days" in html
    assert "rows: over after 2 days" in html


def test_everything_from_outside_is_escaped(tmp_path: Path):
    window = traffic(new=0.3)
    told = EVIL.replace("\ud800", "")
    rows = window.rows.assign(**{"text": told, "output": told, "segment.channel": told})
    seen = view(replace(window, rows=rows))
    alert = Decision("a", "monitoring", NOW, "alert", EVIL, {"next": EVIL})
    signal = Signal("rows", NOW - DAY, NOW, 1.0, "rows", segment=f"channel={EVIL}", note=EVIL)
    found = explain(seen)
    assert any(m.value == told for m in (*found.labels, *found.segments))
    html = page(tmp_path, WindowStory(seen, [signal], [signal], [alert], found, [], EVIL))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path):
    html = page(tmp_path, story(comparison="window.evidently.html"))
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", html) == ["window.evidently.html"]
    assert "http" not in html.replace("http-equiv", "")
    assert "@import" not in html


class Balanced(HTMLParser):
    """Whether every tag that opens closes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in ("meta", "circle", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alerts": [], "topics": []},
        {"alerts": [], "topics": [], "explanation": Explanation(note="not enough rows: 0")},
        {"signals": [], "history": []},
    ],
)
def test_every_tag_that_opens_closes(tmp_path: Path, changes: dict[str, object]):
    reader = Balanced()
    reader.feed(page(tmp_path, story(**changes)))
    assert reader.open == []


def test_a_quiet_window_says_so(tmp_path: Path):
    html = page(tmp_path, story(alerts=[], topics=[], explanation=Explanation()))
    assert "<h1>Nothing to act on</h1>" in html
    assert "no label, segment or word moved by more than luck explains" in html


def series(*values: float | None, limit: float | None = None) -> list[Signal]:
    ends = [NOW + timedelta(days=i) for i in range(len(values))]
    return [
        Signal("rows", e - DAY, e, v, "rows", baseline=limit) for e, v in zip(ends, values, strict=True)
    ]


def test_a_sparkline_has_a_gap_where_nothing_was_said_and_a_dot_where_a_rule_broke():
    drawn = sparkline(series(1, 2, None, 3, 4), [False, False, False, False, True])
    assert drawn
    assert (drawn.line.count("M"), drawn.line.count("L")) == (2, 2)
    assert len(drawn.dots) == 1
    assert drawn.label == "13 Jan to 17 Jan"


def test_a_sparkline_stays_in_its_box_whatever_the_limit():
    for limit in (None, 0.0, 2.5, 1e9):
        drawn = sparkline(series(1, 2, 3, limit=limit), [False] * 3)
        assert drawn
        ys = [float(y) for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", drawn.line + drawn.limit)]
        assert ys
        assert all(0 <= y <= 36 for y in ys)


def test_one_value_is_no_picture():
    assert sparkline(series(1.0), [False]) is None
    assert sparkline(series(None, None, 1.0), [False] * 3) is None
    assert sparkline([], []) is None
    assert sparkline(series(2.0, 2.0), [False] * 2)


def test_the_page_draws_the_past_of_a_signal(tmp_path: Path):
    past = series(1, 2, 3, limit=2)
    html = page(tmp_path, story(signals=past[-1:], history=past))
    assert re.search(r'<svg class="spark" viewBox="0 0 160 36".* aria-label="13 Jan to 15 Jan">', html)
    assert html.count("<circle") == 1
