"""Data quality of a window: named checks, and the ids of the rows that fail them.

Our own checks are expressions over a column. What a user wrote is left to Great Expectations
(expectations.py), which takes longer to import than all of these take on a million rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from core.arrays import Array, Frame, Series
from core.records.windows import Window
from monitoring import DataExpectation
from monitoring.columns import as_users_know

__all__ = ["Check", "ColumnRule", "check", "failed_rows", "missing_columns", "rules"]

COLUMNS = ("prediction_id", "request_id", "timestamp", "model_version", "text", "label", "score")


@dataclass(frozen=True)
class Check:
    """One check of one frame. `failed` holds ids of rows, never the values, which may be private.

    A check that broke (`error`) says nothing about the data: it did not pass and no row failed it.
    """

    name: str
    passed: bool
    failed: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class ColumnRule:
    """What every value of a column must be. A value that is missing breaks `text.present` only."""

    name: str
    column: str
    asks: str  # what the page says of it
    broken: Callable[[Series], Array]  # (n,) bool


def rules(known_labels: Set[str] | None, max_length: int) -> list[ColumnRule]:
    """Where outputs are no labels, there are no known ones."""
    found = [
        ColumnRule("text.present", "text", "is there", lambda text: text.isna().to_numpy()),
        ColumnRule("text.empty", "text", "shows something", _blank),
        ColumnRule(
            "text.length",
            "text",
            f"has at most {max_length:,} characters",
            lambda text: _texts(text).str.len().gt(max_length).to_numpy(),
        ),
        ColumnRule(
            "label.known",
            "label",
            "is one that the model has learnt",
            lambda label: (label.notna() & ~label.isin(known_labels or set())).to_numpy(),
        ),
        ColumnRule("score.range", "score", "lies between 0 and 1", _no_share),
    ]
    return [r for r in found if r.column != "label" or known_labels is not None]


def check(
    window: Window, known_labels: Set[str] | None, max_length: int, own: Sequence[DataExpectation] = ()
) -> list[Check]:
    """Every check on the window's rows: schema, those of `rules`, and the user's own. A rule for a
    missing column is left out, because `schema` says so already.
    """
    rows = as_users_know(window.rows)
    named = [r for r in rules(known_labels, max_length) if r.column in rows]
    ours = [Check("schema", not missing_columns(rows)), *(_checked(r, rows) for r in named)]
    if not own:
        return ours
    from monitoring.quality.expectations import check_own

    return [*ours, *check_own(rows, ids_of(rows), own)]


def failed_rows(checks: Sequence[Check]) -> dict[str, list[str]]:
    """Request id -> names of the checks it failed: what a caller quarantines, and why."""
    rows: dict[str, list[str]] = {}
    for one in checks:
        for request_id in one.failed:
            rows.setdefault(request_id, []).append(one.name)
    return rows


def missing_columns(rows: Frame) -> list[str]:
    return [c for c in COLUMNS if c not in rows]


def ids_of(rows: Frame) -> Series:
    """What a failed row is called: its request's id, or its place where there are no ids."""
    import pandas as pd

    return rows["request_id"] if "request_id" in rows else pd.Series(range(len(rows)))


def _checked(rule: ColumnRule, rows: Frame) -> Check:
    failed = ids_of(rows)[rule.broken(rows[rule.column])]
    return Check(rule.name, failed.empty, tuple(map(str, failed)))


def _texts(values: Series) -> Series:
    """The column as Arrow's strings, which pandas looks at without a Python object each."""
    return values if values.dtype == "str" else values.where(values.map(_is_text)).astype("str")


def _blank(texts: Series) -> Array:
    return _texts(texts).str.strip().eq("").to_numpy()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _no_share(values: Series) -> Array:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce")
    return (values.notna() & ~numbers.between(0, 1)).to_numpy()
