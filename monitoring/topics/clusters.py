"""New topics: groups of texts that the model has not learnt, each a candidate class with a name.

Looked at are rows of the window and its reference that the model is less sure of than of half of them.
They are grouped by average linkage, and two groups are one while their rows are nearer to each other
than to anything known. So what is new is told by what is known alone, with no distance to be set.
What the model is, rightly or not, sure of is no topic. Doubted rows that are like nothing known and
make no group are one more topic, OUT_OF_SCOPE, when they are more than usual (out_of_scope.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from core.arrays import Array
from core.near import unit
from monitoring.drift.features import IncomparableError
from monitoring.explain.rows import Side, comparable_rows, joined
from monitoring.explain.texts import nearest_rows
from monitoring.explain.words import WordShift, document_frequencies, typical_words
from monitoring.topics.out_of_scope import out_of_scope_rows
from monitoring.view import View

MAX_CANDIDATES = 2_000
MAX_KNOWN = 5_000
MIN_KNOWN = 50
MIN_ROWS = 6  # of a group
MIN_ROWS_GUESSED = 12  # where what is known is only guessed from the model's confidence
EXAMPLES = 3
LIKELY = 0.6  # mean confidence from which most of the answers are held to be right
NAMED = 3  # words in a name
OUT_OF_SCOPE = "other"  # the name of what is like nothing, and not like each other


@dataclass(frozen=True)
class Topic:
    """Rows that belong together and to nothing known."""

    words: Sequence[str]  # what tells its texts from all others
    size: int  # rows found, of the window and its reference
    share: float  # of the window's rows
    prediction_ids: Sequence[str]  # of the rows found, nearest to the middle first
    request_ids: Sequence[str]
    examples: Sequence[str]  # texts nearest to the middle
    confidence: float  # mean, 0..1
    novelty: float  # mean cosine distance to the nearest known row, 0..2
    since: datetime  # its first row
    centroid: Array  # (dim,) of length 1
    encoder: str

    @property
    def name(self) -> str:
        return "-".join(self.words)


def new_topics(view: View, known: Array | None = None) -> list[Topic]:
    """The groups of new texts in a window and its reference, largest first. Never raises.

    `known`: (k, dim) embeddings of rows the model learnt from; without them those of the reference that
    it is surest of.
    """
    try:
        window, reference = comparable_rows(view)
    except IncomparableError:
        return []
    pool = joined(window, reference)
    rows, learnt = unit(pool.embeddings), _learnt(pool, known)
    least = MIN_ROWS if learnt is not None else MIN_ROWS_GUESSED
    near_to = _sure(pool, view.seed) if learnt is None else learnt
    few, near = _unsure(pool, rows, near_to, view.seed)
    groups = _groups(few, near, rows)
    new = [g for g in groups if _different(rows[few[g]]) >= least and _doubted(pool, few[g])]
    said = document_frequencies(pool.texts) if new else Counter[str]()
    found = [_topic(pool, rows, few[g], near[g], said) for g in new]
    rest = np.setdiff1d(np.arange(len(few)), np.concatenate([[], *new]).astype(int))
    if learnt is not None:
        found += _out_of_scope(pool, rows, few[rest], near[rest], view.settings.drift_sd)
    return sorted(found, key=lambda t: (-t.size, t.since))


def _learnt(pool: Side, known: Array | None) -> Array | None:
    """(k, dim) unit rows that the model learnt from, where there are enough of this encoder's size."""
    if known is not None and known.ndim == 2 and known.shape[1] == pool.embeddings.shape[1]:
        rows = known[np.isfinite(known).all(axis=1)]
        if len(rows) >= MIN_KNOWN:
            return unit(rows)
    return None


def _different(rows: Array) -> int:
    """How many rows are not the same: one text again and again is no topic."""
    return len({row.tobytes() for row in rows.round(4) + np.float32(0)})  # -0.0 is 0.0


