"""A window becomes signals, signals become alerts; nothing raises and nothing is silently zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.records import Array, Signal, Window
from monitoring import Monitoring
from monitoring.accuracy import plain, weighted
from monitoring.alerts import alerts
from monitoring.monitor import observe
from monitoring.reports import window_report
from monitoring.view import Model, View

NOW = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Monitoring()
LABELS = ["refund", "delivery", "invoice"]
NAMES = [
    "rows",
    "expectations.failed",
    "expectations.broken",
    "drift.embeddings",
    "drift.week",
    "drift.embeddings.c2st",
    "drift.embeddings.emd",
    "drift.labels",
    "drift.labels.linf",
    "drift.confidence.emd",
    "drift.text.emd",
    "confidence",
    "accuracy.audit",
    "accuracy.ipw",
]


def traffic(start: datetime, days: int, rows: int = 80, seed: int = 0, **columns: object) -> Window:
    """`rows` answers a day, evenly spread, of three labels that the model tells apart."""
    rng = np.random.default_rng([seed, start.toordinal()])
    n = rows * days
    codes = rng.integers(0, len(LABELS), n)
    frame = pd.DataFrame(
        {
            "prediction_id": [f"p{start:%d}-{i}" for i in range(n)],
            "request_id": [f"r{start:%d}-{i}" for i in range(n)],
            "timestamp": [start + DAY * days * (i / n) for i in range(n)],
            "model_version": "1",
            "variant": "champion",
            "text": [f"where is it {i}" for i in range(n)],
            "label": [LABELS[c] for c in codes],
            "score": rng.uniform(0.8, 1.0, n),
            "encoder": "minilm",
            "user_key": "",
            "truth": pd.Series([None] * n, dtype=object),
            "audit": False,
            "propensity": np.nan,
        }
    ).assign(**columns)
    embeddings = (np.eye(3, 8)[codes] * 3 + rng.normal(size=(n, 8))).astype(np.float32)
    return Window(start, start + DAY * days, frame, embeddings, [np.ones(3, np.float32)] * n)


def today(**columns: object) -> Window:
    return traffic(NOW - DAY, 1, **columns)


def before(**columns: object) -> Window:
    return traffic(NOW - 8 * DAY, 7, **columns)


def with_embeddings(window: Window, embeddings: Array) -> Window:
    return replace(window, embeddings=embeddings)


def nothing(window: Window) -> Window:
    return replace(window.take(np.zeros(0, dtype=int)), embeddings=np.zeros((0, 0), np.float32))


def look(
    window: Window,
    reference: Window,
    settings: Monitoring = SETTINGS,
    known: set[str] | None = None,
    classify: Callable[[Array], Array] | None = None,
) -> list[Signal]:
    model = Model("1", LABELS, frozenset(known or LABELS), "minilm", classify)
    return observe(View(window, reference, model, settings))


def seen(window: Window, reference: Window, **settings: object) -> dict[str, Signal]:
    found = look(window, reference, Monitoring(**settings))
    return {s.name: s for s in found if not s.segment}


def test_usual_traffic_gives_every_signal_and_no_alert():
    signals = look(today(), before())
    assert [s.name for s in signals] == NAMES
    assert [s.name for s in signals if s.value is None] == [
        "drift.week",
        "accuracy.audit",
        "accuracy.ipw",
    ]
    assert alerts(signals, SETTINGS, NOW) == []
    assert all((s.window_start, s.window_end) == (NOW - DAY, NOW) for s in signals)
    assert signals == look(today(), before())


@pytest.mark.parametrize(
    ("window", "reference", "notes"),
    [
        pytest.param(
            nothing(today()),
            before(),
            {
                "expectations.failed": "not enough rows: 0",
                "drift.embeddings": "not enough rows: 0, 50 needed",
                "drift.labels": "not enough rows: 0, 50 needed",
                "confidence": "not enough rows: 0 with a score",
                "accuracy.audit": "not enough rows: 0",
                "accuracy.ipw": "not enough rows: 0",
            },
            id="empty window",
        ),
        pytest.param(
            today().take(np.array([0])),
            before(),
            {
                "drift.embeddings": "not enough rows: 1, 50 needed",
                "accuracy.audit": "not enough labels of model_version 1: 0, 10 needed",
            },
            id="one row",
        ),
        pytest.param(
            today(),
            nothing(before()),
            {
                "rows": "not comparable: no reference",
                "drift.embeddings": "not enough reference: 0 rows, 100 needed",
                "drift.labels": "not enough reference: 0 rows, 100 needed",
                "confidence": "not comparable: model_version 1 is behind "
                "80 rows of the window and 0 of the reference",
            },
            id="no reference",
        ),
        pytest.param(
            today(),
            traffic(NOW - 2 * DAY, 1, rows=200),
            {
                "drift.embeddings": "not enough reference: 1 window's worth, "
                "2 needed to know what is usual"
            },
            id="one day of reference",
        ),
        pytest.param(
            with_embeddings(today(), np.full((80, 8), np.nan, np.float32)),
            before(),
            {
                "drift.embeddings": "not comparable: "
                "80 of 80 embeddings of the window are not finite numbers"
            },
            id="NaN",
        ),
        pytest.param(
            today(),
            with_embeddings(before(), np.ones((560, 8), np.float32)),
            {"drift.embeddings": "not comparable: the embeddings of the reference are all the same"},
            id="constant reference",
        ),
        pytest.param(
            with_embeddings(today(), np.ones((80, 4), np.float32)),
            before(),
            {"drift.embeddings": "not comparable: 4 dimensions in the window, 8 in the reference"},
            id="other dimensions",
        ),
        pytest.param(
            today(encoder="tuned"),
            before(),
            {
                "drift.embeddings": "not comparable: encoder tuned is behind "
                "80 rows of the window and 0 of the reference"
            },
            id="other encoder",
        ),
        pytest.param(
            today(model_version="2"),
            before(),
            {
                "drift.labels": "not comparable: model_version 2 is behind "
                "80 rows of the window and 0 of the reference"
            },
            id="a new model without classify",
        ),
    ],
)
def test_what_cannot_be_said_is_a_note(window, reference, notes):
    signals = seen(window, reference)
    assert list(signals) == NAMES
    assert {n: signals[n].note for n in notes} == notes
    silent = [
        n for n in notes if n not in ("rows", "confidence") or (n == "confidence" and not len(window))
    ]
    assert [signals[n].value for n in silent] == [None] * len(silent)


def test_constant_embeddings_in_the_window_are_drift():
    signals = seen(with_embeddings(today(), np.ones((80, 8), np.float32)), before())
    assert signals["drift.embeddings"].value > signals["drift.embeddings"].baseline


def test_one_class_on_both_sides_is_no_drift():
    signals = seen(today(label="refund"), before(label="refund"))
    assert (signals["drift.labels"].value, signals["drift.labels"].baseline) == (0.0, 0.1)


def test_a_missing_column_is_bad_quality_and_everything_else_a_note():
    window = today()
    bad = replace(window, rows=window.rows.drop(columns=["label", "score"]))
    signals = seen(bad, before())
    assert list(signals) == NAMES
    assert (signals["expectations.failed"].value, signals["expectations.failed"].note) == (
        1.0,
        "schema failed",
    )
    assert signals["drift.labels"].note == "not comparable: no column label, score"


def test_classify_gives_both_sides_the_same_eyes():
    """A promoted model knows a label the old one did not: no drift of labels."""
    window, reference = today(model_version="2", label="new"), before()

    found = look(window, reference, known={*LABELS, "new"}, classify=lambda rows: rows[:, :3])
    labels = next(s for s in found if s.name == "drift.labels")
    assert labels.value is not None
    assert labels.value < labels.baseline


def test_accuracy_on_audit_labels_is_the_plain_mean_with_a_wilson_interval():
    audit = np.arange(80) < 20
    truth = [("refund" if i < 18 else "invoice") if i < 20 else None for i in range(80)]
    window = today(label="refund", audit=audit, truth=pd.Series(truth, dtype=object))
    signal = seen(window, before())["accuracy.audit"]
    assert signal.value == 0.9
    assert (round(signal.low, 3), round(signal.high, 3)) == (0.699, 0.972)
    assert (signal.baseline, signal.note) == (0.8, "20 labels of model_version 1")


def test_labels_of_an_older_model_do_not_count():
    truth = pd.Series(["refund"] * 560, dtype=object)
    signal = seen(today(model_version="2"), before(truth=truth, audit=True))["accuracy.audit"]
    assert signal.note == "not enough labels of model_version 2: 0, 10 needed"


def test_weighting_undoes_a_choice_of_hard_examples():
    """Of 10,000 answers 80 % are right; the wrong ones are picked nine times as often."""
    values, covered = [], 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        right = rng.random(10_000) < 0.8
        propensity = np.where(right, 0.01, 0.09)
        picked = rng.random(10_000) < propensity
        estimate = weighted(right[picked], propensity[picked])
        values.append(estimate.value)
        covered += estimate.low <= right.mean() <= estimate.high
        assert plain(right[picked]).value < 0.45
    assert np.mean(values) == pytest.approx(0.8, abs=0.01)
    assert covered >= 180


def test_large_segments_have_every_signal_and_raise_no_alert():
    plan = ["pro"] * 60 + ["free"] * 20
    found = look(today(**{"segment.plan": plan}), before())
    assert [s.name for s in found if s.segment == "plan=pro"] == NAMES
    assert {s.segment for s in found} == {"", "plan=pro"}
    bad = replace(found[0], segment="plan=pro", value=0.0, baseline=16.0)
    assert alerts([bad], SETTINGS, NOW) == []


def signal(name: str, value: float | None, **more: object) -> Signal:
    return Signal(name, NOW - DAY, NOW, value, "unit", **more)


@pytest.mark.parametrize(
    ("broken", "kind", "severity", "reason"),
    [
        (
            signal(
                "drift.embeddings",
                0.031,
                baseline=0.0172,
                note="6.1 sd above what this traffic does by itself (0.004 ± 0.002, 98 reference rows)",
            ),
            "drift",
            "warning",
            "drift of embeddings: MMD^2 0.0310, more than 0.0172; 6.1 sd above what this traffic "
            "does by itself (0.004 ± 0.002, 98 reference rows)",
        ),
        (
            signal("drift.labels", 1.4, baseline=0.6),
            "drift",
            "critical",
            "drift of predicted labels: L1 1.40, more than 0.60",
        ),
        (
            signal("expectations.failed", 0.015, baseline=0.01, note="text.empty 3"),
            "quality",
            "warning",
            "data quality: 1.5% of rows fail a check, more than 1.0%; text.empty 3",
        ),
        (
            signal("expectations.broken", 1.0, baseline=0.0, note="score.range: no number"),
            "quality",
            "critical",
            "data quality: 1 checks could not run on this data; score.range: no number",
        ),
        (
            signal("rows", 0.0, baseline=40.0, note="200 rows in a usual window"),
            "quality",
            "critical",
            "traffic: 0 rows, fewer than 40; 200 rows in a usual window",
        ),
        (
            signal("confidence", 0.71, baseline=0.8, note="0.850 ± 0.010 over 1,400 reference rows"),
            "confidence",
            "warning",
            "confidence: mean 0.710, less than 0.800; 0.850 ± 0.010 over 1,400 reference rows",
        ),
        (
            signal("accuracy.audit", 0.6, baseline=0.8, low=0.45, high=0.73, note="40 labels"),
            "accuracy",
            "critical",
            "accuracy on audit labels: 0.600 (95 % interval 0.450..0.730), less than 0.800; 40 labels",
        ),
    ],
)
def test_a_broken_rule_says_what_and_what_next(broken, kind, severity, reason):
    (alert,) = alerts([broken], SETTINGS, NOW)
    assert alert.reason == reason
    assert alert.evidence["next"] == "everloop monitor --report"
    assert (alert.key, alert.stage, alert.verdict, alert.severity, alert.timestamp) == (
        f"alert/{broken.name}/2026-01-13T00",
        "monitoring",
        "alert",
        severity,
        NOW,
    )
    assert {k: alert.evidence[k] for k in ("signal", "kind", "value", "baseline")} == {
        "signal": broken.name,
        "kind": kind,
        "value": broken.value,
        "baseline": broken.baseline,
    }


@pytest.mark.parametrize(
    "kept",
    [
        signal("drift.embeddings", None, note="not enough rows: 0, 50 needed"),
        signal("drift.embeddings", 0.01, baseline=0.01),
        signal("accuracy.ipw", 0.7, baseline=0.8, low=0.5, high=0.85),
        signal("rows", 0.0),
        signal("confidence", 0.1, baseline=0.8, segment="plan=pro"),
        signal("somebody.else", 9.0, baseline=1.0),
    ],
)
def test_no_alert_without_a_broken_rule(kept):
    assert alerts([kept], SETTINGS, NOW) == []


def test_bad_rows_of_a_window_end_in_an_alert():
    window = today()
    texts = ["" if i < 4 else t for i, t in enumerate(window.rows["text"])]
    signals = look(today(text=texts), before())
    (alert,) = alerts(signals, SETTINGS, NOW)
    assert alert.reason == ("data quality: 5.0% of rows fail a check, more than 1.0%; text.empty 4")


def test_the_report_is_one_file_that_works_offline(tmp_path):
    page = window_report(today(), before(), tmp_path / "monitoring" / "window.html")
    html = page.read_text(encoding="utf-8")
    assert [c for c in ("text", "predicted label", "confidence", "length") if c not in html] == []
    assert (
        re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//", html)
        == []
    )
    assert [p.name for p in page.parent.iterdir()] == ["window.html"]


@pytest.mark.parametrize("rows", [0, 1])
def test_a_report_of_too_few_rows_says_so(tmp_path, rows):
    page = window_report(today().take(np.arange(rows)), before(), tmp_path / "window.html")
    assert f"{rows} rows, 10 needed for a report." in page.read_text(encoding="utf-8")


def test_a_report_without_a_reference_describes_the_window(tmp_path):
    page = window_report(today(label="refund"), nothing(before()), tmp_path / "window.html")
    assert "predicted label" in page.read_text(encoding="utf-8")
