"""The checks that a user wrote of a window's rows, in the words and by the code of Great Expectations:
offline, quiet, no files."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from core.arrays import Frame, Series
from core.garbage import uncollected
from monitoring import DataExpectation
from monitoring.quality.checks import Check


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


def validated(frame: Frame, ids: Series, suite: Any) -> list[Check]:
    """What each expectation of a suite says of a frame; `meta["check"]` is its name, `ids` are names of
    the rows."""
    with quietly():
        batch = batches().get_batch(batch_parameters={"dataframe": frame})
        found = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    by_name = {r.expectation_config.meta["check"]: _read(r, ids) for r in found.results}
    return [by_name[e.meta["check"]] for e in suite.expectations]


def suite(name: str, expectations: Sequence[tuple[str, Any]]) -> Any:
    """Expectations under names of their own."""
    import great_expectations as gx

    for title, expectation in expectations:
        expectation.meta = {"check": title}
    return gx.ExpectationSuite(name=name, expectations=[e for _, e in expectations])


def _read(result: Any, ids: Series) -> Check:
    name = str(result.expectation_config.meta["check"])
    raised = _exception(result.exception_info)
    if raised:
        return Check(name, False, error=raised)
    if result.success:  # `mostly` of the rows may be enough
        return Check(name, True)
    positions = result.result.get("unexpected_index_list") or []
    return Check(name, False, tuple(str(ids.iloc[i]) for i in positions))


def _exception(info: dict[str, Any]) -> str:
    """The message of a broken check; Great Expectations nests it under the metric that broke."""
    for part in [info, *info.values()]:
        if isinstance(part, dict) and part.get("raised_exception"):
            return str(part["exception_message"]).strip().splitlines()[0][:200]
    return ""


@contextmanager
def quietly() -> Iterator[None]:
    """pandas' and marshmallow's deprecations inside Great Expectations are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def batches() -> Any:
    """Batches of frames, in the one ephemeral context of this process, quiet and offline."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, when it is imported
    with quietly(), uncollected():
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
    gc.freeze()  # some 300,000 objects that stay, and need not be walked again
    for talks in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(talks).setLevel(logging.WARNING)  # the second has a level of its own
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("window").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all")
