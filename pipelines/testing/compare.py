"""Two models on the same rows, paired: only the rows on which they disagree say anything.

lost    champion right, candidate wrong        gained    the other way round

difference d = (gained - lost) / n
95 % interval of d                                              (Agresti and Min 2005)
p_worse = P(X >= lost), X ~ Binomial(gained + lost, 1/2)        (exact one-sided McNemar)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.arrays import Array, Frame
from core.intervals import Bounds, chance_of, paired_difference

MIN_ROWS = 20  # a slice of fewer rows says more about chance than about a model


@dataclass(frozen=True)
class PairedComparison:
    """Candidate minus champion on n rows. Accuracies and differences are shares in -1..1."""

    rows: int
    champion: float
    candidate: float
    lost: int
    gained: int

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.rows if self.rows else 0.0

    @property
    def interval(self) -> Bounds:
        """95 % interval of the difference; never of width 0, also where the models never disagree."""
        low, _, high = paired_difference(self.gained, self.lost, self.rows)
        return low, high

    @property
    def p_worse(self) -> float:
        """How often an equally good candidate would lose at least this many of the disputed rows."""
        return chance_of(self.lost, self.gained + self.lost)

    @property
    def p_better(self) -> float:
        """How often an equally good candidate would gain at least this many of them."""
        return chance_of(self.gained, self.gained + self.lost)

    def is_worse(self, by: float, p: float) -> bool:
        """Worse by more than `by`, and not by chance alone."""
        return self.difference < -by and self.p_worse < p


def compare(champion: Array, candidate: Array) -> PairedComparison:
    """Two (n,) arrays of right (True) and wrong, row by row.

    >>> c = compare(np.array([True] * 9 + [False]), np.array([False] * 4 + [True] * 6))
    >>> c.lost, c.gained, round(c.difference, 2), c.p_worse
    (4, 1, -0.3, 0.1875)
    >>> tuple(round(x, 3) for x in c.interval)
    (-0.624, 0.124)
    """
    champion, candidate = champion.astype(bool), candidate.astype(bool)
    n = len(champion)
    return PairedComparison(
        rows=n,
        champion=float(champion.mean()) if n else 0.0,
        candidate=float(candidate.mean()) if n else 0.0,
        lost=int((champion & ~candidate).sum()),
        gained=int((candidate & ~champion).sum()),
    )


def segments(rows: Frame, min_rows: int = MIN_ROWS) -> Iterator[tuple[str, Array]]:
    """Each `column=value` of the rows' segments that has enough rows, as a boolean mask.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"segments": ['{"channel": "app"}', '{"channel": "web"}', ""]})
    >>> [(name, mask.tolist()) for name, mask in segments(rows, min_rows=1)]
    [('channel=app', [True, False, False]), ('channel=web', [False, True, False])]
    """
    names: dict[str, list[int]] = {}
    for i, text in enumerate(rows["segments"]):
        for column, value in (json.loads(text) if isinstance(text, str) and text else {}).items():
            names.setdefault(f"{column}={value}", []).append(i)
    for name in sorted(names):
        if len(names[name]) >= min_rows:
            mask = np.zeros(len(rows), bool)
            mask[names[name]] = True
            yield name, mask
