"""The checks that a user wrote of a window's rows, in Great Expectations' words and by its code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.arrays import Frame, Series
from core.expectations import Check, batches, quietly, suite, validated
from monitoring import DataExpectation


def check_own(rows: Frame, ids: Series, own: Sequence[DataExpectation]) -> list[Check]:
    """What each says of the rows; last, those that cannot be made, and why."""
    asked, broken = suite_of(own)
    return [*validated(rows.reset_index(drop=True), ids, asked), *broken]


def suite_of(own: Sequence[DataExpectation]) -> tuple[Any, list[Check]]:
    """The user's checks as a suite, and those of them that cannot be made, and why."""
    batches()  # sets the environment before the first import
    made, broken = [], []
    for mine in own:
        try:
            with quietly():
                made.append((mine.title, _made(mine.type, mine.kwargs)))
        except Exception as fault:  # whatever Great Expectations says of what a user wrote
            broken.append(Check(mine.title, False, error=_line(fault)))
    return suite("window", made), broken


def _made(kind: str, kwargs: dict[str, Any]) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    return ExpectationConfiguration(type=kind, kwargs=kwargs).to_domain_obj()


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__
