"""Rows of the prediction log as columns: a day of 100,000 answers is one frame and two matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from sqlalchemy import ColumnElement, Text, case, cast, null, type_coerce

from core import schema
from core.arrays import Array
from core.records.labels import BY_HAND
from core.records.windows import Window
from core.store.details import table_of
from core.store.naming import Naming
from core.store.scores import all_scores, score_columns
from core.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

IDS = ("prediction_id", "request_id")
KNOWN = ("score", "truth")  # NULL where nobody knows
PLAIN = (
    "model_version",
    "variant",
    "text",
    "output",
    "confidence",
    "encoder",
    "user_key",
    "latency_ms",
)
NAMES = (*IDS, *PLAIN, "timestamp", "segments", "kept", "picked", "audit", *KNOWN)
UNREAD = ("prediction_id", "messages", "probabilities")  # of a detail: no columns of the frame


def columns(naming: Naming) -> list[ColumnElement[Any]]:
    """What is read of an answer: NAMES, what its task says of it, embedding, probabilities. Times and
    segments as the database has them: to make an object of each would take longer than all the rest."""
    p, k, d = schema.predictions, schema.tasks, table_of(naming.task.detail)
    score, output, truth = score_columns(naming)
    return [
        *(output if n == "output" else p.c[n] for n in (*IDS, *PLAIN)),
        type_coerce(p.c.timestamp, Text).label("timestamp"),
        cast(p.c.segments, Text).label("segments"),
        p.c.propensity.label("kept"),
        case((k.c.policy.not_in(BY_HAND), k.c.propensity)).label("picked"),
        k.c.audit,
        score,
        truth,
        *(d.c[name] for name in said(naming.task)),
        p.c.embedding,
        d.c.get("probabilities", null()),
    ]


def said(task: Task) -> list[str]:
    """The columns of a frame that only this task has."""
    return [c.name for c in table_of(task.detail).columns if c.name not in UNREAD]


def window(
    start: datetime,
    end: datetime,
    parts: Iterable[Sequence[Sequence[Any]]],
    share: float,
    task: Task,
) -> Window:
    """The window of rows that come in parts, each row with the values of `columns`."""
    given: dict[str, list[Any]] = {name: [] for name in (*NAMES, *said(task))}
    embeddings, probabilities = Arrays(), Arrays()
    for part in parts:
        *plain, vectors, shares = zip(*part, strict=True)
        for name, values in zip(given, plain, strict=True):
            given[name].extend(values)
        embeddings.add(vectors)
        probabilities.add(shares)
    return Window(start, end, _frame(given, task), embeddings.matrix(), probabilities.rows(), share)


class Arrays:
    """Float16 arrays of many rows as they come from the database, in few and large pieces."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._pieces: list[bytes] = []

    def add(self, blobs: Sequence[bytes | None]) -> None:
        self._sizes += [len(b) // 2 if b else 0 for b in blobs]
        self._pieces.append(b"".join(b or b"" for b in blobs))

    def rows(self) -> Array | list[Array]:
        """Float32: a matrix where all rows are as long, else an array a row."""
        if set(self._sizes) == {0}:
            return np.zeros((len(self._sizes), 0), dtype=np.float32)
        if len(set(self._sizes)) == 1:
            return self._stacked(self._sizes[0])
        ends = np.cumsum(self._sizes)[:-1]
        return np.split(self._stacked(1)[:, 0], ends) if self._sizes else []

    def matrix(self) -> Array:
        """(n, dim) float32. NaN where an encoder of another size than the newest row's made it."""
        dim = next((size for size in reversed(self._sizes) if size), 0)
        rows = self.rows()
        if isinstance(rows, np.ndarray):
            return rows
        blank = np.full(dim, np.nan, dtype=np.float32)
        made = [row if len(row) == dim else blank for row in rows]
        return np.array(made, dtype=np.float32).reshape(len(made), dim)

    def _stacked(self, width: int) -> Array:
        """All pieces as one (n, width) matrix, and the pieces let go one by one."""
        end = sum(self._sizes) // width
        whole = np.empty((end, width), dtype=np.float32)
        while self._pieces:
            piece = np.frombuffer(self._pieces.pop(), dtype=np.float16).reshape(-1, width)
            whole[end - len(piece) : end] = piece
            end -= len(piece)
        return whole


def _frame(given: dict[str, list[Any]], task: Task) -> pd.DataFrame:
    import pandas as pd

    kept = np.array(given["kept"], dtype=float)
    times = pd.to_datetime(pd.Series(given["timestamp"], dtype=object), utc=True, format="ISO8601")
    made = {
        **{name: pd.Series(given[name], dtype=object) for name in IDS},
        "timestamp": times.astype("datetime64[us, UTC]"),
        **{name: given[name] for name in PLAIN},
        "truth": pd.Series(given["truth"], dtype=object),
        "score": all_scores(task, given["score"], given["output"], given["truth"]),
        "audit": np.array([bool(x) for x in given["audit"]], dtype=bool),
        "kept": kept,
        "propensity": np.array(given["picked"], dtype=float) * kept,
        **{name: given[name] for name in said(task)},
    }
    rows = pd.DataFrame(made | _segments(given["segments"]))
    rows["score"] = rows["score"].where(task.finished(rows))  # how right is half an answer?
    return rows


def _segments(texts: list[str]) -> dict[str, list[str]]:
    known = {text: orjson.loads(text) for text in set(texts)}
    names = sorted({name for segments in known.values() for name in segments})
    return {f"segment.{n}": [known[text].get(n, "") for text in texts] for n in names}
