"""Is it other traffic than the reference's? Its embeddings, what the model says of them, and its texts.

Two of these alarm: MMD^2 of the embeddings (of the day, and of the last week for what comes slowly)
and L1 of the predicted labels. The others say what kind of change it is, and are for looking at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from core.arrays import Array
from core.records.signals import Signal
from core.records.windows import Window
from core.tasks import CLASSIFICATION
from monitoring.drift.descriptors import DESCRIPTORS, describe
from monitoring.drift.distances import ORDERED, SHARES
from monitoring.drift.features import IncomparableError, spread_out
from monitoring.drift.pca import principal
from monitoring.drift.shares import count, in_bins, shares_drift
from monitoring.drift.threshold import DriftResult, Threshold
from monitoring.drift.two_sample import classifier_drift
from monitoring.limits import LABEL_SHIFT, MIN_ROWS
from monitoring.view import Spec, View

Distances = Callable[[str, Spec], DriftResult]  # of a metric; raises IncomparableError
SCORE_BINS = 20
MOST_ROWS = 5_000  # of each side, for everything but MMD: their noise is far below what matters
UNITS = {
    "psi": "PSI",
    "kl": "nats",
    "js": "JS",
    "ks": "KS",
    "l1": "L1",
    "linf": "share",
    "emd": "share",
}


def _spec(name: str, unit: str, bad: bool = False, words: str = "") -> Spec:
    tasks = (CLASSIFICATION,) if name.startswith("drift.labels") else ()
    return Spec(name, unit, "drift", "above" if bad else None, words, tasks)


EMBEDDINGS = _spec(
    "drift.embeddings",
    "MMD^2",
    True,
    "drift of embeddings: MMD^2 {value:.4f}, more than {baseline:.4f}",
)
WEEK = _spec(
    "drift.week",
    "MMD^2",
    True,
    "slow drift of embeddings: MMD^2 of the last week {value:.5f}, more than {baseline:.5f}",
)
C2ST = _spec("drift.embeddings.c2st", "accuracy")
PCA = _spec("drift.embeddings.emd", "share")
LABELS = _spec(
    "drift.labels",
    "L1",
    True,
    "drift of predicted labels: L1 {value:.2f}, more than {baseline:.2f}",
)
OF_LABELS = {"l1": LABELS} | {
    m: _spec(f"drift.labels.{m}", UNITS[m]) for m in SHARES if m not in ("l1", *ORDERED)
}
OF_CONFIDENCE = {m: _spec(f"drift.confidence.{m}", UNITS[m]) for m in ("emd", "ks", "psi", "kl", "js")}
OF_TEXT = {m: _spec(f"drift.text.{m}", UNITS[m]) for m in ("emd", "ks", "psi", "kl", "js")}
SPECS = (
    EMBEDDINGS,
    WEEK,
    C2ST,
    PCA,
    *OF_LABELS.values(),
    *OF_CONFIDENCE.values(),
    *OF_TEXT.values(),
)


def measure(view: View) -> Iterator[Signal]:
    for spec, found in held(view):
        if isinstance(found, str):
            yield view.signal(spec, None, found)
        else:
            yield view.signal(spec, found.value, str(found), baseline=found.threshold)


def held(view: View) -> Iterator[tuple[Spec, DriftResult | str]]:
    """Each distance and what it is held against, or why there is none."""
    chosen: set[str] = set(view.settings.metrics)
    if "mmd" in chosen:
        seen = view.embedding_drift
        yield EMBEDDINGS, seen if isinstance(seen, str) else seen.day
        yield WEEK, seen if isinstance(seen, str) else seen.week
    for prepare, specs in PARTS.items():
        measured = None
        for metric, spec in specs:
            if metric in chosen:
                try:
                    measured = measured or prepare(view)
                    yield spec, measured(metric, spec)
                except IncomparableError as why:
                    yield spec, str(why)


def _embeddings(view: View) -> Distances:
    """Of the embeddings, through a classifier and through their principal components."""
    ours, theirs = view.comparable("encoder")

    def measured(metric: str, _spec: Spec) -> DriftResult:
        if metric == "c2st":
            some, others = (spread_out(w.embeddings, MOST_ROWS) for w in (ours, theirs))
            return classifier_drift(some, others, Threshold(view.settings.drift_sd, 0.05))
        few, many = _thinned(ours), _thinned(theirs)
        numbers = principal(few.embeddings, many.embeddings)
        names = [f"component {i + 1}" for i in range(numbers[0].shape[1])]
        return _worst(view, numbers, view.ages(many), metric, names)

    return measured


def _predicted(view: View) -> Distances:
    """With the model that serves now at hand, both sides are its view of them; else only rows that the
    window's own model answered are compared, since a new model with new labels is not new traffic."""
    model = view.model
    encoders = {str(e) for w in (view.window, view.reference) for e in w.rows["encoder"].unique()}
    classify = model.classify if encoders <= {model.encoder} else None
    sides = [_thinned(w) for w in view.comparable("encoder" if classify else "model_version")]
    if classify:
        sound = [np.asarray(np.isfinite(w.embeddings).all(axis=1)) for w in sides]
        sides = [w if where.all() else w.take(where) for w, where in zip(sides, sound, strict=True)]
        if min(map(len, sides)) < MIN_ROWS:
            counts = "{} of the window and {} of the reference".format(*((~s).sum() for s in sound))
            raise IncomparableError(f"not comparable: embeddings that are no numbers, {counts}")
        shares = [classify(w.embeddings) for w in sides]
        labels = [np.array(model.labels)[s.argmax(axis=1)] for s in shares]
        scores = [s.max(axis=1) for s in shares]
    else:
        labels = [w.rows["output"].to_numpy(dtype=str) for w in sides]
        scores = [w.rows["confidence"].to_numpy(dtype=float) for w in sides]
    ages = view.ages(sides[1])

    def measured(metric: str, spec: Spec) -> DriftResult:
        if spec in OF_LABELS.values():
            names, codes = np.unique(np.concatenate(labels), return_inverse=True)
            both = codes[: len(labels[0])], codes[len(labels[0]) :]
            return _between(view, *both, len(names), ages, metric)
        finite = [np.isfinite(x) for x in scores]
        if not all(f.any() for f in finite):
            raise IncomparableError("not enough rows: 0 with a score")
        some = (x[f] * SCORE_BINS for x, f in zip(scores, finite, strict=True))
        both = tuple(np.clip(x.astype(int), 0, SCORE_BINS - 1) for x in some)
        return _between(view, *both, SCORE_BINS, ages[finite[1]], metric)

    return measured


