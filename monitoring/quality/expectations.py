"""Data quality of a window: named Great Expectations checks, and the ids of the rows that fail them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from core.expectations import Check, batches, quietly, suite, validated
from core.records.windows import Window
from monitoring import DataExpectation
from monitoring.columns import as_users_know

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "check", "failed_rows", "suite_of"]

COLUMNS = ("prediction_id", "request_id", "timestamp", "model_version", "text", "label", "score")
READ = ("text", "label", "score")  # those of them that a check looks into


def check(
    window: Window, known_labels: Set[str], max_length: int, own: Sequence[DataExpectation] = ()
) -> list[Check]:
    """Every check on the window's rows: schema, text.present, text.empty, text.length, label.known,
    score.range, and the user's own. A check on a missing column is left out, because `schema` says so
    already.
    """
    import pandas as pd

    rows = as_users_know(window.rows)
    ids = rows["request_id"] if "request_id" in rows else pd.Series(range(len(rows)))
    frame = rows.reset_index(drop=True)
    if not own:  # every column that is there is hashed, twice: of some only the name is asked for
        there = frame.columns.intersection(pd.Index(COLUMNS))
        frame = frame[there].assign(**{str(c): 0 for c in there if c not in READ})
    asked, broken = suite_of(frame, known_labels, max_length, own)
    return [*validated(frame, ids, asked), *broken]


def failed_rows(checks: Sequence[Check]) -> dict[str, list[str]]:
    """Request id -> names of the checks it failed: what a caller quarantines, and why."""
    rows: dict[str, list[str]] = {}
    for one in checks:
        for request_id in one.failed:
            rows.setdefault(request_id, []).append(one.name)
    return rows


def suite_of(
    frame: pd.DataFrame, known_labels: Set[str], max_length: int, own: Sequence[DataExpectation]
) -> tuple[Any, list[Check]]:
    """The checks of a frame as a suite, and those of the user's that cannot be made, and why."""
    batches()  # sets the environment before the first import
    made, broken = [], []
    for mine in own:
        try:
            with quietly():
                made.append((mine.title, _own(mine.type, mine.kwargs)))
        except Exception as fault:  # whatever Great Expectations says of what a user wrote
            broken.append(Check(mine.title, False, error=_line(fault)))
    kept = [*_built_in(frozenset(map(str, frame.columns)), known_labels, max_length), *made]
    return suite("window", kept), broken


def _built_in(columns: Set[str], known_labels: Set[str], max_length: int) -> list[tuple[str, Any]]:
    import great_expectations.expectations as gxe

    known = sorted(known_labels)
    named = [
        ("text.present", gxe.ExpectColumnValuesToNotBeNull(column="text")),
        ("text.empty", gxe.ExpectColumnValuesToMatchRegex(column="text", regex=r"\S")),
        ("text.length", gxe.ExpectColumnValueLengthsToBeBetween(column="text", max_value=max_length)),
        (
            "label.known",
            gxe.ExpectColumnValuesToBeInSet(column="label", value_set=known),
        ),
        ("score.range", gxe.ExpectColumnValuesToBeBetween(column="score", min_value=0, max_value=1)),
    ]
    schema = gxe.ExpectTableColumnsToMatchSet(column_set=list(COLUMNS), exact_match=False)
    return [("schema", schema)] + [(n, e) for n, e in named if e.column in columns]


def _own(kind: str, kwargs: dict[str, Any]) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    return ExpectationConfiguration(type=kind, kwargs=kwargs).to_domain_obj()


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__
