"""What the new rows of a version must be before there is a tag.

A row that fails is left out and stands in quarantine/dataset-v0007.csv with the reasons; its label
stays in the store. Where more than `datasets.max_failed` of them fail, something else is wrong: no
version.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.errors import DatasetError
from core.readers import Refused, excerpt
from core.tables import write_quarantine
from pipelines.datasets.manifest import SETS
from pipelines.datasets.partitions import LABEL

SHOWN = 10
DRAWN = ("train", *(s for s in SETS if s not in ("train", "recent")), "out")  # sets of a partition
LONGEST = 100_000  # characters: what no model reads was meant for something else


@dataclass(frozen=True)
class Allowed:
    """What targets may be: `labels`, the only ones there are, if any; and `fault` says why an answer
    that somebody wrote cannot be used, "" where it can."""

    labels: Collection[str] | None = None
    fault: Callable[[str], str] = lambda _answer: ""


ANYTHING = Allowed()


def sound(rows: pd.DataFrame, allowed: Allowed, max_failed: float, page: Path) -> pd.DataFrame:
    """The rows that pass; the others are written to `page`.

    Raises DatasetError when more than a share of `max_failed` fails.
    """
    reasons = failures(rows, allowed)
    if not reasons:
        return rows
    frame = rows.reset_index(drop=True)
    refused = [Refused(i + 1, "; ".join(why), _shown(frame, i)) for i, why in sorted(reasons.items())]
    write_quarantine(refused, page)
    if len(refused) > max_failed * len(rows):
        raise DatasetError(
            f"{len(refused)} of {len(rows)} new rows fail the expectations of a dataset",
            where=str(page),
            got="; ".join(f"{r.value} ({r.reason})" for r in refused[:SHOWN]),
            expected=f"{max_failed:.0%} at most: datasets.max_failed in params.yaml",
            do="mend what made them, or raise datasets.max_failed to go on without them",
        )
    return rows[~np.isin(np.arange(len(rows)), list(reasons))]


def failures(rows: pd.DataFrame, allowed: Allowed = ANYTHING) -> dict[int, list[str]]:
    """Position of a row -> what it fails, in words."""
    written = rows["kind"] != LABEL
    found = {
        "no row id": _blank(rows["row_id"]),
        "its row id is there twice": rows["row_id"].duplicated(keep=False),
        "no text": _blank(rows["input"]),
        "no label": _blank(rows["target"]) & ~written,
        "no answer": _blank(rows["target"]) & written,
        "no such set": ~rows["set"].isin(DRAWN),
        "no time": rows["timestamp"].isna(),
        "its embedding is not all numbers": rows["embedding"].map(lambda e: not _finite(e)),
        "its answer is not in the form that the task asks for": written
        & rows["target"].map(lambda t: bool(allowed.fault(t))),
        f"input and answer have more than {LONGEST:,} characters": written
        & (rows["input"].str.len() + rows["target"].str.len() > LONGEST),
    }
    if allowed.labels is not None:
        found["its label is not in the label set"] = ~rows["target"].isin(list(allowed.labels))
    reasons: dict[int, list[str]] = {}
    for reason, failed in found.items():
        for position in np.flatnonzero(failed).tolist():
            reasons.setdefault(position, []).append(reason)
    return reasons


def _blank(column: pd.Series[str]) -> pd.Series[bool]:
    return column.map(lambda value: not isinstance(value, str) or not value.strip())


def _finite(embedding: bytes | None) -> bool:
    """None stands for an answer that was logged without one: its text is read again when it trains."""
    if embedding is None:
        return True
    even = len(embedding) % 2 == 0
    return even and bool(np.isfinite(np.frombuffer(embedding, np.float16)).all())


def _shown(frame: pd.DataFrame, i: int) -> str:
    row = frame.iloc[i]
    return excerpt(f"{row['row_id']} {row['target']}: {row['input']}")
