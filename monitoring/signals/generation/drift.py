"""Does the model write other answers than the reference's? MMD^2 of the embeddings of outputs, held
against what days of the reference differ, as `drift.embeddings` is of requests."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.drift.embeddings import embedding_drift
from monitoring.drift.features import IncomparableError
from monitoring.drift.threshold import DriftResult, Threshold
from monitoring.drift.types import DriftSettings
from monitoring.limits import EMBEDDING_SHIFT, MIN_ROWS
from monitoring.view import MIN_DAYS, Spec, View, commonest, having

OUTPUTS = Spec(
    "drift.outputs",
    "MMD^2",
    "drift",
    "above",
    "drift of answers: MMD^2 {value:.4f}, more than {baseline:.4f}",
    (GENERATION,),
)
SPECS = (OUTPUTS,)


def measure(view: View) -> Iterator[Signal]:
    found = _drift(view)
    if isinstance(found, str):
        yield view.signal(OUTPUTS, None, found)
    else:
        yield view.signal(OUTPUTS, found.value, str(found), baseline=found.threshold)


def _drift(view: View) -> DriftResult | str:
    """Of the answers of the window's commonest version: a new model writes otherwise."""
    if len(view.window) < MIN_ROWS:
        return f"not enough rows: {len(view.window)}, {MIN_ROWS} needed"
    version = commonest(view.window.rows["model_version"])
    ours, theirs = (w.take(having(w, "model_version", version)) for w in view.outputs)
    if len(ours) < MIN_ROWS or len(theirs) < MIN_DAYS * MIN_ROWS:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        return f"not comparable: model_version {version} is behind {counts}"
    if not ours.embeddings.shape[1]:
        return "not comparable: no encoder is at hand for the answers"
    settings = view.settings
    rule = Threshold(settings.drift_sd, EMBEDDING_SHIFT)
    how = DriftSettings(rule, float(settings.reference_days), alone=settings.reference != "sliding")
    try:
        return embedding_drift(ours, theirs, view.ages(theirs), how, None).day
    except IncomparableError as why:
        return f"not comparable: {why}"
