"""A window becomes signals; nothing raises and nothing is silently zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.arrays import Array
from core.records.signals import Signal
from core.records.windows import Window
from monitoring import Monitoring
from monitoring.accuracy.shares import plain, weighted
from monitoring.alerts.findings import findings
from monitoring.monitor import observe
from monitoring.reports import window_report
from monitoring.signals import SPECS
from monitoring.view import ServedModel, View
from tests.monitoring.changes import signal_names

NOW = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Monitoring()
LABELS = ["refund", "delivery", "invoice"]
NAMES = signal_names(SETTINGS.metrics)
OF_SERVERS = ("system.errors", "system.queue", "system.memory", "system.gpu")  # which know no segments


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
            "output": [LABELS[c] for c in codes],
            "confidence": rng.uniform(0.8, 1.0, n),
            "encoder": "minilm",
            "user_key": "",
            "truth": pd.Series([None] * n, dtype=object),
            "score": np.nan,
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
    model = ServedModel("1", LABELS, frozenset(known or LABELS), "minilm", classify)
    return observe(View(window, reference, model, settings))


def seen(window: Window, reference: Window, **settings: object) -> dict[str, Signal]:
    found = look(window, reference, Monitoring(**settings))
    return {s.name: s for s in found if not s.segment}


def test_usual_traffic_gives_every_signal_and_breaks_no_rule():
    signals = look(today(), before())
    assert [s.name for s in signals if not s.segment] == NAMES
    assert [s.name for s in signals if s.segment == "model_version=1"] == ["accuracy"]
    silent = {s.name for s in signals if SPECS[s.name].bad and s.value is None}
    needy = {n for n in NAMES if SPECS[n].kind in ("accuracy", "feedback", "system") and SPECS[n].bad}
    assert silent == {"drift.week", "text.unknown", "duplicates", *needy}
    assert findings(signals, (), lambda rule, signal: ()) == []
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
                "accuracy.estimated": "not enough rows: 0 with a score",
            },
            id="empty window",
        ),
        pytest.param(
            today().take(np.array([0])),
            before(),
            {
                "drift.embeddings": "not enough rows: 1, 50 needed",
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
    signals = seen(today(output="refund"), before(output="refund"))
    assert (signals["drift.labels"].value, signals["drift.labels"].baseline) == (0.0, 0.1)


def test_classify_gives_both_sides_the_same_eyes():
    """A promoted model knows a label the old one did not: no drift of labels."""
    window, reference = today(model_version="2", output="new"), before()

    found = look(window, reference, known={*LABELS, "new"}, classify=lambda rows: rows[:, :3])
    labels = next(s for s in found if s.name == "drift.labels")
    assert labels.value is not None
    assert labels.value < labels.baseline


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


def test_large_segments_have_every_signal():
    plan = ["pro"] * 60 + ["free"] * 20
    found = look(today(**{"segment.plan": plan}), before())
    assert [s.name for s in found if s.segment == "plan=pro"] == [
        n for n in NAMES if n not in OF_SERVERS
    ]
    assert {s.segment for s in found} == {"", "model_version=1", "plan=pro"}


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
    page = window_report(today(output="refund"), nothing(before()), tmp_path / "window.html")
    assert "predicted label" in page.read_text(encoding="utf-8")
