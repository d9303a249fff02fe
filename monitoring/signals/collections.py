"""Accuracy of the model that serves on each named collection of hard examples (core/collections.py).

A collection does not change by itself, so this moves when another model is promoted. It never alarms
by itself, as only its maker knows what a model must get right: a rule on its segment does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.records.signals import Signal
from monitoring.accuracy.shares import plain
from monitoring.view import Collected, Spec, View

COLLECTION = Spec("accuracy.collection", "share", "accuracy", held=False)
SPECS = (COLLECTION,)


def measure(view: View) -> Iterator[Signal]:
    """One signal a collection, whose segment names it; they know nothing of other segments."""
    if not view.segment:
        for one in view.collections:
            yield replace(_signal(view, one), segment=f"collection={one.name}")


def _signal(view: View, one: Collected) -> Signal:
    version, total = view.model.version, len(one.right)
    if one.fault:
        return view.signal(COLLECTION, None, f"not comparable: {one.fault}")
    found = plain(one.right)
    note = f"model_version {version} has {round(found.value * total)} of {total} right"
    if one.strange:
        note += f"; {one.strange} have a label that it does not know"
    return view.signal(COLLECTION, found.value, note, low=found.low, high=found.high)
