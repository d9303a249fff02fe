"""Great Expectations on a window finds exactly the rows that are bad, by id and never by value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.records import Window
from monitoring.expectations import check, failed_rows

START = datetime(2026, 1, 5, tzinfo=UTC)
KNOWN = {"refund", "delivery"}


def window(n: int = 20, **columns: object) -> Window:
    rows = pd.DataFrame(
        {
            "prediction_id": [f"p{i}" for i in range(n)],
            "request_id": [f"r{i}" for i in range(n)],
            "timestamp": [START + timedelta(minutes=i) for i in range(n)],
            "model_version": "1",
            "text": [f"where is my parcel {i}" for i in range(n)],
            "label": ["refund", "delivery"] * (n // 2),
            "score": np.linspace(0.5, 1.0, n),
        }
    ).assign(**columns)
    return Window(
        START, START + timedelta(days=1), rows, np.zeros((n, 4), np.float32), [np.ones(2)] * n
    )


def changed(column: str, values: dict[int, object]) -> Window:
    whole = window()
    found = whole.rows[column].astype(object)
    return window(**{column: [values.get(i, v) for i, v in enumerate(found)]})


def names(window: Window) -> dict[str, list[str]]:
    return failed_rows(check(window, KNOWN, max_length=100))


def test_good_rows_pass_every_check():
    checks = check(window(), KNOWN, max_length=100)
    assert [c.name for c in checks] == [
        "schema",
        "text.present",
        "text.empty",
        "text.length",
        "label.known",
        "score.range",
    ]
    assert all(c.passed and not c.failed and not c.error for c in checks)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("text", {3: "", 5: "  \n "}, {"r3": ["text.empty"], "r5": ["text.empty"]}),
        ("text", {4: None}, {"r4": ["text.present"]}),
        ("text", {0: "x" * 101, 1: "x" * 100}, {"r0": ["text.length"]}),
        ("text", {0: "x" * 100_000}, {"r0": ["text.length"]}),
        ("label", {19: "cancel"}, {"r19": ["label.known"]}),
        ("score", {2: 1.5}, {"r2": ["score.range"]}),
    ],
)
def test_each_bad_row_is_named(column, values, expected):
    assert names(changed(column, values)) == expected


def test_a_row_can_fail_more_than_one_check():
    both = changed("text", {7: ""})
    labels = ["cancel" if i == 7 else v for i, v in enumerate(both.rows["label"])]
    bad = Window(both.start, both.end, both.rows.assign(label=labels), both.embeddings, [])
    assert names(bad) == {"r7": ["text.empty", "label.known"]}


def test_no_result_holds_a_text():
    checks = check(changed("text", {0: "secret " * 30}), KNOWN, max_length=100)
    assert "secret" not in repr(checks)


def test_a_missing_column_fails_the_schema_only():
    whole = window()
    bad = Window(whole.start, whole.end, whole.rows.drop(columns="text"), whole.embeddings, [])
    checks = check(bad, KNOWN, max_length=100)
    assert [(c.name, c.passed, c.error) for c in checks if not c.passed] == [("schema", False, "")]


def test_a_check_that_breaks_is_told_from_bad_data():
    checks = {c.name: c for c in check(changed("score", {3: "high"}), KNOWN, max_length=100)}
    assert not checks["score.range"].passed
    assert checks["score.range"].failed == ()
    assert checks["score.range"].error == (
        "Column values, min_value, and max_value must either be None or of the same type."
    )
    assert checks["text.length"].passed


def test_an_empty_window_passes():
    whole = window()
    empty = Window(whole.start, whole.end, whole.rows.iloc[:0], whole.embeddings[:0], [])
    assert all(c.passed for c in check(empty, KNOWN, max_length=100))


def test_the_window_is_not_changed():
    whole = changed("text", {0: ""})
    before = whole.rows.copy()
    check(whole, KNOWN, max_length=100)
    pd.testing.assert_frame_equal(whole.rows, before)
