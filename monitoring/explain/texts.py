"""Where a window differs from its reference: the MMD witness function (Gretton et al. 2012,
section 2.3), with the random features that `drift.embeddings` is measured with.

    witness(x) = mean over the window of k(x, .) - mean over the reference of k(x, .)

A row is not compared with itself: its k(x, x) is left out. A single row proves nothing; the distance
tells whether there is a difference, beside that of random subsets of the reference of that size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.near import unit
from monitoring.drift.features import BLOCK_ROWS, IncomparableError, feature_map
from monitoring.explain.rows import Side

TEXTS = 5
SUBSETS = 40
CANDIDATES = 200
SAME = 0.7  # cosine from which two texts say the same


@dataclass(frozen=True)
class MmdContributions:
    """The function on the rows of the window, (n,), and on the compared ones of the reference."""

    window: Array
    reference: Array
    compared: Array  # positions in the reference
    sds: float  # of its distance above what sampling gives


@dataclass(frozen=True)
class TypicalText:
    """A text of the window and what is nearest to it in the reference."""

    prediction_id: str
    text: str
    label: str
    nearest: str
    similarity: float  # cosine to the nearest, -1..1


def typical_texts(window: Side, reference: Side, values: Array) -> list[TypicalText]:
    """At most TEXTS texts, those with the highest `values` (n,), no two of them alike."""
    rows = unit(window.embeddings)
    order = np.argsort(-values, kind="stable")[: min(CANDIDATES, max(TEXTS, len(values) // 10))]
    chosen: list[int] = []
    for i in order:
        if len(chosen) < TEXTS and (not chosen or (rows[chosen] @ rows[i]).max() < SAME):
            chosen.append(int(i))
    nearest, similarity = nearest_rows(rows[chosen], unit(reference.embeddings))
    texts, theirs = window.texts, reference.texts
    return [
        TypicalText(
            prediction_id=str(window.rows["prediction_id"].iloc[i]),
            text=texts[i],
            label=str(window.labels[i]),
            nearest=theirs[j],
            similarity=float(s),
        )
        for i, j, s in zip(chosen, nearest, similarity, strict=True)
    ]


def mmd_contributions(window: Side, reference: Side, seed: int = 0) -> MmdContributions:
    """Half of the reference sets the scale and the other half is compared, as for the distance. Raises
    IncomparableError where rows are too few, or all the same."""
    n, m = len(window), len(reference) // 2
    if min(n, m) < 4:
        raise IncomparableError(f"not enough rows: {n} of the window, {len(reference)} before")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(reference))
    scale, compared = np.sort(order[m:]), np.sort(order[:m])
    features = feature_map(reference.embeddings[scale])
    ours, theirs = (
        np.concatenate([features(rows[i : i + BLOCK_ROWS]) for i in range(0, len(rows), BLOCK_ROWS)])
        for rows in (window.embeddings, reference.embeddings[compared])
    )
    size = min(n, m // 2)
    subsets = np.zeros((SUBSETS, m), dtype=np.float32)
    for row in subsets:
        row[rng.choice(m, size, replace=False)] = 1
    here, there, inside = ours.sum(axis=0), theirs.sum(axis=0), subsets @ theirs
    noise = _mmd2(inside, size, there - inside, m - size)
    scaled = noise * (1 / n + 1 / m) / (1 / size + 1 / (m - size))
    distance = float(_mmd2(here[None], n, there[None], m)[0])
    return MmdContributions(
        window=(ours @ here - 1) / (n - 1) - ours @ there / m,
        reference=theirs @ here / n - (theirs @ there - 1) / (m - 1),
        compared=compared,
        sds=float((distance - scaled.mean()) / max(scaled.std(), 1e-12)),
    )


def _mmd2(a: Array, n: int, b: Array, m: int) -> Array:
    """Unbiased, from sums (g, features) of n and m unit-length features."""
    within = ((a * a).sum(axis=1) - n) / (n * (n - 1)) + ((b * b).sum(axis=1) - m) / (m * (m - 1))
    return np.asarray(within - 2 * (a * b).sum(axis=1) / (n * m))


def nearest_rows(rows: Array, known: Array) -> tuple[Array, Array]:
    """For unit rows (n, dim) where in `known` (m, dim) the nearest is, and its cosine; (n,) each."""
    where, best = np.zeros(len(rows), dtype=int), np.full(len(rows), -np.inf, dtype=np.float32)
    for start in range(0, len(known), BLOCK_ROWS):
        cosine = rows @ known[start : start + BLOCK_ROWS].T
        at = cosine.argmax(axis=1)
        value = cosine[np.arange(len(rows)), at]
        closer = value > best
        where[closer], best[closer] = start + at[closer], value[closer]
    return where, best
