"""Rows of the prediction log as columns: a day of 100,000 answers is one frame and two matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sqlalchemy import ColumnElement, Text, cast, type_coerce

from core import schema
from core.records import Array, Window

IDS = ("prediction_id", "request_id")
PLAIN = ("model_version", "variant", "text", "label", "score", "encoder", "user_key", "latency_ms")


def columns() -> list[ColumnElement[Any]]:
    """What is read of an answer, times and segments as the database has them: to make an object of
    each would take longer than all the rest."""
    p, a, k = schema.predictions, schema.annotations, schema.tasks
    return [
        *(p.c[name] for name in (*IDS, *PLAIN)),
        type_coerce(p.c.timestamp, Text).label("timestamp"),
        cast(p.c.segments, Text).label("segments"),
        p.c.propensity.label("kept"),
        k.c.propensity.label("picked"),
        k.c.audit,
        a.c.label.label("truth"),
        p.c.embedding,
        p.c.probabilities,
    ]


def window(
    start: datetime, end: datetime, parts: Iterable[Sequence[Sequence[Any]]], share: float
) -> Window:
    """The window of rows that come in parts, each row with the values of `columns`."""
    names = [c.key or "" for c in columns()]
    given: dict[str, list[Any]] = {name: [] for name in names}
    for part in parts:
        for name, values in zip(names, zip(*part, strict=True), strict=True):
            given[name].extend(values)
    embeddings, probabilities = _embeddings(given.pop("embedding")), _ragged(given.pop("probabilities"))
    return Window(start, end, _frame(given), embeddings, probabilities, share)


def _frame(given: dict[str, list[Any]]) -> pd.DataFrame:
    kept = np.array(given["kept"], dtype=float)
    times = pd.to_datetime(pd.Series(given["timestamp"], dtype=object), utc=True, format="ISO8601")
    made = {
        **{name: given[name] for name in IDS},
        "timestamp": times.astype("datetime64[us, UTC]"),
        **{name: given[name] for name in PLAIN},
        "truth": pd.Series(given["truth"], dtype=object),
        "audit": np.array([bool(x) for x in given["audit"]], dtype=bool),
        "kept": kept,
        "propensity": np.array(given["picked"], dtype=float) * kept,
    }
    return pd.DataFrame(made | _segments(given["segments"]))


def _segments(texts: list[str]) -> dict[str, list[str]]:
    known = {text: orjson.loads(text) for text in set(texts)}
    names = sorted({name for segments in known.values() for name in segments})
    return {f"segment.{n}": [known[text].get(n, "") for text in texts] for n in names}


def _embeddings(blobs: list[bytes | None]) -> Array:
    """(n, dim) float32. NaN where an encoder of another size than the newest row's made them."""
    size = next((len(b) for b in reversed(blobs) if b is not None), 0)
    blank = np.full(size // 2, np.nan, dtype=np.float16).tobytes()
    whole = b"".join(b if b is not None and len(b) == size else blank for b in blobs)
    return np.frombuffer(whole, dtype=np.float16).reshape(len(blobs), size // 2).astype(np.float32)


def _ragged(blobs: list[bytes]) -> Array | list[Array]:
    """A matrix where all rows are as long, else an array a row."""
    flat = np.frombuffer(b"".join(blobs), dtype=np.float16).astype(np.float32)
    ends = np.cumsum([len(b) // 2 for b in blobs])
    if len({len(b) for b in blobs}) == 1:
        return flat.reshape(len(blobs), -1)
    return np.split(flat, ends[:-1]) if blobs else []
