"""Labelled texts most like one at hand, by the embeddings that the log has; nothing is read anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.arrays import Array
from core.label_set import LabelSet
from core.records.answers import Prediction
from core.store import Store
from core.store.labels import Example

MOST = 2000  # newest labelled texts that are looked at
SECONDS = 30.0  # that they are kept in memory


@dataclass(frozen=True)
class Neighbour:
    text: str
    label: str
    similarity: float  # cosine, -1..1


@dataclass(frozen=True)
class LabelledTexts:
    """The newest labelled texts at one moment, and every label in use: of people, and of answers that
    people were asked about (a page without a model offers those)."""

    labels: frozenset[str] = frozenset()
    examples: dict[str, list[Example]] = field(default_factory=dict)  # by encoder
    directions: dict[str, Array] = field(
        default_factory=dict
    )  # by encoder, (n, dim) float32 of length 1


class Similar:
    """What is known of labels, read again when it is older than SECONDS. Safe for many threads."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._known, self._read, self._labels = LabelledTexts(), float("-inf"), LabelSet()

    def known(self, labels: LabelSet, fresh: bool = False) -> LabelledTexts:
        with self._lock:
            if fresh or labels != self._labels or self._clock() - self._read > SECONDS:
                self._known, self._read = _read(self._store.under(labels)), self._clock()
                self._labels = labels
            return self._known

    def of(self, prediction: Prediction, k: int, labels: LabelSet) -> list[Neighbour]:
        """The `k` nearest, nearest first, never the text's own row; a text with one label once."""
        known, encoder = self.known(labels), prediction.encoder
        if prediction.embedding is None or encoder not in known.examples:
            return []
        near = known.directions[encoder] @ _directions(prediction.embedding[None])[0]
        found: dict[tuple[str, str], Neighbour] = {}
        for i in np.argsort(-near, kind="stable"):
            example = known.examples[encoder][i]
            if example.prediction_id != prediction.prediction_id:
                key = (example.text, example.label)
                found.setdefault(key, Neighbour(*key, round(float(near[i]), 4)))
            if len(found) == k:
                break
        return list(found.values())


def _read(store: Store) -> LabelledTexts:
    by_encoder: dict[str, list[Example]] = {}
    for example in store.labels.examples(MOST):
        by_encoder.setdefault(example.encoder, []).append(example)
    directions = {
        e: _directions(np.stack([x.embedding for x in some])) for e, some in by_encoder.items()
    }
    labels = {*store.labels.in_use(), *store.labels.answered()}
    return LabelledTexts(frozenset(labels), by_encoder, directions)


def _directions(embeddings: Array) -> Array:
    """(n, dim) float32 of length 1; what has no direction stays zero and is like nothing."""
    rows = embeddings.astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    made: Array = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return np.nan_to_num(made)
