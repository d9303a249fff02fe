"""Is it other traffic than the reference's? Its embeddings, what the model says of them, and its texts.

Two of these alarm: MMD^2 of the embeddings (of the day, and of the last week for what comes slowly)
and L1 of the predicted labels. The others say what kind of change it is, and are for looking at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

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


def asked(spec: Spec, metrics: Collection[str]) -> bool:
    """Whether these metrics bring this signal.

    >>> asked(LABELS, ["l1"]), asked(OF_LABELS["psi"], ["l1"]), asked(WEEK, ["l1"])
    (True, False, False)
    """
    of = {EMBEDDINGS.name: "mmd", WEEK.name: "mmd", LABELS.name: "l1"}
    return spec not in SPECS or of.get(spec.name, spec.name.rsplit(".", 1)[-1]) in metrics


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
    yield from _embeddings(view, chosen)
    yield from _predicted(view, chosen)
    yield from _texts(view, chosen)


def _embeddings(view: View, chosen: set[str]) -> Iterator[tuple[Spec, DriftResult | str]]:
    """The embeddings through a classifier, and through their principal components."""
    specs = [s for m, s in (("c2st", C2ST), ("emd", PCA)) if m in chosen]
    both = view.comparable("encoder")
    for spec in specs:
        try:
            yield spec, both if isinstance(both, str) else _projected(view, spec, *both)
        except IncomparableError as why:
            yield spec, f"not comparable: {why}"


def _projected(view: View, spec: Spec, ours: Window, theirs: Window) -> DriftResult:
    dims = ours.embeddings.shape[1], theirs.embeddings.shape[1]
    if dims[0] != dims[1]:
        raise IncomparableError(f"{dims[0]} dimensions in the window, {dims[1]} in the reference")
    if spec is C2ST:
        some, others = (spread_out(w.embeddings, MOST_ROWS) for w in (ours, theirs))
        return classifier_drift(some, others, Threshold(view.settings.drift_sd, 0.05))
    ours, theirs = _thinned(ours), _thinned(theirs)
    numbers = principal(ours.embeddings, theirs.embeddings)
    names = [f"component {i + 1}" for i in range(numbers[0].shape[1])]
    return _worst(view, numbers, view.ages(theirs), "emd", names)


def _predicted(view: View, chosen: set[str]) -> Iterator[tuple[Spec, DriftResult | str]]:
    """With the model that serves now at hand, both sides are its view of them; else only rows that the
    window's own model answered are compared, since a new model with new labels is not new traffic."""
    model = view.model
    given = [w.rows["encoder"] for w in (view.window, view.reference) if "encoder" in w.rows]
    encoders = {str(e) for column in given for e in column.unique()}
    classify = model.classify if encoders <= {model.encoder} else None
    both = view.comparable("encoder" if classify else "model_version")
    of = [(m, s, "label") for m, s in OF_LABELS.items() if m in chosen]
    of += [(m, s, "score") for m, s in OF_CONFIDENCE.items() if m in chosen]
    if isinstance(both, str):
        yield from ((spec, both) for _, spec, _ in of)
        return
    sides = [_thinned(w) for w in both]
    if classify:
        sound = [np.asarray(np.isfinite(w.embeddings).all(axis=1)) for w in sides]
        sides = [w if where.all() else w.take(where) for w, where in zip(sides, sound, strict=True)]
        if min(map(len, sides)) < MIN_ROWS:
            counts = "{} of the window and {} of the reference".format(*((~s).sum() for s in sound))
            note = f"not comparable: embeddings that are no numbers, {counts}"
            yield from ((spec, note) for _, spec, _ in of)
            return
        shares = [classify(w.embeddings) for w in sides]
        labels = [np.array(model.labels)[s.argmax(axis=1)] for s in shares]
        scores = [s.max(axis=1) for s in shares]
    else:
        labels = [w.rows["output"].to_numpy(dtype=str) for w in sides]
        scores = [w.rows["confidence"].to_numpy(dtype=float) for w in sides]
    ages = view.ages(sides[1])
    for metric, spec, column in of:
        yield spec, _shares(view, metric, spec, labels if column == "label" else scores, ages)


def _shares(view: View, metric: str, spec: Spec, sides: list[Array], ages: Array) -> DriftResult | str:
    ours, theirs = sides
    if spec.name.startswith("drift.labels"):
        names, codes = np.unique(np.concatenate(sides), return_inverse=True)
        classes = len(names)
        ours, theirs = codes[: len(ours)], codes[len(ours) :]
    else:
        finite = np.isfinite(ours), np.isfinite(theirs)
        if not all(f.any() for f in finite):
            return "not enough rows: 0 with a score"
        classes, ages = SCORE_BINS, ages[finite[1]]
        ours, theirs = (
            np.clip((x[f] * classes).astype(int), 0, classes - 1)
            for x, f in zip(sides, finite, strict=True)
        )
    rule = Threshold(view.settings.drift_sd, LABEL_SHIFT if metric == "l1" else 0.0)
    counts = np.bincount(ours, minlength=classes), count(theirs, classes, ages)
    return shares_drift(*counts, np.unique(ages), SHARES[metric], rule, view.seed)


def _texts(view: View, chosen: set[str]) -> Iterator[tuple[Spec, DriftResult | str]]:
    of = [(m, s) for m, s in OF_TEXT.items() if m in chosen]
    both = view.comparable("variant" if "variant" in view.window.rows else "encoder") if of else ""
    if isinstance(both, str) or any("text" not in w.rows for w in both):
        note = both if isinstance(both, str) else "not comparable: no column text"
        yield from ((spec, note) for _, spec in of)
        return
    ours, theirs = (_thinned(w) for w in both)
    numbers = (describe(map(str, ours.rows["text"])), describe(map(str, theirs.rows["text"])))
    for metric, spec in of:
        yield spec, _worst(view, numbers, view.ages(theirs), metric, list(DESCRIPTORS))


def _worst(
    view: View, numbers: tuple[Array, Array], ages: Array, metric: str, names: list[str]
) -> DriftResult:
    """The column of (n, k) against (m, k) numbers that moved most; `nearest` names it."""
    ours, theirs = numbers
    found = []
    for k in range(ours.shape[1]):
        mine, others, bins = in_bins(ours[:, k], theirs[:, k])
        counts = np.bincount(mine, minlength=bins), count(others, bins, ages)
        rule = Threshold(view.settings.drift_sd, 0.0)
        drift = shares_drift(*counts, np.unique(ages), SHARES[metric], rule, view.seed)
        found.append((drift.value - drift.threshold, names[k], drift))
    _, name, drift = max(found, key=lambda f: f[0])
    against = ", ".join(part for part in (name, drift.nearest) if part)
    return DriftResult(
        drift.value, drift.ordinary, drift.sd, drift.threshold, drift.rows, drift.noise, against
    )


def _thinned(window: Window) -> Window:
    """Evenly, in the order of time."""
    if len(window) <= MOST_ROWS:
        return window
    return window.take(np.linspace(0, len(window) - 1, MOST_ROWS).astype(int))
