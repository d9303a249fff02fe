"""A signal that stays bad is one alert: in words, opened once, kept, ended with how long it lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.episodes import Episodes
from core.evidence import AnyEvidence
from core.records.decisions import Decision, Severity
from core.records.signals import Signal
from monitoring import Monitoring
from monitoring.alerts.decisions import describe, fatigue, opened, over
from monitoring.alerts.episodes import Change, turn
from monitoring.alerts.findings import Finding, findings, unsaid
from monitoring.alerts.rules.base import Rule
from monitoring.alerts.rules.range import RangeRule
from monitoring.alerts.severity import severity

START = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Monitoring()


def signal(name: str, value: float | None, day: int = 0, **more: Any) -> Signal:
    end = START + day * DAY
    return Signal(name, end - DAY, end, value, "unit", **more)


def found(signals: Sequence[Signal], rules: Sequence[Rule] = ()) -> list[Finding]:
    return findings(signals, rules, lambda rule, signal: ())


# -- what is bad, in words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "kind", "severity", "reason", "following"),
    [
        (
            signal("drift.embeddings", 0.031, baseline=0.0172, note="6.1 sd above it"),
            "drift",
            "info",
            "drift of embeddings: MMD^2 0.0310, more than 0.0172; 6.1 sd above it",
            "everloop signals drift.embeddings --since 14d --plot",
        ),
        (
            signal("drift.labels", 1.4, baseline=0.6),
            "drift",
            "warning",
            "drift of predicted labels: L1 1.40, more than 0.60",
            "everloop label export tasks.csv",
        ),
        (
            signal("expectations.failed", 0.015, baseline=0.01, note="text.empty 3"),
            "quality",
            "warning",
            "data quality: 1.5% of rows fail a check, more than 1.0%; text.empty 3",
            "everloop monitor --now 2026-01-13T00:00 --report",
        ),
        (
            signal("expectations.broken", 1.0, baseline=0.0, note="score.range: no number"),
            "quality",
            "critical",
            "data quality: 1 checks could not run on this data; score.range: no number",
            "everloop monitor --now 2026-01-13T00:00 --report",
        ),
        (
            signal("rows", 0.0, baseline=40.0, note="200 rows in a usual window"),
            "quality",
            "critical",
            "traffic: 0 rows, fewer than 40; 200 rows in a usual window",
            "everloop monitor --now 2026-01-13T00:00 --report",
        ),
        (
            signal("confidence", 0.71, baseline=0.8, note="0.850 ± 0.010"),
            "confidence",
            "warning",
            "confidence: mean 0.710, less than 0.800; 0.850 ± 0.010",
            "everloop label export tasks.csv",
        ),
        (
            signal("accuracy", 0.6, baseline=0.8, low=0.45, high=0.73, note="40 labels"),
            "accuracy",
            "critical",
            "accuracy: 0.600 (95 % interval 0.450..0.730), less than 0.800; 40 labels",
            'everloop retrain --reason "accuracy since 2026-01-13"',
        ),
    ],
)
def test_an_alert_says_what_and_how_bad_and_what_next(
    broken: Signal, kind: str, severity: Severity, reason: str, following: str
) -> None:
    _, [change] = passed([[broken]])[-1]
    assert change.finding
    alert = opened(change.episode, change.finding)
    assert alert == Decision(
        key=f"alert/{broken.name}/2026-01-13T00",
        stage="monitoring",
        timestamp=START,
        verdict="alert",
        reason=reason,
        evidence=alert.evidence,
        severity=severity,
    )
    told = {
        k: alert.evidence.stored()[k]
        for k in ("signal", "kind", "value", "baseline", "next", "windows")
    }
    assert told == {
        "signal": broken.name,
        "kind": kind,
        "value": broken.value,
        "baseline": broken.baseline,
        "next": following,
        "windows": 1,
    }


@pytest.mark.parametrize(
    "fine",
    [
        signal("drift.embeddings", None, note="not enough rows: 0, 50 needed"),
        signal("drift.embeddings", 0.01, baseline=0.01),
        signal("accuracy", 0.7, baseline=0.8, low=0.5, high=0.85),
        signal("rows", 0.0),
        signal("confidence", 0.1, baseline=0.8, segment="plan=pro"),
        signal("somebody.else", 9.0, baseline=1.0),
    ],
)
def test_no_alert_without_a_broken_rule(fine: Signal) -> None:
    assert found([fine]) == []


def test_a_rule_reaches_segments_and_signals_that_have_no_limit() -> None:
    rules: list[Rule] = [
        RangeRule(policy="range", signal="confidence", segment="plan=pro", severity="critical"),
        RangeRule(policy="range", signal="somebody.else", high=5.0),
    ]
    pro = signal("confidence", 0.1, baseline=0.8, segment="plan=pro")
    free = replace(pro, segment="plan=free")
    bad = found([pro, free, signal("somebody.else", 9.0)], rules)
    assert [f.place for f in bad] == [("confidence", "plan=pro"), ("somebody.else", "")]
    (state, changes) = passed([[pro, signal("somebody.else", 9.0)]], rules)[-1]
    assert [(e.key, e.severity) for e in state.open] == [
        ("alert/confidence/plan=pro/2026-01-13T00", "critical"),
        ("alert/somebody.else/2026-01-13T00", "warning"),
    ]
    alerts = [opened(c.episode, c.finding) for c in changes if c.finding]
    assert [a.reason for a in alerts] == [
        "plan=pro: confidence 0.1 unit, less than 0.8",
        "somebody.else 9 unit, more than 5",
    ]
    assert alerts[0].evidence.stored()["next"] == "everloop label export tasks.csv"
    assert alerts[1].evidence.stored()["next"] == "everloop signals somebody.else --since 14d --plot"


def test_two_rules_on_a_signal_are_one_alert() -> None:
    rules: list[Rule] = [RangeRule(policy="range", signal="drift.labels", high=0.5)]
    (finding,) = found([signal("drift.labels", 0.8, baseline=0.6)], rules)
    assert finding.words == [
        "drift of predicted labels: L1 0.80, more than 0.60",
        "drift.labels 0.8 unit, more than 0.5",
    ]


def test_a_rule_says_how_bad_its_own_finding_is_and_no_less_than_the_others() -> None:
    rows, confidence = signal("rows", 0.0, baseline=40.0), signal("confidence", 0.7, baseline=0.6)
    rules: list[Rule] = [
        RangeRule(policy="range", signal="rows", low=9.0, severity="info"),
        RangeRule(policy="range", signal="confidence", low=0.8, severity="info"),
    ]
    bad = found([rows, confidence], rules)
    assert [severity(f, bad) for f in bad] == ["critical", "info"]


def test_a_rule_that_can_say_nothing_is_not_silent() -> None:
    rules: list[Rule] = [
        RangeRule(policy="range", signal="x", segment="plan=pro", high=1.0),
        Monitoring.model_validate(
            {"rules": [{"policy": "anomaly", "signal": "rows"}]}, strict=True
        ).rules[0],
    ]
    assert unsaid([signal("rows", 5.0)], rules, lambda rule, signal: ()) == [
        "x of plan=pro: a rule is there, and no such signal in this window",
        "rows: not enough history: 0; 14 values needed",
    ]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], "info"),
        ([signal("rows", 0.0, baseline=5.0)], "info"),
        ([signal("confidence", 0.6, baseline=0.8)], "warning"),
        ([signal("accuracy", 0.6, baseline=0.8, low=0.5, high=0.7)], "warning"),
    ],
)
def test_drift_is_for_looking_at_unless_answers_suffer(others: list[Signal], expected: str) -> None:
    (drift,) = found([signal("drift.labels", 0.7, baseline=0.6)])
    assert severity(drift, found(others)) == expected


def test_kind_and_explanation_of_others_are_told() -> None:
    alert = Decision("k", "monitoring", START, "alert", "drift", {
        "episode": {"kind": "temporary", "reason": "over after 3 days"}, "explanation": ["labels: a +3 %", "words that came: b"], "next": "everloop monitor",
    })  # fmt: skip
    assert describe(alert) == [
        "temporary: over after 3 days", "labels: a +3 %", "words that came: b", "next: everloop monitor",
    ]  # fmt: skip
    assert describe(replace(alert, evidence=AnyEvidence())) == []


# -- episodes -------------------------------------------------------------------------------------------


def passed(
    windows: Sequence[Sequence[Signal]], rules: Sequence[Rule] = ()
) -> list[tuple[Episodes, list[Change]]]:
    """What became of the alerts in each of some windows, a day apart; the model stays."""
    state, turns = Episodes(), []
    for day, signals in enumerate(windows):
        now = START + day * DAY
        state, changes = turn(state, signals, found(signals, rules), "1", now)
        turns.append((state, changes))
    return turns


def drift(days: str, **more: Any) -> list[list[Signal]]:
    """A letter a day: b(ad), B (far worse), g(ood), n(othing known), - (not there)."""
    values = {"b": 0.7, "B": 5.0, "g": 0.1, "n": None}
    return [
        [signal("drift.labels", values[d], day, baseline=0.6, **more)] if d != "-" else []
        for day, d in enumerate(days)
    ]


def course(windows: Sequence[Sequence[Signal]]) -> str:
    """What was said each day; a dot where nothing was."""
    turns = passed(windows)
    return " ".join("+".join(c.what for c in changes) or "." for _, changes in turns)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("gg", ". ."),
        ("bbbg", "opened kept kept over"),
        ("bgg", "opened over ."),
        ("bgbg", "opened over again over"),
        ("bggb", "opened over . opened"),
        ("bBbg", "opened worse kept over"),
        ("bnnbg", "opened . . kept over"),
        ("b-b", "opened . kept"),
        ("b------", "opened . . . . . ."),
        ("b-------", "opened . . . . . . over"),
    ],
)
def test_a_bad_signal_is_one_alert(days: str, said: str) -> None:
    assert course(drift(days)) == said


def test_an_episode_counts_its_windows_and_says_how_long_it_lasted() -> None:
    state, [change] = passed(drift("bbbg"))[-1]
    assert state.open == []
    assert (change.episode.windows, change.episode.last) == (3, START + 2 * DAY)
    end = over(change.episode, START + 3 * DAY, change.why)
    assert (end.key, end.verdict) == ("alert/drift.labels/2026-01-13T00/over", "over")
    assert end.reason == "drift.labels: over after 3 days, bad in 3 windows since 2026-01-13 00:00"
    assert end.evidence.stored()["alert"] == "alert/drift.labels/2026-01-13T00"
    assert state.opened == 1


def test_an_alert_of_which_nothing_is_heard_ends_and_says_so() -> None:
    _, [change] = passed(drift("b-------"))[-1]
    assert over(change.episode, START, change.why).reason.startswith(
        "drift.labels: nothing more was heard of it after 7 days"
    )


def test_severity_grows_and_does_not_shrink() -> None:
    turns = passed(drift("bBb"))
    assert [s.open[0].severity for s, _ in turns] == ["info", "warning", "warning"]


@pytest.mark.parametrize("days", ["bbbg", "bgbg", "bgggggb", "bBnnnnnnnnnb"])
def test_a_turn_done_again_gives_the_same(days: str) -> None:
    state = Episodes()
    for day, signals in enumerate(drift(days)):
        now = START + day * DAY
        once = turn(state, signals, found(signals), "1", now)
        kept = Episodes.of(once[0].stored())
        assert kept == replace(once[0], before=replace(state, before=None))
        assert turn(kept, signals, found(signals), "1", now)[1] == once[1]
        state = kept


def test_what_is_remembered_does_not_grow() -> None:
    turns = passed(drift("bgggg" * 40))
    assert max(len(s.episodes) for s, _ in turns) == 2
    assert turns[-1][0].opened == 40


def test_a_clock_that_goes_back_keeps_the_alert() -> None:
    (state, _), windows = passed(drift("bb"))[-1], drift("b")
    again, changes = turn(state, windows[0], found(windows[0]), "1", START - 9 * DAY)
    assert [c.what for c in changes] == ["kept"]
    assert len(again.open) == 1


LOW = {"baseline": 0.8, "low": 0.4, "high": 0.7}


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("accuracy", LOW, ["kept"]),
        ("confidence", {"baseline": 0.8}, ["over", "opened"]),
        ("drift.labels", {"baseline": 0.3, "reference": "since-promotion"}, ["over", "opened"]),
        ("drift.labels", {"baseline": 0.3, "reference": "sliding"}, ["kept"]),
        ("expectations.failed", {"baseline": 0.01}, ["kept"]),
    ],
)
def test_a_promotion_ends_what_was_said_of_the_old_model_only(
    name: str, more: dict[str, Any], said: list[str]
) -> None:
    days = [signal(name, 0.6, day, **more) for day in range(2)]
    state, _ = turn(Episodes(), days[:1], found(days[:1]), "1", START)
    state, changes = turn(state, days[1:], found(days[1:]), "2", START + DAY)
    assert [c.what for c in changes] == said
    assert [e.model for e in state.open] == ["2" if len(said) > 1 else ""]
    if len(said) > 1:
        assert changes[0].why == "model 2 serves in place of 1"


def test_an_old_models_alert_does_not_come_back_with_the_new_one() -> None:
    bad = [signal("confidence", 0.6, day, **LOW) for day in range(3)]
    state, _ = turn(Episodes(), bad[:1], found(bad[:1]), "1", START)
    state, ended = turn(state, [], [], "2", START + DAY)
    assert [c.what for c in ended] == ["over"]
    state, changes = turn(state, bad[2:], found(bad[2:]), "2", START + 2 * DAY)
    assert [(c.what, c.episode.model) for c in changes] == [("opened", "2")]
    assert len(state.episodes) == 2
    state, changes = turn(state, bad[2:], found(bad[2:]), "2", START + 3 * DAY)
    assert [c.what for c in changes] == ["kept"]


# -- fatigue --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_watched", "value", "note"),
    [
        (None, None, "not enough history: 0 hours of 7 days"),
        (6, None, "not enough history: 6 days of 7 days"),
        (7, 3.0, "3 in 7 days"),
        (14, 1.5, "3 in 14 days"),
        (90, 0.75, "3 in 28 days"),
    ],
)
def test_alerts_a_week(days_watched: int | None, value: float | None, note: str) -> None:
    alerts = [Decision(f"a{d}", "monitoring", START - d * DAY, "alert", "") for d in (0, 1, 2, 6, 30)]
    alerts.append(Decision("a1/over", "monitoring", START - DAY, "over", ""))
    since = None if days_watched is None else START - days_watched * DAY
    seen = fatigue(alerts, since, START)
    assert (seen.name, seen.value, seen.note) == ("alerts.week", value, note)
