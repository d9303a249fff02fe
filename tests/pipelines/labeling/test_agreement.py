"""Agreement beyond chance, by the numbers of those who defined it."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from core.records.labels import Vote
from pipelines.labeling.agreement import AnnotatorAgreement, AnnotatorPair, agreement, alpha
from tests.pipelines.labeling.test_files import NOW


def votes(said: dict[str, str]) -> list[Vote]:
    """annotator -> a letter a task: `*` skipped it, `.` never saw it."""
    return [
        Vote(f"p{i}", who, None if letter == "*" else letter, NOW)
        for who, letters in said.items()
        for i, letter in enumerate(letters)
        if letter != "."
    ]


def test_the_example_of_krippendorffs_own_paper() -> None:
    """Section C of `Computing Krippendorff's Alpha-Reliability`: four observers, twelve units, 0.743."""
    found = agreement(
        votes(
            {
                "a": "123321412...",
                "b": "1233224125.3",
                "c": ".3332342251.",
                "d": "12332441251.",
            }
        )
    )
    assert found.tasks == 11
    assert found.alpha == pytest.approx(0.743, abs=5e-4)
    assert len(found.pairs) == 6


def test_alpha_is_what_the_reference_implementation_says() -> None:
    rng = np.random.default_rng(0)
    for annotators, tasks, labels in ((2, 5, 2), (3, 40, 4), (6, 100, 9)):
        data = rng.integers(labels, size=(annotators, tasks)).astype(float)
        data[:, : tasks // 2] = data[0, : tasks // 2]
        data[rng.random(data.shape) < 0.3] = np.nan
        units = [[str(x) for x in unit[~np.isnan(unit)]] for unit in data.T]
        expected = krippendorff.alpha(data, level_of_measurement="nominal")
        assert alpha(units) == pytest.approx(expected, abs=1e-12)


def test_kappa_is_of_the_tasks_that_both_labelled() -> None:
    """Cohen's example: 20 + 15 of 50 agree, so kappa is (0.7 - 0.5) / (1 - 0.5)."""
    said = {"ana": "y" * 25 + "n" * 25, "bob": "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15}
    found = agreement(votes({**said, "cy": "*" * 50}))
    [pair] = found.pairs
    assert (pair.one, pair.other, pair.tasks, pair.agreed) == ("ana", "bob", 50, 0.7)
    assert pair.kappa == pytest.approx(0.4)


def test_where_chance_cannot_disagree_there_is_no_number() -> None:
    found = agreement(votes({"ana": "aaa", "bob": "aaa", "cy": "...b"}))
    assert found == AnnotatorAgreement(3, None, [AnnotatorPair("ana", "bob", 3, 1.0, None)])
    assert agreement([]) == AnnotatorAgreement(0, None, [])
    assert agreement(votes({"ana": "ab", "bob": "ab"})).alpha == 1.0