def _sure(pool: Side, seed: int) -> Array:
    """(k, dim) unit rows of the reference that the model is surest of."""
    sure = np.flatnonzero((pool.ago > 0) & (pool.confidence >= np.median(pool.confidence)))
    few = sure[np.sort(np.random.default_rng(seed).permutation(len(sure))[:MAX_KNOWN])]
    return unit(pool.embeddings[few])


def _unsure(pool: Side, rows: Array, learnt: Array, seed: int) -> tuple[Array, Array]:
    """Positions of rows that the model doubts, evenly drawn; cosine of each to its nearest learnt."""
    unsure = np.flatnonzero(pool.confidence < np.median(pool.confidence))
    few = unsure[np.sort(np.random.default_rng(seed).permutation(len(unsure))[:MAX_CANDIDATES])]
    if len(learnt) == 0:
        few = few[:0]
    return few, nearest_rows(rows[few], learnt)[1]


def _groups(few: Array, near: Array, rows: Array) -> Iterator[Array]:
    """Which of the few rows each group has."""
    if len(few) < 2:
        return
    names = clustered(rows[few], near)
    for name, size in zip(*np.unique(names, return_counts=True), strict=True):
        if size > 1:
            yield np.flatnonzero(names == name)


def _out_of_scope(pool: Side, rows: Array, few: Array, near: Array, sds: float) -> list[Topic]:
    """What is out of scope, if it is more than usual."""
    unsure = (pool.confidence < np.median(pool.confidence)).sum()
    drawn = min(1.0, MAX_CANDIDATES / max(1, unsure))
    days, sizes = np.unique(pool.ago, return_counts=True)
    rows_a_day = dict(zip(days.tolist(), sizes * drawn, strict=True))
    found = out_of_scope_rows(near, pool.ago[few], rows_a_day, sds)
    if _different(rows[few[found]]) < MIN_ROWS:
        return []
    texts = np.array(pool.texts, dtype=object)[few[found][:EXAMPLES]]
    frame = pool.rows.iloc[few[found]]
    told = _topic(pool, rows, few[found], near[found], Counter())
    strangest = frame["request_id"].astype(str).to_list()
    return [replace(told, words=(OUT_OF_SCOPE,), request_ids=strangest, examples=list(texts))]


def clustered(rows: Array, near: Array) -> Array:
    """(n,) numbers of groups of unit rows, by average linkage (UPGMA): two groups are one while their
    rows are on average nearer to each other (cosine) than to what is known, `near` (n,)."""
    bond = rows @ rows.T - (near[:, None] + near) / 2
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage((2 - bond)[np.triu_indices(len(rows), 1)], "average")
    return np.asarray(fcluster(tree, 2.0, "distance"))


def _doubted(pool: Side, members: Array) -> bool:
    return bool(pool.confidence[members].mean() < LIKELY)


def _topic(pool: Side, rows: Array, members: Array, near: Array, said: Counter[str]) -> Topic:
    middle = unit(rows[members].mean(axis=0, keepdims=True))[0]
    order = np.argsort(-(rows[members] @ middle), kind="stable")
    members = members[order]
    frame, texts = pool.rows.iloc[members], np.array(pool.texts, dtype=object)
    today = pool.ago == 0
    return Topic(
        words=_named(typical_words(list(texts[members]), said, len(texts))),
        size=len(members),
        share=float(today[members].sum() / today.sum()),
        prediction_ids=frame["prediction_id"].astype(str).to_list(),
        request_ids=frame["request_id"].astype(str).to_list(),
        examples=list(texts[members][:EXAMPLES]),
        confidence=float(pool.confidence[members].mean()),
        novelty=float(1 - near.mean()),
        since=pd.to_datetime(frame["timestamp"], utc=True).min().to_pydatetime(),
        centroid=middle,
        encoder=str(frame["encoder"].iloc[0]),
    )


def _named(found: Sequence[WordShift]) -> list[str]:
    """The words that tell a group from the rest, without those that only continue another."""
    chosen: list[str] = []
    for word in (w.word for w in found if w.z > 0):
        if not any(word.startswith(c) or c.startswith(word) for c in chosen):
            chosen.append(word)
    return chosen[:NAMED] or ["unnamed"]
