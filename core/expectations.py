"""Great Expectations on a frame: named checks, and which rows fail them. Offline, quiet, no files."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from core.garbage import uncollected

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Check:
    """One check of one frame. `failed` holds ids of rows, never the values, which may be private.

    A check that broke (`error`) says nothing about the data: it did not pass and no row failed it.
    """

    name: str
    passed: bool
    failed: tuple[str, ...] = ()
    error: str = ""


def validated(frame: pd.DataFrame, ids: pd.Series[Any], suite: Any) -> list[Check]:
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


def _read(result: Any, ids: pd.Series[Any]) -> Check:
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
