"""The checks of a window find exactly the rows that are bad, by id and never by value: ours, and those
that a user wrote for Great Expectations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.records.windows import Window
from monitoring import DataExpectation
from monitoring.quality.checks import check, failed_rows
from monitoring.quality.data_docs import data_docs

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
            "output": ["refund", "delivery"] * (n // 2),
            "confidence": np.linspace(0.5, 1.0, n),
        }
    ).assign(**columns)
    return Window(
        START, START + timedelta(days=1), rows, np.zeros((n, 4), np.float32), [np.ones(2)] * n
    )


def changed(column: str, values: dict[int, object]) -> Window:
    whole, column = window(), {"label": "output", "score": "confidence"}.get(column, column)
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
        ("score", {2: 1.5, 4: -0.1}, {"r2": ["score.range"], "r4": ["score.range"]}),
        (
            "score",
            {3: "high", 5: float("nan"), 7: float("inf")},
            {"r3": ["score.range"], "r7": ["score.range"]},
        ),
    ],
)
def test_each_bad_row_is_named(column, values, expected):
    assert names(changed(column, values)) == expected


def test_a_row_can_fail_more_than_one_check():
    both = changed("text", {7: ""})
    labels = ["cancel" if i == 7 else v for i, v in enumerate(both.rows["output"])]
    bad = Window(both.start, both.end, both.rows.assign(output=labels), both.embeddings, [])
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
    mine = [own("expect_column_values_to_be_between", "score.own", column="score", min_value=0)]
    checks = {c.name: c for c in check(changed("score", {3: "high"}), KNOWN, 100, mine)}
    assert not checks["score.own"].passed
    assert checks["score.own"].failed == ()
    assert checks["score.own"].error == (
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


def own(kind: str, name: str = "", **kwargs: object) -> DataExpectation:
    return DataExpectation(type=kind, kwargs=kwargs, name=name)


def test_a_users_own_expectations_are_checked_beside_ours():
    mine = [
        own("expect_column_values_to_not_match_regex", "text.email", column="text", regex="@"),
        own("expect_column_mean_to_be_between", column="score", min_value=0.9),
        own("expect_column_values_to_be_between", column="score", min_value=0.6, mostly=0.5),
    ]
    checks = check(changed("text", {3: "me@example.com"}), KNOWN, 100, mine)
    assert [(c.name, c.passed, c.failed, c.error) for c in checks[6:]] == [
        ("text.email", False, ("r3",), ""),
        ("column_mean_to_be_between.score", False, (), ""),
        ("column_values_to_be_between.score", True, (), ""),  # of mostly half of the rows
    ]


@pytest.mark.parametrize(
    ("mine", "error"),
    [
        (own("expect_the_moon"), "expect_the_moon not found"),
        (own("expect_column_values_to_be_between", column="score", least=0), "least"),
        (own("expect_column_values_to_be_unique", column="nowhere"), 'The column "nowhere" in BatchData does not exist.'),
    ],
)  # fmt: skip
def test_an_expectation_that_cannot_be_checked_is_broken(mine, error):
    *ours, broken = check(window(), KNOWN, 100, [mine])
    assert all(c.passed for c in ours)
    assert (broken.name, broken.passed, broken.failed) == (mine.title, False, ())
    assert error in broken.error


def test_data_docs_are_a_page_that_works_offline(tmp_path):
    mine = [own("expect_column_values_to_not_match_regex", column="text", regex="parcel")]
    bad = changed("text", {3: "", 4: "x" * 200, 5: "<b>" + "y" * 200})
    page = data_docs(bad, KNOWN, 100, tmp_path / "docs", mine)
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "docs" / "quality-2026-01-06T00.html"
    assert "2026-01-05 00:00 to 2026-01-06 00:00 UTC, 20 rows" in html
    assert "<td>schema</td><td>every column is there</td><td class=n>0</td><td></td>" in html
    assert "<td>text.length</td><td>text has at most 100 characters</td><td class=n>2</td>" in html
    assert ("xxx" in html, "&lt;b&gt;yyy" in html) == (True, True)
    assert "must not match this regular expression" in html  # Great Expectations' words
    assert [tag for tag in ("<script", "<link", "<img", "http", "<b>y") if tag in html] == []


def test_data_docs_of_no_rows(tmp_path):
    whole = window()
    empty = Window(whole.start, whole.end, whole.rows.iloc[:0], whole.embeddings[:0], [])
    assert "0 rows" in data_docs(empty, KNOWN, 100, tmp_path).read_text(encoding="utf-8")