def _texts(view: View) -> Distances:
    ours, theirs = (_thinned(w) for w in view.comparable("variant"))
    numbers = (describe(map(str, ours.rows["text"])), describe(map(str, theirs.rows["text"])))
    ages = view.ages(theirs)
    return lambda metric, _spec: _worst(view, numbers, ages, metric, list(DESCRIPTORS))


PARTS: dict[Callable[[View], Distances], list[tuple[str, Spec]]] = {
    _embeddings: [("c2st", C2ST), ("emd", PCA)],
    _predicted: [*OF_LABELS.items(), *OF_CONFIDENCE.items()],
    _texts: [*OF_TEXT.items()],
}


def _worst(
    view: View, numbers: tuple[Array, Array], ages: Array, metric: str, names: list[str]
) -> DriftResult:
    """The column of (n, k) against (m, k) numbers that moved most; `nearest` names it."""
    found = []
    for name, ours, theirs in zip(names, numbers[0].T, numbers[1].T, strict=True):
        drift = _between(view, *in_bins(ours, theirs), ages, metric)
        against = f"{name}, {drift.nearest}" if drift.nearest else name
        found.append(replace(drift, nearest=against))
    return max(found, key=lambda drift: drift.value - drift.threshold)


def _between(
    view: View, ours: Array, theirs: Array, classes: int, ages: Array, metric: str
) -> DriftResult:
    """The distance of (n,) and (m,) codes of classes. Only L1, which is of labels, has a floor."""
    counts = np.bincount(ours, minlength=classes), count(theirs, classes, ages)
    rule = Threshold(view.settings.drift_sd, LABEL_SHIFT if metric == "l1" else 0.0)
    return shares_drift(*counts, np.unique(ages), SHARES[metric], rule, view.seed)


def _thinned(window: Window) -> Window:
    """Evenly, in the order of time."""
    if len(window) <= MOST_ROWS:
        return window
    return window.take(np.linspace(0, len(window) - 1, MOST_ROWS).astype(int))
