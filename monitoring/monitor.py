"""One pass over a window of traffic: everything there is to say about it, as signals.

`Signal.baseline` is the bound the value is held against, so a rule can be read off the stored signal
(see monitoring/alerts.py): drift and failed checks break above it, rows,
confidence and accuracy below it (accuracy with its whole interval). A signal without a value never
breaks a rule; its note says why there is none.

    rows                 rows             usual rows of a window x traffic_share
    expectations.failed  share of rows    failed_share
    expectations.broken  checks           0
    drift.embeddings     MMD^2            what the traffic does by itself + drift_sd sds of noise
    drift.labels         L1               the same
    confidence           probability      the reference's mean of the same model - the larger of
                                          confidence_drop and drift_sd sds
    accuracy.audit       share of labels  accuracy_floor
    accuracy.ipw         share of labels  accuracy_floor

`rows` and `confidence` are also given for each segment that has enough rows, without a baseline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd

from core.records import Array, Signal, Window
from monitoring import Monitoring
from monitoring.accuracy import Estimate, plain, weighted
from monitoring.drift import Drift, IncomparableError, embedding_drift, label_drift
from monitoring.expectations import check

Classify = Callable[[Array], list[str]]
MIN_DAYS = 2
_NEEDED = ("timestamp", "model_version", "label", "score", "encoder", "truth", "audit", "propensity")
_UNITS = {
    "drift.embeddings": "MMD^2",
    "drift.labels": "L1",
    "confidence": "probability",
    "accuracy.audit": "share",
    "accuracy.ipw": "share",
}
MAX_SEGMENTS = 10  # of each segment column, the largest first


def observe(
    window: Window,
    reference: Window,
    known_labels: set[str],
    settings: Monitoring,
    seed: int = 0,
    classify: Classify | None = None,
) -> list[Signal]:
    """The signals of `window`, held against the `reference_days` of traffic before it.

    `classify` labels embeddings (n, dim) with the model that serves now. With it
    both sides of `drift.labels` are one model's view; without it only rows that the window's own model
    answered are compared, since a new model with new labels is not new traffic.

    Of a log that keeps some kinds of requests more often, `rows` counts what the kept ones stand for,
    accuracy weighs by their chances, and all else looks at the part that was drawn evenly.
    """
    whole, whole_reference = window, reference
    window, reference = window.even(), reference.even()
    first = [_rows(whole, whole_reference, settings), *_quality(window, known_labels, settings)]
    missing = _missing(window, reference)
    if missing:
        note = f"not comparable: no column {', '.join(missing)}"
        return first + [_signal(window, n, None, u, note) for n, u in _UNITS.items()]
    return [
        *first,
        _embeddings(window, reference, settings, seed),
        _labels(window, reference, settings, seed, classify),
        _confidence(window, reference, settings),
        *_accuracy(whole, whole_reference, settings),
        *_segments(window, settings),
    ]


def _missing(window: Window, reference: Window) -> list[str]:
    found = [set(w.rows.columns) for w in (window, reference) if len(w)]
    return [c for c in _NEEDED if any(c not in columns for columns in found)]


def _signal(window: Window, name: str, value: float | None, unit: str, note: str = "") -> Signal:
    return Signal(name, window.start, window.end, value, unit, note=note)


def _rows(window: Window, reference: Window, settings: Monitoring) -> Signal:
    signal = _signal(window, "rows", float((1 / window.kept).sum()), "rows")
    days = np.unique(_days(window, reference))
    if len(days) == 0:
        return replace(signal, note="not comparable: no reference")
    usual = float((1 / reference.kept).sum()) / len(days)
    note = f"{usual:,.0f} rows in a usual window"
    return replace(signal, baseline=usual * settings.traffic_share, note=note)


def _quality(window: Window, known_labels: set[str], settings: Monitoring) -> list[Signal]:
    failed, broken = "expectations.failed", "expectations.broken"
    if len(window) == 0:
        note = "not enough rows: 0"
        return [
            _signal(window, failed, None, "share", note),
            _signal(window, broken, None, "checks", note),
        ]
    checks = check(window, known_labels, settings.max_length)
    errors = [c for c in checks if c.error]
    bad = {i for c in checks for i in c.failed}
    schema = any(c.name == "schema" and not c.passed and not c.error for c in checks)
    counts = [f"{c.name} {len(c.failed) or 'failed'}" for c in checks if not c.passed and not c.error]
    share = 1.0 if schema else len(bad) / len(window)
    why = "; ".join(f"{c.name}: {c.error}" for c in errors)
    return [
        replace(
            _signal(window, failed, share, "share", ", ".join(counts)), baseline=settings.failed_share
        ),
        replace(_signal(window, broken, float(len(errors)), "checks", why), baseline=0.0),
    ]


def _embeddings(window: Window, reference: Window, settings: Monitoring, seed: int) -> Signal:
    def distance(ours: Window, theirs: Window) -> Drift:
        days, shift = _days(ours, theirs), settings.embedding_shift
        return embedding_drift(ours.embeddings, theirs.embeddings, days, settings.drift_sd, shift, seed)

    return _drift("drift.embeddings", "MMD^2", "encoder", window, reference, settings, distance)


def _labels(
    window: Window, reference: Window, settings: Monitoring, seed: int, classify: Classify | None
) -> Signal:
    def seen(rows: Window) -> list[str]:
        return classify(rows.embeddings) if classify else [str(x) for x in rows.rows["label"]]

    def distance(ours: Window, theirs: Window) -> Drift:
        days, shift = _days(ours, theirs), settings.label_shift
        return label_drift(seen(ours), seen(theirs), days, settings.drift_sd, shift, seed)

    same = "encoder" if classify else "model_version"
    return _drift("drift.labels", "L1", same, window, reference, settings, distance)


def _drift(
    name: str,
    unit: str,
    same: str,
    window: Window,
    reference: Window,
    settings: Monitoring,
    distance: Callable[[Window, Window], Drift],
) -> Signal:
    """A distance between rows that agree in the column `same`, or a note why there is none."""
    silent = _signal(window, name, None, unit)
    if len(window) < settings.min_rows:
        return replace(silent, note=f"not enough rows: {len(window)}, {settings.min_rows} needed")
    least = MIN_DAYS * settings.min_rows
    if len(reference) < least:
        return replace(silent, note=f"not enough reference: {len(reference)} rows, {least} needed")
    kind = _mode(window.rows[same])
    ours, theirs = (w.take((w.rows[same] == kind).to_numpy(dtype=bool)) for w in (window, reference))
    if len(ours) < settings.min_rows or len(theirs) < least:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        return replace(silent, note=f"not comparable: {same} {kind} is behind {counts}")
    days = len(np.unique(_days(ours, theirs)))
    if days < MIN_DAYS:
        note = f"not enough reference: {days} window's worth, {MIN_DAYS} needed to know what is usual"
        return replace(silent, note=note)
    try:
        found = distance(ours, theirs)
    except IncomparableError as why:
        return replace(silent, note=f"not comparable: {why}")
    return replace(silent, value=found.value, baseline=found.threshold, note=str(found))


def _confidence(window: Window, reference: Window, settings: Monitoring) -> Signal:
    scores = _scores(window.rows)
    if len(scores) == 0:
        return _signal(window, "confidence", None, "probability", "not enough rows: 0 with a score")
    signal = _signal(window, "confidence", float(scores.mean()), "probability")
    version = _mode(window.rows["model_version"])
    ours = _scores(window.rows[window.rows["model_version"] == version])
    theirs = _scores(reference.rows[reference.rows["model_version"] == version])
    if min(len(ours), len(theirs)) < settings.min_rows:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        return replace(signal, note=f"not comparable: model_version {version} is behind {counts}")
    sd = float(theirs.std()) * np.sqrt(1 / len(ours) + 1 / len(theirs))
    usual, drop = float(theirs.mean()), max(settings.confidence_drop, settings.drift_sd * sd)
    note = f"{usual:.3f} ± {sd:.3f} over {len(theirs):,} reference rows"
    return replace(signal, value=float(ours.mean()), baseline=usual - drop, note=note)


def _accuracy(window: Window, reference: Window, settings: Monitoring) -> Iterator[Signal]:
    """Of the model that serves now, over window and reference: labels come late and few."""
    for name in ("accuracy.audit", "accuracy.ipw"):
        silent = _signal(window, name, None, "share")
        if len(window) == 0:
            yield replace(silent, note="not enough rows: 0")
            continue
        version = _mode(window.rows["model_version"])
        both = pd.concat([w.rows for w in (reference, window) if len(w)], ignore_index=True)
        rows = both[both["truth"].notna() & (both["model_version"] == version)]
        rows = rows[rows["audit"].astype(bool)] if name == "accuracy.audit" else _with_propensity(rows)
        if len(rows) < settings.min_labels:
            counts = f"{len(rows)}, {settings.min_labels} needed"
            note = f"not enough labels of model_version {version}: {counts}"
            yield replace(silent, note=note)
            continue
        right = (rows["label"] == rows["truth"]).to_numpy(dtype=bool)
        found = (
            plain(right)
            if name == "accuracy.audit"
            else weighted(right, rows["propensity"].to_numpy(dtype=float))
        )
        if found.effective < settings.min_labels:
            worth = f"{found.labels} labels are worth {found.effective:.1f} drawn evenly"
            yield replace(silent, note=f"not enough labels: {worth}, {settings.min_labels} needed")
            continue
        yield _estimated(silent, found, version, settings)


def _estimated(silent: Signal, found: Estimate, version: str, settings: Monitoring) -> Signal:
    return replace(
        silent,
        value=found.value,
        low=found.low,
        high=found.high,
        baseline=settings.accuracy_floor,
        note=f"{found.labels} labels of model_version {version}",
    )


def _with_propensity(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["propensity"] > 0) & (rows["propensity"] <= 1)]


def _segments(window: Window, settings: Monitoring) -> Iterator[Signal]:
    for column in [c for c in window.rows if str(c).startswith("segment.")]:
        sizes = Counter(str(v) for v in window.rows[column] if v)
        for value, rows in sizes.most_common(MAX_SEGMENTS):
            if rows < settings.min_rows:
                continue
            segment = f"{str(column).removeprefix('segment.')}={value}"
            yield replace(_signal(window, "rows", float(rows), "rows"), segment=segment)
            scores = _scores(window.rows[window.rows[column] == value])
            if len(scores):
                mean = float(scores.mean())
                yield replace(_signal(window, "confidence", mean, "probability"), segment=segment)


def _days(window: Window, reference: Window) -> Array:
    """(n,) how many windows before this one a reference row was answered: 1 is the one just before."""
    if len(reference) == 0 or "timestamp" not in reference.rows:
        return np.zeros(0, dtype=int)
    length = max(window.end - window.start, timedelta(hours=1))
    before = pd.Timestamp(window.start) - pd.to_datetime(reference.rows["timestamp"], utc=True)
    return np.asarray(np.ceil(before.to_numpy() / np.timedelta64(length)), dtype=int)


def _mode(values: pd.Series) -> str:
    """The commonest value; of two equally common ones, the last seen."""
    counts = Counter(str(v) for v in values)
    return max(reversed(list(counts)), key=counts.__getitem__)


def _scores(rows: pd.DataFrame) -> Array:
    scores: Array = rows["score"].to_numpy(dtype=float)
    return scores[np.isfinite(scores)]
