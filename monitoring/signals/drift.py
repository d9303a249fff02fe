"""Is it other traffic than the reference's? Its embeddings, and what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from core.records import Array, Signal, Window
from monitoring.drift import Drift, IncomparableError, embedding_drift, label_drift
from monitoring.view import Spec, View, commonest, windows_before

EMBEDDINGS = Spec(
    "drift.embeddings",
    "MMD^2",
    "drift",
    bad="above",
    words="drift of embeddings: MMD^2 {value:.4f}, more than {baseline:.4f}",
)
LABELS = Spec(
    "drift.labels",
    "L1",
    "drift",
    bad="above",
    words="drift of predicted labels: L1 {value:.2f}, more than {baseline:.2f}",
)
SPECS = (EMBEDDINGS, LABELS)
MIN_DAYS = 2


def measure(view: View) -> Iterator[Signal]:
    yield _embeddings(view)
    yield _labels(view)


def _embeddings(view: View) -> Signal:
    settings = view.settings

    def distance(ours: Window, theirs: Window) -> Drift:
        days, shift = windows_before(ours, theirs), settings.embedding_shift
        return embedding_drift(
            ours.embeddings, theirs.embeddings, days, settings.drift_sd, shift, view.seed
        )

    return _distance(view, EMBEDDINGS, "encoder", distance)


def _labels(view: View) -> Signal:
    """With the model that serves now at hand, both sides are its view of them; else only rows that the
    window's own model answered are compared, since a new model with new labels is not new traffic."""
    settings, model = view.settings, view.model
    encoders = {str(e) for w in (view.window, view.reference) for e in w.rows.get("encoder", ())}
    classify = model.classify if encoders <= {model.encoder} else None

    def seen(rows: Window) -> list[str]:
        if classify is None:
            return [str(x) for x in rows.rows["label"]]
        return [model.labels[i] for i in classify(rows.embeddings).argmax(axis=1)]

    def distance(ours: Window, theirs: Window) -> Drift:
        days, shift = windows_before(ours, theirs), settings.label_shift
        return label_drift(seen(ours), seen(theirs), days, settings.drift_sd, shift, view.seed)

    return _distance(view, LABELS, "encoder" if classify else "model_version", distance)


def _distance(view: View, spec: Spec, same: str, distance: Callable[[Window, Window], Drift]) -> Signal:
    """A distance between rows that agree in the column `same`, or a note why there is none."""
    window, reference, settings = view.window, view.reference, view.settings
    if len(window) < settings.min_rows:
        return view.signal(spec, None, f"not enough rows: {len(window)}, {settings.min_rows} needed")
    least = MIN_DAYS * settings.min_rows
    if len(reference) < least:
        note = f"not enough reference: {len(reference)} rows, {least} needed"
        return view.signal(spec, None, note)
    kind = commonest(window.rows[same])
    ours, theirs = (w.take((w.rows[same] == kind).to_numpy(dtype=bool)) for w in (window, reference))
    if len(ours) < settings.min_rows or len(theirs) < least:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        return view.signal(spec, None, f"not comparable: {same} {kind} is behind {counts}")
    days: Array = np.unique(windows_before(ours, theirs))
    if len(days) < MIN_DAYS:
        note = f"not enough reference: {len(days)} window's worth, "
        return view.signal(spec, None, f"{note}{MIN_DAYS} needed to know what is usual")
    try:
        found = distance(ours, theirs)
    except IncomparableError as why:
        return view.signal(spec, None, f"not comparable: {why}")
    return view.signal(spec, found.value, str(found), baseline=found.threshold)
