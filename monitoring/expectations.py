"""Data quality of a window: named Great Expectations checks, and the ids of the rows that fail them."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import pandas as pd

from core.records import Window

COLUMNS = ("prediction_id", "request_id", "timestamp", "model_version", "text", "label", "score")


@dataclass(frozen=True)
class Check:
    """One check on one window. `failed` holds request ids, never the values, which may be private.

    A check that broke (`error`) says nothing about the data: it did not pass and no row failed it.
    """

    name: str
    passed: bool
    failed: tuple[str, ...] = ()
    error: str = ""


def check(window: Window, known_labels: set[str], max_length: int) -> list[Check]:
    """Every check on the window's rows: schema, text.present, text.empty, text.length, label.known,
    score.range. A check on a missing column is left out, because `schema` says so already.
    """
    frame = pd.DataFrame(window.rows)
    suite = _suite(frozenset(map(str, frame.columns)), tuple(sorted(known_labels)), max_length)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # pandas' and marshmallow's deprecations inside Great Expectations
        batch = _batches().get_batch(batch_parameters={"dataframe": frame.reset_index(drop=True)})
        found = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    ids = frame["request_id"] if "request_id" in frame else pd.Series(range(len(frame)))
    by_name = {r.expectation_config.meta["check"]: _read(r, ids) for r in found.results}
    return [by_name[e.meta["check"]] for e in suite.expectations]


def failed_rows(checks: Sequence[Check]) -> dict[str, list[str]]:
    """Request id -> names of the checks it failed: what a caller quarantines, and why."""
    rows: dict[str, list[str]] = {}
    for one in checks:
        for request_id in one.failed:
            rows.setdefault(request_id, []).append(one.name)
    return rows


def _read(result: Any, ids: pd.Series[Any]) -> Check:
    name = str(result.expectation_config.meta["check"])
    raised = _exception(result.exception_info)
    if raised:
        return Check(name, False, error=raised)
    positions = result.result.get("unexpected_index_list") or []
    return Check(name, bool(result.success), tuple(str(ids.iloc[i]) for i in positions))


def _exception(info: dict[str, Any]) -> str:
    """The message of a broken check; Great Expectations nests it under the metric that broke."""
    for part in [info, *info.values()]:
        if isinstance(part, dict) and part.get("raised_exception"):
            return str(part["exception_message"]).strip().splitlines()[0][:200]
    return ""


@cache
def _batches() -> Any:
    """The one ephemeral context of this process, quiet and offline."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of its dependencies
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("window").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all")


@lru_cache(maxsize=8)
def _suite(columns: frozenset[str], known_labels: tuple[str, ...], max_length: int) -> Any:
    _batches()  # sets the environment before the first import
    import great_expectations as gx
    import great_expectations.expectations as gxe

    named = [
        ("text.present", gxe.ExpectColumnValuesToNotBeNull(column="text")),
        ("text.empty", gxe.ExpectColumnValuesToMatchRegex(column="text", regex=r"\S")),
        ("text.length", gxe.ExpectColumnValueLengthsToBeBetween(column="text", max_value=max_length)),
        ("label.known", gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(known_labels))),
        ("score.range", gxe.ExpectColumnValuesToBeBetween(column="score", min_value=0, max_value=1)),
    ]
    schema = gxe.ExpectTableColumnsToMatchSet(column_set=list(COLUMNS), exact_match=False)
    kept = [("schema", schema)] + [(n, e) for n, e in named if e.column in columns]
    for name, expectation in kept:
        expectation.meta = {"check": name}
    return gx.ExpectationSuite(name="window", expectations=[e for _, e in kept])
