"""What the new rows of a version must be before there is a tag, as a Great Expectations suite.

A row that fails is left out and stands in quarantine/dataset-v0007.csv with the reasons; its label
stays in the store. Where more than `datasets.max_failed` of them fail, something else is wrong: no
version.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import DatasetError
from core.expectations import Check, batches, quietly, suite, validated
from core.readers import Refused, excerpt
from core.tables import write_quarantine
from pipelines.datasets.manifest import SETS

SHOWN = 10
DRAWN = ("train", *(s for s in SETS if s not in ("train", "recent")), "out")  # sets of a partition
FINITE = "embedding.finite"
CLAIMS = {
    "row_id.present": "no row id",
    "row_id.unique": "its row id is there twice",
    "input.empty": "no text",
    "target.empty": "no label",
    "target.known": "its label is not in the label set",
    "set.known": "no such set",
    "timestamp.present": "no time",
    FINITE: "its embedding is not all numbers",
}


def sound(
    rows: pd.DataFrame, labels: Collection[str] | None, max_failed: float, page: Path
) -> pd.DataFrame:
    """The rows that pass; the others are written to `page`. labels: the only ones there may be, if any.

    Raises DatasetError when more than a share of `max_failed` fails, or a check itself breaks.
    """
    reasons = failures(rows, labels)
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


def failures(rows: pd.DataFrame, labels: Collection[str] | None = None) -> dict[int, list[str]]:
    """Position of a row -> what it fails, in words. Raises DatasetError for a check that broke."""
    frame = rows.reset_index(drop=True)
    frame = frame.drop(columns="embedding").assign(**{FINITE: [_finite(e) for e in frame["embedding"]]})
    reasons: dict[int, list[str]] = {}
    for check in _checks(frame, labels):
        if check.error or not (check.passed or check.failed):
            raise DatasetError("an expectation of the dataset broke", where=check.name, got=check.error)
        for position in map(int, check.failed):
            reasons.setdefault(position, []).append(CLAIMS[check.name])
    return reasons


def _checks(frame: pd.DataFrame, labels: Collection[str] | None) -> list[Check]:
    batches()  # sets the environment before the first import
    with quietly():
        asked = suite("dataset", _expectations(labels))
    return validated(frame, pd.Series(range(len(frame))), asked)


def _expectations(labels: Collection[str] | None) -> list[tuple[str, Any]]:
    import great_expectations.expectations as gxe

    made = [
        ("row_id.present", gxe.ExpectColumnValuesToMatchRegex(column="row_id", regex=r"\S")),
        ("row_id.unique", gxe.ExpectColumnValuesToBeUnique(column="row_id")),
        ("input.empty", gxe.ExpectColumnValuesToMatchRegex(column="input", regex=r"\S")),
        ("target.empty", gxe.ExpectColumnValuesToMatchRegex(column="target", regex=r"\S")),
        ("set.known", gxe.ExpectColumnValuesToBeInSet(column="set", value_set=list(DRAWN))),
        ("timestamp.present", gxe.ExpectColumnValuesToNotBeNull(column="timestamp")),
        (FINITE, gxe.ExpectColumnValuesToBeInSet(column=FINITE, value_set=[True])),
    ]
    if labels is not None:
        known = gxe.ExpectColumnValuesToBeInSet(column="target", value_set=sorted(labels))
        made.append(("target.known", known))
    return made


def _finite(embedding: bytes | None) -> bool:
    """None stands for an answer that was logged without one: its text is read again when it trains."""
    if embedding is None:
        return True
    even = len(embedding) % 2 == 0
    return even and bool(np.isfinite(np.frombuffer(embedding, np.float16)).all())


def _shown(frame: pd.DataFrame, i: int) -> str:
    row = frame.iloc[i]
    return excerpt(f"{row['row_id']} {row['target']}: {row['input']}")
