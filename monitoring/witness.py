"""The texts most typical of a change: where the MMD witness function is highest (Gretton et al. 2012,
section 2.3), with the random features that `drift.embeddings` is measured with.

    witness(x) = mean over the window of k(x, .) - mean over the reference of k(x, .)

A row of the window is not its own witness: its k(x, x) is left out. How high a witness gets by itself
is learnt from random subsets of the reference as large as the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.records import Array
from monitoring.alike import IncomparableError, Side, unit
from monitoring.drift import BLOCK_ROWS, _random_features

TEXTS = 5
SUBSETS = 20
CANDIDATES = 200
SAME = 0.7  # cosine from which two texts say the same


@dataclass(frozen=True)
class Typical:
    """A text of the window and what is nearest to it in the reference."""

    prediction_id: str
    text: str
    label: str
    witness: float
    nearest: str
    similarity: float  # cosine to the nearest, -1..1


def typical(window: Side, reference: Side, seed: int = 0) -> list[Typical]:
    """At most TEXTS texts that the change brought, the most typical first; none where no row stands out
    from what the reference does by itself. Raises IncomparableError where all embeddings are the same.
    """
    values, limit = witness(window, reference, seed)
    rows = unit(window.embeddings)
    order = np.lexsort((window.rows["prediction_id"].to_numpy(dtype=str), -values))[:CANDIDATES]
    chosen: list[int] = []
    for i in order[values[order] > limit]:
        if len(chosen) < TEXTS and (not chosen or (rows[chosen] @ rows[i]).max() < SAME):
            chosen.append(int(i))
    nearest, similarity = nearest_rows(rows[chosen], unit(reference.embeddings))
    texts, theirs = window.texts, reference.texts
    return [
        Typical(
            prediction_id=str(window.rows["prediction_id"].iloc[i]),
            text=texts[i],
            label=str(window.labels[i]),
            witness=float(values[i]),
            nearest=theirs[j],
            similarity=float(s),
        )
        for i, j, s in zip(chosen, nearest, similarity, strict=True)
    ]


def witness(window: Side, reference: Side, seed: int = 0) -> tuple[Array, float]:
    """(n,) the witness function on the window's rows, and how high it gets without a change.

    Half of the reference sets the scale and the other half is compared, as for the distance.
    """
    n, m = len(window), len(reference) // 2
    if min(n, m) < 4:
        raise IncomparableError(f"not enough rows: {n} of the window, {len(reference)} before")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(reference))
    scale, compare = np.sort(order[m:]), np.sort(order[:m])
    features = _random_features(reference.embeddings[scale], reference.embeddings[compare], rng)
    ours, theirs = (
        np.concatenate([features(rows[i : i + BLOCK_ROWS]) for i in range(0, len(rows), BLOCK_ROWS)])
        for rows in (window.embeddings, reference.embeddings[compare])
    )
    total = theirs.sum(axis=0)
    size, highest = min(n, m // 2), []
    for _ in range(SUBSETS):
        some = rng.choice(m, size, replace=False)
        rest = total - theirs[some].sum(axis=0)
        highest.append(float((_without_itself(theirs[some]) - theirs[some] @ rest / (m - size)).max()))
    return np.asarray(_without_itself(ours) - ours @ total / m), max(highest)


def _without_itself(features: Array) -> Array:
    """(n,) mean kernel of each row with all others; features have unit length."""
    return np.asarray((features @ features.sum(axis=0) - 1) / (len(features) - 1))


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
