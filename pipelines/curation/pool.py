"""What a curation policy looks at: the candidates of a round, and what is known beside them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from core.arrays import Array
from core.near import Map, fence, mapped, near_any, units
from core.records.windows import Window
from core.tasks import Classification, Task
from core.texts import normal, words

MOST = 4000  # known rows that a policy learns from


@dataclass(frozen=True, eq=False)
class KnownRows:
    """Rows whose truth is known: what the champion's dataset trains on."""

    embeddings: Array  # (m, dim) of any float
    labels: Array  # (m,) texts

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, seed: int, most: int = MOST) -> KnownRows:
        """At most so many of the rows, evenly drawn."""
        if len(self) <= most:
            return self
        few = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        return KnownRows(self.embeddings[few], self.labels[few])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that evaluate: their near-copies do not train."""

    texts: Sequence[str]
    embeddings: Array  # (k, dim) of any float, as far as they can be compared


def _nobody() -> KnownRows:
    return KnownRows(np.zeros((0, 0), np.float32), np.array([], dtype=object))


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates of one round; `Pool(window)` is a pool of which nothing else is known.

    What several policies need (`doubt`, `places`, `units`) is worked out once.
    """

    window: Window  # the n candidates
    known: KnownRows = field(default_factory=_nobody)
    # (n,) thumbs down, or corrected
    complaints: Array = field(default_factory=lambda: np.zeros(0, bool))
    topics: Array = field(default_factory=lambda: np.zeros(0, int))  # (n,) open new topic, -1 is none
    collections: dict[str, Array] = field(default_factory=dict)  # name -> (k, dim) of a set of errors
    held_out: HeldOut = field(default_factory=lambda: HeldOut([], np.zeros((0, 0), np.float32)))
    task: Task = field(default_factory=Classification)

    _found: dict[Hashable, Array] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        blank = {"complaints": (False, bool), "topics": (-1, int)}
        for name, (value, kind) in blank.items():
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self), value, dtype=kind))

    def __len__(self) -> int:
        return len(self.window)

    def once(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """What `make` gives, worked out once for each key in the life of the pool."""
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]

    @cached_property
    def doubt(self) -> Array:
        """(n,) how doubtful the answer to each row is, 0..1."""
        return np.maximum(self.task.doubt(self.window), 0)

    @cached_property
    def probabilities(self) -> Array:
        """(n, n_labels) of any float; a row of a model with fewer labels ends in zeros. For policies
        that are for classification alone."""
        return self.window.padded

    @cached_property
    def texts(self) -> list[str]:
        """(n,) what the fence knows each text by."""
        return [normal(text) for text in self.window.rows["text"].tolist()]

    @cached_property
    def places(self) -> Array:
        """(n, k) float32: where each row lies, in the few directions that tell rows apart best."""
        return self._map.places(self.window.embeddings)

    def placed(self, embeddings: Array) -> Array:
        """(m, k) places of other rows (m, dim) of the same encoder."""
        return self._map.places(embeddings)

    @cached_property
    def _map(self) -> Map:
        return mapped(self.window.embeddings)

    @cached_property
    def units(self) -> Array:
        """(n,) the number of the group of near-copies that each row is in, from 0 on, none missing."""
        return units(self.texts, self.window.embeddings, self.places, self._map.close)

    @cached_property
    def leaders(self) -> Array:
        """(k,) the first row of each unit."""
        return np.unique(self.units, return_index=True)[1]

    @cached_property
    def fenced(self) -> Array:
        """(n,) bool: what a dataset would keep out of training, since it is too near a row that is held
        out; near-copies of such a row by any scale; and what is in a unit with one."""
        held = self.held_out
        same = {words(text) for text in held.texts}
        texts = self.window.rows["text"].tolist() if same else []
        beside = np.array([words(text) in same for text in texts] or [False] * len(self), dtype=bool)
        if len(held.embeddings):
            where = (self.places, self.placed(held.embeddings))
            close = max(self._map.close, fence(held.embeddings))
            beside |= near_any(self.window.embeddings, held.embeddings, where, close)
        return np.asarray((np.bincount(self.units, beside, minlength=1) > 0)[self.units])

    @cached_property
    def sizes(self) -> Array:
        """(n,) rows in the unit of each row."""
        counts: Array = np.bincount(self.units, minlength=1)[self.units]
        return counts
