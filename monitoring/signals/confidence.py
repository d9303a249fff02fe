"""How sure the model is of its answers, against the reference's answers of the same version."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from core.records import Array, Signal
from monitoring.view import Spec, View, commonest

CONFIDENCE = Spec(
    "confidence",
    "probability",
    "confidence",
    bad="below",
    words="confidence: mean {value:.3f}, less than {baseline:.3f}",
)
SPECS = (CONFIDENCE,)


def measure(view: View) -> Iterator[Signal]:
    window, reference, settings = view.window.rows, view.reference.rows, view.settings
    scores = _scores(window)
    if len(scores) == 0:
        yield view.signal(CONFIDENCE, None, "not enough rows: 0 with a score")
        return
    version = commonest(window["model_version"])
    ours = _scores(window[window["model_version"] == version])
    theirs = _scores(reference[reference["model_version"] == version])
    if min(len(ours), len(theirs)) < settings.min_rows:
        counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
        note = f"not comparable: model_version {version} is behind {counts}"
        yield view.signal(CONFIDENCE, float(scores.mean()), note)
        return
    sd = float(theirs.std()) * np.sqrt(1 / len(ours) + 1 / len(theirs))
    usual, drop = float(theirs.mean()), max(settings.confidence_drop, settings.drift_sd * sd)
    note = f"{usual:.3f} ± {sd:.3f} over {len(theirs):,} reference rows"
    yield view.signal(CONFIDENCE, float(ours.mean()), note, baseline=usual - drop)


def _scores(rows: pd.DataFrame) -> Array:
    scores: Array = rows["score"].to_numpy(dtype=float)
    return scores[np.isfinite(scores)]
