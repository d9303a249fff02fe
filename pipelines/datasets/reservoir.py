"""The reservoir: every row that was ever labelled. How such rows come to be."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.arrays import Array
from core.ids import uuid7
from core.records.labels import Kind
from core.times import utc
from pipelines.datasets.partitions import LABEL, SCHEMA


def from_claim(claimed: pd.DataFrame) -> pd.DataFrame:
    """Rows of `store.labels.claim` as reservoir rows: what was drawn for the audit never trains."""
    rows = claimed.rename(columns={"prediction_id": "row_id"})
    rows["set"] = np.where(claimed["audit"].astype(bool), "audit", "train")
    rows["segments"] = [segments_text(s) for s in claimed["segments"]]
    shaped: pd.DataFrame = rows[SCHEMA.names]
    return shaped


def first_rows(
    rows: pd.DataFrame,
    embeddings: Array,
    of_set: Literal["train", "eval"],
    encoder: str,
    as_of: datetime,
    kind: Kind = LABEL,
) -> pd.DataFrame:
    """Labelled rows of a file, which were never served, as reservoir rows.

    rows: text, label, and where known segments (dict) and timestamp (else all are of `as_of`).
    embeddings: (n, dim).
    """
    n = len(rows)
    times = [utc(t) for t in rows["timestamp"]] if "timestamp" in rows else [utc(as_of)] * n
    segments: Any = rows["segments"] if "segments" in rows else [{}] * n
    given = {
        "row_id": [
            uuid7(t, of_set, str(i), x)
            for i, (t, x) in enumerate(zip(times, rows["text"], strict=True))
        ],
        "timestamp": times,
        "input": rows["text"].to_list(),
        "target": rows["label"].to_list(),
        "kind": kind,
        "set": of_set,
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
