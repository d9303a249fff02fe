"""Rows of a window and of its reference that can be laid side by side, as the model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.arrays import Array
from core.records.windows import Window
from monitoring.drift.features import IncomparableError
from monitoring.limits import MIN_ROWS
from monitoring.view import View, commonest

MAX_ROWS = 20_000  # of a side: what is typical of more is typical of so many


@dataclass(frozen=True)
class Side:
    """Rows and what they are: embeddings (n, dim) finite float32, the label and its probability."""

    rows: pd.DataFrame
    embeddings: Array
    labels: Array  # (n,) str
    confidence: Array  # (n,) in 0..1
    ago: Array  # (n,) how many windows ago; 0 is the window itself

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def texts(self) -> list[str]:
        return ["" if t is None else str(t) for t in self.rows["text"]]


def joined(*sides: Side) -> Side:
    """All their rows, one side after the other."""
    return Side(
        pd.concat([s.rows for s in sides], ignore_index=True),
        np.concatenate([s.embeddings for s in sides]),
        np.concatenate([s.labels for s in sides]),
        np.concatenate([s.confidence for s in sides]),
        np.concatenate([s.ago for s in sides]),
    )


def comparable_rows(view: View) -> tuple[Side, Side]:
    """The rows of (window, reference) that the window's commonest encoder read, in order of their id.

    Labels are those of the model that serves where it reads this encoder's embeddings, else those that
    were answered. More than MAX_ROWS rows are thinned out evenly. Raises IncomparableError saying why
    there is nothing to compare.
    """
    if len(view.window) == 0:
        raise IncomparableError("not enough rows: 0")
    if len(view.reference) == 0:
        raise IncomparableError("not enough reference: 0 rows")
    encoder = commonest(view.window.rows["encoder"].sort_values())
    window = _side(view, view.window, np.zeros(len(view.window), dtype=int), encoder)
    reference = _side(view, view.reference, view.reference_ages, encoder)
    least = MIN_ROWS
    if len(window) < least or len(reference) < least:
        counts = f"{len(window)} rows of the window and {len(reference)} of the reference"
        raise IncomparableError(f"not enough rows of encoder {encoder}: {counts}, {least} needed")
    if window.embeddings.shape[1] != reference.embeddings.shape[1]:
        dims = f"{window.embeddings.shape[1]} and {reference.embeddings.shape[1]}"
        raise IncomparableError(f"not comparable: embeddings of {dims} dimensions")
    return window, reference


def _side(view: View, rows: Window, ago: Array, encoder: str) -> Side:
    frame, model = rows.rows, view.model
    sound = np.isfinite(rows.embeddings).all(axis=1) & (frame["encoder"] == encoder).to_numpy(
        dtype=bool
    )
    where = np.flatnonzero(sound)
    where = where[np.argsort(frame["prediction_id"].to_numpy(dtype=str)[where], kind="stable")]
    if len(where) > MAX_ROWS:
        where = where[np.sort(np.random.default_rng(view.seed).permutation(len(where))[:MAX_ROWS])]
    kept, embeddings, ago = frame.iloc[where].reset_index(drop=True), rows.embeddings[where], ago[where]
    if model.classify is None or model.encoder != encoder or len(where) == 0:
        scores = np.nan_to_num(kept["confidence"].to_numpy(dtype=float))
        return Side(kept, embeddings, kept["output"].to_numpy(dtype=str), scores, ago)
    try:
        shares = model.classify(embeddings)
    except ValueError as fault:  # a head of another size than the encoder's rows
        raise IncomparableError(f"not comparable: the model cannot read them ({fault})") from None
    labels = np.array(model.labels, dtype=str)[shares.argmax(axis=1)]
    return Side(kept, embeddings, labels, shares.max(axis=1).astype(float), ago)
