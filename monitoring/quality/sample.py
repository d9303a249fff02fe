"""What proxies look at: some rows of a window and of its reference, with what is known of each row.

A mean over SAMPLE_ROWS rows is as sure as anybody needs, so the cost does not grow with the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.arrays import Array
from core.records.windows import Window
from monitoring.quality.neighbours import duplicated, novelty
from monitoring.quality.texts import describe

SAMPLE_ROWS = 20_000
KNOWN_ROWS = 1000  # that novelty is the distance to
LEAST_KNOWN = 100  # labelled rows below which those of the reference are the known ones
TOKEN_ROWS = 2000  # whose texts the tokenizer reads

Unknown = Callable[[Sequence[str]], Array]  # texts -> (n,) share of each one's tokens


def described(
    window: Window, reference: Window, labelled: Window | None, unknown: Unknown | None
) -> tuple[Window, Window]:
    """Rows of both with the columns of `texts.describe`, `unknown` (share of tokens), `novelty`
    (cosine distance) and `duplicate` (0 or 1); NaN where it is not known."""
    ours, theirs = drawn(window, SAMPLE_ROWS), drawn(reference, SAMPLE_ROWS)
    for sample, words in zip((ours, theirs), describe(_texts(ours), _texts(theirs)), strict=True):
        sample.rows[words.columns] = words
    known = _known(ours, theirs, labelled)
    for sample in (ours, theirs):
        sample.rows["unknown"] = _unknown(sample, unknown)
        sample.rows["novelty"] = _novelty(sample, known)
        sample.rows["duplicate"] = _by_encoder(sample, True, lambda _, rows: duplicated(rows))
    return _told(ours), _told(theirs)


def _told(sample: Window) -> Window:
    """Without embeddings: all that is asked of them is in columns, and every segment takes its rows."""
    return replace(sample, embeddings=np.zeros((len(sample), 0), dtype=np.float32))


def drawn(window: Window, most: int) -> Window:
    """At most `most` rows, in the order of a hash of their ids: however they came, the same ones."""
    import pandas as pd

    ids = window.rows["prediction_id"].astype(object).to_numpy()
    places = pd.util.hash_array(ids, categorize=False) if len(ids) else np.zeros(0)
    return window.take(np.argsort(places, kind="stable")[:most])


def _texts(window: Window) -> list[object]:
    return window.rows["text"].tolist() if "text" in window.rows else [None] * len(window)


def _unknown(window: Window, unknown: Unknown | None) -> Array:
    shares = np.full(len(window), np.nan)
    texts = [t if isinstance(t, str) else None for t in _texts(window)[:TOKEN_ROWS]]
    read = [i for i, text in enumerate(texts) if text is not None]
    if unknown and read:
        shares[read] = unknown([text for text in texts if text is not None])
    return shares


def _known(ours: Window, theirs: Window, labelled: Window | None) -> Window:
    """Rows with a truth, where there are enough; else half of the reference at most, the first ones."""
    if labelled is not None:
        others = ~labelled.rows["prediction_id"].isin(ours.rows["prediction_id"])
        known = drawn(labelled.take(others.to_numpy(dtype=bool)), KNOWN_ROWS)
        if len(known) >= LEAST_KNOWN:
            return known
    return theirs.take(np.arange(min(KNOWN_ROWS, len(theirs) // 2)))


def _novelty(window: Window, known: Window) -> Array:
    """Against the known rows of the same encoder; NaN for the known ones themselves."""
    fresh = ~window.rows["prediction_id"].isin(known.rows["prediction_id"]).to_numpy(dtype=bool)
    of = {e: known.embeddings[here] for e, here in known.rows.groupby("encoder").indices.items()}
    nobody = known.embeddings[:0]
    return _by_encoder(window, fresh, lambda e, rows: novelty(rows, of.get(e, nobody)))


def _by_encoder(window: Window, chosen: Array | bool, work: Callable[[Any, Array], Array]) -> Array:
    """(n,) what is said of each encoder's rows; NaN for those that are not chosen."""
    found = np.full(len(window), np.nan)
    for encoder in window.rows["encoder"].unique():
        here = np.flatnonzero(chosen & (window.rows["encoder"] == encoder).to_numpy(dtype=bool))
        found[here] = work(encoder, window.embeddings[here])
    return found
