"""Does a runtime say what torch says? The same head on both embeddings, text by text.

A quantised encoder may answer otherwise alone than among others, so it is asked three times: every
text alone, in batches of 64 as they come, and shuffled in batches of 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.models.classifier.encoder import Encoder
from core.models.classifier.head import Head

LEAST = 0.995  # share of texts that must have torch's label, each way of asking
MOST_ROWS = 2000  # more would prove no more


@dataclass(frozen=True)
class RuntimeAgreement:
    """Shares of `rows` texts whose label is torch's."""

    runtime: str
    rows: int
    alone: float
    batches: float
    shuffled: float

    @property
    def worst(self) -> float:
        return min(self.alone, self.batches, self.shuffled)

    @property
    def passed(self) -> bool:
        return self.worst >= LEAST

    def __str__(self) -> str:
        return (
            f"{self.runtime} gives torch's label on {self.alone:.2%} of {self.rows} texts alone, "
            f"{self.batches:.2%} in batches of 64, {self.shuffled:.2%} shuffled in batches of 17; "
            f"{LEAST:.1%} is the least"
        )


def agreement(head: Head, encoder: Encoder, texts: Sequence[str], torch: Array) -> RuntimeAgreement:
    """`torch` is (n, dim): the embeddings of `texts` on runtime torch. There must be texts."""
    some = np.random.default_rng(0).permutation(len(texts))[:MOST_ROWS]
    expected = head.probabilities(torch[some]).argmax(axis=1)
    asked = [texts[i] for i in some]

    def share(size: int, order: Array) -> float:
        """Of the texts whose label is torch's, read in batches of `size`."""
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        read = np.concatenate([encoder.together([asked[i] for i in part]) for part in parts])
        return float((head.probabilities(read).argmax(axis=1) == expected[order]).mean())

    given, shuffled = np.argsort(some), np.arange(len(some))
    return RuntimeAgreement(
        encoder.runtime, len(some), share(1, given), share(64, given), share(17, shuffled)
    )
