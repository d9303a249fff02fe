"""Accuracy on labels. They come late and few, so those of the last `accuracy_days` days count.

Audit rows never train, so every model may be judged by all of them: the one that serves now is asked
again for what others answered, from the stored embedding. The rows that were picked for training say
something of a model only where it answered them itself, before anybody had labelled them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pandas as pd

from core.records import Array, Signal, Window
from monitoring.accuracy import Estimate, macro_f1, plain, weighted
from monitoring.view import Spec, View

_SHARE = "{value:.3f} (95 % interval {low:.3f}..{high:.3f}), less than {baseline:.3f}"
AUDIT = Spec("accuracy.audit", "share", "accuracy", "whole", f"accuracy on audit labels: {_SHARE}")
WEIGHTED = Spec(
    "accuracy.ipw", "share", "accuracy", "whole", f"accuracy on all labels, weighted: {_SHARE}"
)
F1 = Spec("f1.audit", "macro-F1", "accuracy")
SPECS = (AUDIT, WEIGHTED, F1)


def measure(view: View) -> Iterator[Signal]:
    if len(view.whole) == 0:
        for spec in SPECS:
            yield view.signal(spec, None, "not enough rows: 0", held=False)
        return
    version = view.model.version
    audit, again = _audit(view, version)
    asked = f", {again} of them answered again by it" if again else ""
    truth, label = (audit[n].to_numpy(dtype=str) for n in ("truth", "label"))
    yield _signal(view, AUDIT, plain(truth == label) if len(audit) else None, version, asked)
    rows = pd.concat([w.rows for w in _labelled(view)], ignore_index=True)
    rows = rows[
        rows["propensity"].between(0, 1, inclusive="right") & (rows["model_version"] == version)
    ]
    right = (rows["label"] == rows["truth"]).to_numpy(dtype=bool)
    chances = rows["propensity"].to_numpy(dtype=float)
    stands, answers = float((1 / chances).sum()), _answers(view, version)
    if stands < answers / 2:
        note = f"not enough labels: {len(rows)} labels stand for {stands:.0f} of {answers:.0f} answers"
        yield view.signal(WEIGHTED, None, note, held=False)
    else:
        yield _signal(view, WEIGHTED, weighted(right, chances) if len(rows) else None, version)
    few = len(audit) < view.settings.min_labels
    yield _signal(view, F1, None if few else macro_f1(truth, label, seed=view.seed), version, asked)


def _signal(view: View, spec: Spec, found: Estimate | None, version: str, more: str = "") -> Signal:
    needed, labels = view.settings.min_labels, found.labels if found else 0
    if found is None or labels < needed:
        note = f"not enough labels of model_version {version}: {labels}, {needed} needed"
        return view.signal(spec, None, note, held=False)
    if found.effective < needed:
        worth = f"{labels} labels are worth {found.effective:.1f} drawn evenly"
        return view.signal(spec, None, f"not enough labels: {worth}, {needed} needed", held=False)
    return view.signal(
        spec,
        found.value,
        f"{labels} labels of model_version {version}{more}",
        baseline=view.settings.accuracy_floor if spec.bad else None,
        low=found.low,
        high=found.high,
        held=False,
    )


def _start(view: View) -> pd.Timestamp:
    """Labels from here on count."""
    return pd.Timestamp(view.whole.end - timedelta(days=view.settings.accuracy_days))


def _answers(view: View, version: str) -> float:
    """How many answers of a version there are at least in the days whose labels count.

    Picks stand for 1 / chance answers each. A few that were all but certain to be picked stand for
    themselves alone, and would pass for an even draw, as no weight differs from another.
    """
    found = 0.0
    for window in (view.whole_reference, view.whole):
        rows = window.rows
        ours = (rows["model_version"] == version) & (rows["timestamp"] >= _start(view))
        found += float((1 / window.kept[ours.to_numpy(dtype=bool)]).sum()) / window.share
    return found


def _audit(view: View, version: str) -> tuple[pd.DataFrame, int]:
    """Audit rows with the label this version gives them, and how many it was asked again."""
    found, again = [], 0
    for window in _labelled(view):
        window = window.take(window.rows["audit"].to_numpy(dtype=bool))
        own = (window.rows["model_version"] == version).to_numpy(dtype=bool)
        other = _readable(view, window) & ~own
        rows = window.rows[["label", "truth"]].copy()
        if other.any() and view.model.classify:
            best = view.model.classify(window.embeddings[other]).argmax(axis=1)
            rows.loc[other, "label"] = [view.model.labels[i] for i in best]
        found.append(rows[own | other])
        again += int(other.sum())
    return pd.concat(found, ignore_index=True), again


def _readable(view: View, window: Window) -> Array:
    """(n,) rows whose embedding the serving model's head understands."""
    if view.model.classify is None:
        return np.zeros(len(window), dtype=bool)
    whole = np.isfinite(window.embeddings).all(axis=1)
    return np.asarray(whole & (window.rows["encoder"] == view.model.encoder).to_numpy(dtype=bool))


def _labelled(view: View) -> list[Window]:
    """Labelled rows of the last days; without a longer memory those of the window and its reference."""
    given = [view.labelled] if view.labelled is not None else [view.whole_reference, view.whole]
    found = [view.whole.take(np.zeros(0, dtype=int))]
    for window in (w for w in given if len(w)):
        late = window.rows["truth"].notna() & (window.rows["timestamp"] >= _start(view))
        found.append(window.take(late.to_numpy(dtype=bool)))
    return found
