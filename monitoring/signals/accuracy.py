"""Accuracy of the model that serves, on the labels there are: they come late and few, so those of the
reference count too."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from core.records import Signal
from monitoring.accuracy import plain, weighted
from monitoring.view import Spec, View, commonest

_SHARE = "{value:.3f} (95 % interval {low:.3f}..{high:.3f}), less than {baseline:.3f}"
AUDIT = Spec("accuracy.audit", "share", "accuracy", "whole", f"accuracy on audit labels: {_SHARE}")
WEIGHTED = Spec(
    "accuracy.ipw", "share", "accuracy", "whole", f"accuracy on all labels, weighted: {_SHARE}"
)
SPECS = (AUDIT, WEIGHTED)


def measure(view: View) -> Iterator[Signal]:
    for spec in SPECS:
        if len(view.whole) == 0:
            yield view.signal(spec, None, "not enough rows: 0", held=False)
            continue
        yield _of(view, spec)


def _of(view: View, spec: Spec) -> Signal:
    needed = view.settings.min_labels
    version = commonest(view.whole.rows["model_version"])
    rows = _labelled(view)
    rows = rows[rows["truth"].notna() & (rows["model_version"] == version)]
    if spec is AUDIT:
        rows = rows[rows["audit"].astype(bool)]
    else:
        rows = rows[(rows["propensity"] > 0) & (rows["propensity"] <= 1)]
    if len(rows) < needed:
        note = f"not enough labels of model_version {version}: {len(rows)}, {needed} needed"
        return view.signal(spec, None, note, held=False)
    right = (rows["label"] == rows["truth"]).to_numpy(dtype=bool)
    chances = rows["propensity"].to_numpy(dtype=float)
    found = plain(right) if spec is AUDIT else weighted(right, chances)
    if found.effective < needed:
        worth = f"{found.labels} labels are worth {found.effective:.1f} drawn evenly"
        return view.signal(spec, None, f"not enough labels: {worth}, {needed} needed", held=False)
    return view.signal(
        spec,
        found.value,
        f"{found.labels} labels of model_version {version}",
        baseline=view.settings.accuracy_floor,
        low=found.low,
        high=found.high,
        held=False,
    )


def _labelled(view: View) -> pd.DataFrame:
    if view.labelled is not None:
        return view.labelled.rows
    both = [w.rows for w in (view.whole_reference, view.whole) if len(w)]
    return pd.concat(both, ignore_index=True)
