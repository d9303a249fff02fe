"""MFT: what the model must be able to do at the very least."""

from __future__ import annotations

import pandas as pd
import pytest

from pipelines.testing import Contender, Testing, run_tests
from pipelines.testing.expectations import typical


def test_mft_the_most_typical_text_of_every_label_is_read_right(ask, fixed):  # type: ignore[no-untyped-def]  # fixtures
    answers = ask([])
    result = typical(fixed, answers).check(answers, None, max_failed=0.0, max_more=0.0)
    assert (result.rows, result.failed, result.passed) == (5, 0, True)


@pytest.mark.parametrize(
    ("text", "label"),
    [("cancel", "cancel_order"), ("refund", "refund"), ("open?", "opening_hours"),
     ("password", "reset_password"), ("parcel", "track_parcel")],
)  # fmt: skip
def test_mft_one_word_is_enough_where_one_word_says_it(ask, text, label):  # type: ignore[no-untyped-def]  # fixtures
    assert ask([text]).label(text) == label


def test_mft_the_whole_suite_passes_for_a_sound_model(
    contender: Contender, fixed: pd.DataFrame
) -> None:
    report = run_tests(contender, None, fixed.assign(set="eval", segments=""), Testing())
    assert report.passed, report.reasons
    assert report.metrics["eval_accuracy"] == 1.0
