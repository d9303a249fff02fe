"""A page about a window: Evidently's comparison with the reference, one file, works offline."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from core.files import whole_file
from core.page import write_page
from core.records.windows import Window

# a distance of each: a p-value would fall with the rows
METHODS = {"predicted label": "jensenshannon", "confidence": "wasserstein", "length": "wasserstein"}
MIN_ROWS = 10
TOO_SMALL = Path(__file__).with_name("too_small.html")


def window_report(window: Window, reference: Window, path: Path) -> Path:
    """Write the HTML page of a window to `path` and return it. About a second, 4 MB.

    How many rows; text, label, confidence and text length of the window beside the reference's, with
    their distances. Without MIN_ROWS reference rows the page describes the window alone; a window with
    fewer gets a page that says so.
    """
    if len(window) < MIN_ROWS:
        span = f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}"
        title = "Too few rows for a report"
        return write_page(path, TOO_SMALL, title=title, span=span, rows=len(window), needed=MIN_ROWS)
    with whole_file(path, durable=False) as half, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy and pandas deprecations inside Evidently
        _run(window, reference).save_html(str(half))
    return path


def _run(window: Window, reference: Window) -> Any:
    os.environ["DO_NOT_TRACK"] = "1"  # read when it is imported
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import RowCount, ValueDrift
    from evidently.presets import DataSummaryPreset

    shape = DataDefinition(
        text_columns=["text"],
        categorical_columns=["predicted label"],
        numerical_columns=["confidence", "length"],
    )
    ours = Dataset.from_pandas(_frame(window), data_definition=shape)
    if len(reference) < MIN_ROWS:
        return Report([RowCount(), DataSummaryPreset()]).run(ours)
    drift = [ValueDrift(column=c, method=m) for c, m in METHODS.items()]
    theirs = Dataset.from_pandas(_frame(reference), data_definition=shape)
    return Report([RowCount(), *drift, DataSummaryPreset()]).run(ours, theirs)


def _frame(window: Window) -> pd.DataFrame:
    text = window.rows["text"].fillna("").astype(str)
    return pd.DataFrame(
        {
            "text": text,
            "predicted label": window.rows["output"].astype(str),
            "confidence": window.rows["confidence"].astype(float),
            "length": text.str.len().astype(int),
        }
    )
