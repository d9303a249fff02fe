"""The head is fitted as its latest rows say: uneven labels, new labels, names."""

from __future__ import annotations

import numpy as np
import pytest

from core.models.classifier.head import BALANCED, Fitting, Head, fit_head
from pipelines.training.data import TrainingData
from pipelines.training.fitting import FIRST, choose
from pipelines.training.head import fitted

DIM = 24
CENTRES = np.random.default_rng(1).standard_normal((12, DIM)) * 0.5


def rows(counts: list[int], seed: int) -> tuple[np.ndarray, list[str]]:
    """Overlapping labels, as many rows as said of each, in any order."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    drawn = CENTRES[codes] + rng.standard_normal((len(codes), DIM)) * 0.6
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True), [f"label {c}" for c in codes]


def right(head: Head, embeddings: np.ndarray, labels: list[str]) -> float:
    said = np.asarray(head.labels)[head.probabilities(embeddings).argmax(axis=1)]
    return float(np.mean(said == np.asarray(labels)))


UNEVEN = [400, 120, 60, 30, 16, 12, 10, 8, 8, 8, 6, 6]


def test_uneven_labels_are_not_all_of_one_weight() -> None:
    learnt, asked = rows(UNEVEN, 0), rows([5 * n for n in UNEVEN], 1)
    choice = choose(*learnt, {})
    assert choice.fitting.balance < BALANCED.balance
    assert right(fit_head(*learnt, fitting=choice.fitting), *asked) > right(fit_head(*learnt), *asked)
    assert choice.tried[choice.fitting] >= choice.tried[FIRST]


def test_a_new_label_with_three_rows_is_learnt_beside_common_ones() -> None:
    embeddings, labels = rows([300, 150, 60, 3], 2)
    fitting = choose(embeddings, labels, {}).fitting
    new, its = rows([0, 0, 0, 60], 3)
    assert right(fit_head(embeddings, labels, fitting=fitting), new, its) > 0.5


def test_macro_f1_asks_for_rare_labels() -> None:
    learnt, asked = rows(UNEVEN, 4), rows([100] * len(UNEVEN), 5)
    by_rows, by_labels = (choose(*learnt, {}, m).fitting for m in ("accuracy", "macro-f1"))
    assert by_labels.balance >= by_rows.balance
    accuracy, macro = (right(fit_head(*learnt, fitting=f), *asked) for f in (by_rows, by_labels))
    assert macro >= accuracy


def test_the_name_of_a_label_is_a_first_row_of_it() -> None:
    embeddings, labels = rows([30, 30, 1], 6)
    names = {f"label {i}": CENTRES[i] / np.linalg.norm(CENTRES[i]) for i in range(3)}
    asked = rows([0, 0, 80], 7)
    without, having = (
        fit_head(embeddings, labels, fitting=Fitting(0.5, 0.1, n), names=names) for n in (0.0, 1.0)
    )
    assert right(having, *asked) > right(without, *asked)
    same = fit_head(embeddings, labels, fitting=Fitting(0.5, 0.1, 1.0))
    np.testing.assert_array_equal(same.weight, without.weight)  # no names, nothing added


def test_the_choice_of_a_penalty_does_not_move_the_confidence() -> None:
    learnt, asked = rows(UNEVEN, 10), rows(UNEVEN, 11)
    data = TrainingData(learnt[1], learnt[1], learnt[0], [], [], learnt[0][:0])
    head, choice = fitted(data, None, "accuracy")
    plain = fit_head(*learnt, fitting=choice.fitting)
    usual, now, moved = (
        h.probabilities(asked[0]).max(1).mean() for h in (fit_head(*learnt), head, plain)
    )
    assert choice.fitting.penalty > BALANCED.penalty
    assert abs(now - usual) < 0.05 < abs(moved - usual)


@pytest.mark.parametrize("counts", [[20, 20], [200]], ids=["few rows", "one label"])
def test_with_too_little_to_choose_by_nothing_is_chosen(counts: list[int]) -> None:
    choice = choose(*rows(counts, 8), {})
    assert (choice.fitting, choice.tried) == (BALANCED, {})
    assert choice.notes == []
    assert "cross_validated" not in choice.metrics


def test_a_choice_is_said_and_repeats_itself() -> None:
    one, two = (choose(*rows(UNEVEN, 9), {}) for _ in range(2))
    assert one == two
    assert f"on the {one.rows} latest rows" in one.notes[0]
