"""Labels that look wrong: confident learning (Northcutt et al., 2021), by cleanlab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.models.classifier.head import fit_head

FOLDS = 5
FEWEST = 2  # rows of a label: with one, no other row says what it looks like


@dataclass(frozen=True)
class Suspect:
    """One row whose label looks wrong."""

    row: int
    suggested: str
    score: float  # 0..1: how likely its label is, by a head that did not learn from it


def suspects(embeddings: Array, labels: Sequence[str]) -> list[Suspect]:
    """The rows whose labels look wrong, the least likely first. embeddings: (n, dim) of n labels.

    Rows of a label with fewer than two rows are left alone, and so is everything where fewer than two
    labels have as many.
    """
    names, codes, counts = np.unique(np.asarray(labels, str), return_inverse=True, return_counts=True)
    judged = np.flatnonzero(counts[codes] >= FEWEST)
    if (counts >= FEWEST).sum() < 2:
        return []
    from cleanlab.filter import find_label_issues

    kept, given = np.unique(codes[judged], return_inverse=True)
    shares = out_of_sample(embeddings[judged], names[kept][given], seed=0)
    found = find_label_issues(given, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = names[kept][shares.argmax(axis=1)]
    return [Suspect(int(judged[i]), str(best[i]), float(shares[i, given[i]])) for i in found]


def out_of_sample(embeddings: Array, labels: Array, seed: int) -> Array:
    """(n, n_labels) probabilities, labels sorted, each row's by a head that learnt from other rows.

    Every label must have two rows: they are dealt out to the folds one by one.
    """
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = (np.arange(len(rows)) + rng.integers(FOLDS)) % FOLDS
    shares = np.zeros((len(labels), len(np.unique(labels))))
    for k in range(FOLDS):
        held = fold == k
        if held.any():
            head = fit_head(embeddings[~held], labels[~held].tolist(), seed=seed)
            shares[held] = head.probabilities(embeddings[held])
    return shares
