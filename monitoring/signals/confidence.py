"""How sure the model is of its answers, against the reference's answers of the same version."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.arrays import Array, Frame
from core.records.signals import Signal
from core.records.windows import Window
from core.tasks import CLASSIFICATION
from monitoring.drift.shares import MIN_DAY_ROWS
from monitoring.drift.threshold import DayVariation, DriftResult, Threshold, day_variation
from monitoring.limits import CONFIDENCE_DROP, MIN_ROWS
from monitoring.signals.means import mean
from monitoring.view import Spec, View, commonest

CONFIDENCE = Spec(
    "confidence",
    "probability",
    "confidence",
    "below",
    "confidence: mean {value:.3f}, less than {baseline:.3f}",
)
ENTROPY = Spec(
    "entropy",
    "share",
    "proxy",
    "above",
    "entropy: {value:.3f} of the most there can be, more than {baseline:.3f}",
    (CLASSIFICATION,),
)
SPECS = (CONFIDENCE, ENTROPY)


def measure(view: View) -> Iterator[Signal]:
    yield from _confidence(view)
    yield _entropy(view)


def _confidence(view: View) -> Iterator[Signal]:
    scores = _scores(view.window.rows)
    if len(scores) == 0:
        yield view.signal(CONFIDENCE, None, "not enough rows: 0 with a score")
        return
    found = fall(view)
    if isinstance(found, str):
        yield view.signal(CONFIDENCE, float(scores.mean()), found)
        return
    ours, lost = found
    usual = ours + lost.value
    note = f"{usual:.3f} ± {lost.sd:.3f} over {lost.rows:,} reference rows"
    note += f" of {lost.nearest}" if lost.nearest else ""
    yield view.signal(CONFIDENCE, ours, note, baseline=usual - lost.threshold)


def fall(view: View) -> tuple[float, DriftResult] | str:
    """Mean confidence of the answers of the window's commonest version, and how far it has fallen: from
    all days of the reference, or from those of the same weekday where these are nearer to it."""
    window, reference, settings = view.window.rows, view.reference.rows, view.settings
    version = commonest(window["model_version"])
    ours = _scores(window[window["model_version"] == version])
    there = (reference["model_version"] == version) & np.isfinite(reference["confidence"].astype(float))
    theirs = _scores(reference[there])
    if min(len(ours), len(theirs)) < MIN_ROWS:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        return f"not comparable: model_version {version} is behind {counts}"
    ages = view.ages(view.reference.take(there.to_numpy(dtype=bool)))
    rule = Threshold(settings.drift_sd, CONFIDENCE_DROP)
    spread, ordinary = float(theirs.std()), _ordinary(theirs, ages)
    mean, found = float(ours.mean()), []
    for name, some in (("", theirs), ("the same weekday", theirs[ages % 7 == 0])):
        if len(some) >= MIN_ROWS:
            sd = spread * float(np.sqrt(1 / len(ours) + 1 / len(some)))
            found.append(rule.compare(float(some.mean()) - mean, sd, ordinary, len(some), name))
    return mean, min(found, key=lambda d: d.value - d.threshold)


def _ordinary(scores: Array, ages: Array) -> DayVariation:
    """What the means of (m,) scores of days, `ages` windows old, differ beyond sampling noise: each day
    against the others."""
    _, day = np.unique(ages, return_inverse=True)
    rows, sums = np.bincount(day).astype(float), np.bincount(day, scores)
    others = rows.sum() - rows
    some = (rows >= MIN_DAY_ROWS) & (others >= MIN_DAY_ROWS)
    away = (sums.sum() - sums[some]) / others[some] - sums[some] / rows[some]
    return day_variation(away, scores.std() * np.sqrt(1 / rows[some] + 1 / others[some]))


def _scores(rows: Frame) -> Array:
    scores: Array = rows["confidence"].to_numpy(dtype=float)
    return scores[np.isfinite(scores)]


def _entropy(view: View) -> Signal:
    """Of the answers of the window's commonest version; the reference's are of that version too."""
    if len(view.window) == 0:
        return view.signal(ENTROPY, None, "not enough rows: 0")
    version = commonest(view.window.rows["model_version"])
    ours, theirs = (_entropies(sample, version) for sample in view.sample)
    return mean(view, ENTROPY, ours, theirs, f"of model_version {version}, with probabilities")


def _entropies(window: Window, version: str) -> Array:
    """(m,) Shannon entropy of each answer of a version over that of equally likely labels."""
    rows, given = np.flatnonzero(window.rows["model_version"] == version), window.probabilities
    if len(given) != len(window):
        return np.zeros(0)
    if isinstance(given, np.ndarray):
        return _evenness(given[rows])
    return np.array([_evenness(given[i][None])[0] for i in rows])


def _evenness(shares: Array) -> Array:
    """(m,) from (m, n_labels) probabilities; NaN where they are none, or there is one label only."""
    if shares.shape[1] < 2:
        return np.full(len(shares), np.nan)
    with np.errstate(all="ignore"):
        p = shares / shares.sum(axis=1, keepdims=True)
        p = np.where((p >= 0).all(axis=1, keepdims=True), p, np.nan)
        nats = -np.where(p > 0, p * np.log(p), p).sum(axis=1)
        return np.asarray(nats / np.log(float(shares.shape[1])))
