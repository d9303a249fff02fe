"""The reservoir: every row that was ever labelled, in append-only Parquet partitions."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import DatasetError
from core.records import Array, utc, uuid7

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),  # prediction_id, where the row was served
        pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),  # of the request
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),  # train | eval | audit
        pa.field("embedding", pa.binary()),  # float16
        pa.field("encoder", pa.string()),
        pa.field("segments", pa.string()),  # JSON
        pa.field("user_key", pa.string()),
        pa.field("policy", pa.string()),
        pa.field("round", pa.string()),
        pa.field("propensity", pa.float64()),  # null where the row was not picked
        pa.field("annotator", pa.string()),
    ]
)
HELD_OUT = ("eval", "audit")
KEYS = ("row_id", "timestamp", "set")


def from_claim(claimed: pd.DataFrame) -> pd.DataFrame:
    """Rows of `Store.claim` as reservoir rows: what was drawn for the audit never trains."""
    rows = claimed.rename(columns={"prediction_id": "row_id"})
    rows["set"] = np.where(claimed["audit"].astype(bool), "audit", "train")
    rows["segments"] = [segments_text(s) for s in claimed["segments"]]
    shaped: pd.DataFrame = rows[SCHEMA.names]
    return shaped


def first_rows(
    rows: pd.DataFrame, embeddings: Array, kind: Literal["train", "eval"], encoder: str, as_of: datetime
) -> pd.DataFrame:
    """Labelled rows that were never served, as reservoir rows, for the first partition.

    rows: text, label, and where known segments (dict) and timestamp (else all are of `as_of`).
    embeddings: (n, dim).
    """
    n = len(rows)
    times = [utc(t) for t in rows["timestamp"]] if "timestamp" in rows else [utc(as_of)] * n
    segments: Any = rows["segments"] if "segments" in rows else [{}] * n
    given = {
        "row_id": [
            uuid7(t, kind, str(i), x) for i, (t, x) in enumerate(zip(times, rows["text"], strict=True))
        ],
        "timestamp": times,
        "text": rows["text"].to_list(),
        "label": rows["label"].to_list(),
        "set": kind,
        "embedding": [e.tobytes() for e in np.asarray(embeddings, dtype=np.float16)],
        "encoder": encoder,
        "segments": [segments_text(s) for s in segments],
        "user_key": "",
        "policy": "initial",
        "round": "",
        "propensity": np.nan,
        "annotator": "initial",
    }
    return pd.DataFrame(given, index=range(n), columns=SCHEMA.names)


def embeddings(rows: pd.DataFrame) -> Array:
    """The (n, dim) float16 embeddings of reservoir rows."""
    raw = [np.frombuffer(e, dtype=np.float16) for e in rows["embedding"]]
    return np.stack(raw) if raw else np.zeros((0, 0), dtype=np.float16)


def segments_text(segments: dict[str, str]) -> str:
    """
    >>> segments_text({"topic": "cards", "channel": "app"})
    '{"channel": "app", "topic": "cards"}'
    """
    return json.dumps(segments, sort_keys=True, ensure_ascii=False)


def add_partition(folder: Path, name: str, rows: pd.DataFrame) -> Path:
    """Write a partition once. The same rows again change nothing; other rows raise DatasetError."""
    path = folder / f"{name}.parquet"
    table = to_table(rows, path)
    if path.exists():
        if _read_table(path, SCHEMA.names).equals(table):
            return path
        raise DatasetError(
            "a reservoir partition cannot be rewritten",
            where=str(path),
            got=f"{len(rows)} rows, not the ones that are there",
            expected="rows under a new partition name",
        )
    write(path, table)
    return path


def write(path: Path, table: pa.Table) -> None:
    """The same rows give the same bytes; a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    pq.write_table(table, half, compression="zstd")
    os.replace(half, path)


def to_table(rows: pd.DataFrame, path: Path) -> pa.Table:
    """Rows in the reservoir's schema; `path` is where they are going, for the error's sake."""
    if set(rows.columns) != set(SCHEMA.names):
        raise DatasetError(
            "these are not reservoir rows",
            where=str(path),
            got=", ".join(map(str, rows.columns)),
            expected=", ".join(SCHEMA.names),
        )
    try:
        table = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False, safe=False)
    except (pa.ArrowException, TypeError, ValueError) as fault:
        raise DatasetError("these are not reservoir rows", where=str(path), got=str(fault)) from None
    return table.replace_schema_metadata(None)


def read(
    folder: Path,
    sets: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    partitions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows in time order; of a row that was annotated twice, the later annotation.

    Everything by default, else only these sets, columns and partitions (oldest first).
    """
    names = sorted(p.stem for p in folder.glob("*.parquet")) if partitions is None else partitions
    wanted = list(SCHEMA.names if columns is None else columns)
    needed = list(dict.fromkeys([*wanted, *KEYS]))
    tables = [_read_table(folder / f"{n}.parquet", needed) for n in names]
    shape = pa.schema([SCHEMA.field(n) for n in needed])
    rows: pd.DataFrame = pa.concat_tables([shape.empty_table(), *tables]).to_pandas()
    rows = rows.drop_duplicates("row_id", keep="last")
    if sets is not None:
        rows = rows[rows["set"].isin(list(sets))]
    return rows.sort_values(["timestamp", "row_id"], ignore_index=True)[wanted]


def _read_table(path: Path, columns: Sequence[str]) -> Any:
    try:
        with pq.ParquetFile(path) as file:
            missing = [c for c in columns if c not in file.schema_arrow.names]
            if not missing:
                return file.read(columns=list(columns)).select(list(columns)).cast(_fields(columns))
    except FileNotFoundError:
        raise DatasetError(
            "a partition of the reservoir is not here",
            where=str(path),
            do="dvc checkout (dvc pull, where the data is only at the remote)",
        ) from None
    except (pa.ArrowException, OSError) as fault:
        raise DatasetError(
            "a Parquet file is damaged",
            where=str(path),
            got=str(fault).splitlines()[0],
            expected="a whole Parquet file",
            do=f"rm {path} && dvc checkout",
        ) from None
    raise DatasetError(
        "a Parquet file is not of the reservoir",
        where=str(path),
        got=f"no {', no '.join(missing)}",
        expected=", ".join(columns),
    )


def _fields(columns: Sequence[str]) -> Any:
    return pa.schema([SCHEMA.field(c) for c in columns])
