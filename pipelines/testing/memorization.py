"""Can the training step learn at all? A handful of rows must be learned by heart.

A step whose labels have slipped against its rows, or that returns what it was given, still makes a
model that looks alive; it cannot do this.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.arrays import Array
from core.models.base import Classifier
from core.models.classifier.head import fit_head
from pipelines.testing.expectations import Expectation

Train = Callable[[Array, list[str]], Classifier]
LABELS, EACH = 4, 4
ENOUGH = 0.9  # one of 16 rows may be a mislabelled one


def memorizes(
    embeddings: Array, labels: list[str], seed: int = 0, train: Train = fit_head
) -> Expectation:
    """Train on 4 labels x 4 rows (fewer where there are fewer), with the labels' names rotated by one.

    `embeddings` is (n, dim) with its n `labels`. The rotation keeps the task as easy as it was and
    makes everything known before wrong, so a step that learns nothing from its rows fails too.
    """
    rows, taught = _handful(labels, seed)
    head = train(embeddings[rows], taught)
    said = [head.labels[i] for i in head.probabilities(embeddings[rows]).argmax(axis=1)]
    wrong = [(a, b) for a, b in zip(taught, said, strict=True) if a != b]
    return Expectation(
        name="memorization",
        kind="memorization",
        claim=f"training learns {len(rows)} rows by heart, with the labels' names rotated",
        rows=len(rows),
        failed=len(wrong),
        passed=len(rows) - len(wrong) >= ENOUGH * len(rows),
        examples=[{"text": "", "expected": a, "got": b, "before": ""} for a, b in wrong[:5]],
    )


def _handful(labels: list[str], seed: int) -> tuple[list[int], list[str]]:
    """Positions of the rows, and the label each is taught."""
    rng = np.random.default_rng(seed)
    names, counts = np.unique(np.array(labels, dtype=str), return_counts=True)
    shuffled = rng.permutation(len(names))
    fullest = shuffled[np.argsort(-np.minimum(counts, EACH)[shuffled], kind="stable")]
    chosen = names[fullest[:LABELS]].tolist()
    rows: list[int] = []
    taught: list[str] = []
    for label, other in zip(chosen, chosen[1:] + chosen[:1], strict=True):
        places = rng.permutation([i for i, x in enumerate(labels) if x == label])[:EACH].tolist()
        rows += places
        taught += [other] * len(places)
    return rows, taught
