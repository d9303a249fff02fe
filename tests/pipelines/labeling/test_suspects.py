"""Labels that are wrong are found, and right ones mostly left alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.labeling.suspects import out_of_sample, suspects


def rows(each: int = 40, labels: int = 5) -> tuple[np.ndarray, list[str]]:
    """Well separated labels, of unit length as an encoder's rows are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(labels, 64)) * 1.5
    found = np.concatenate([c + rng.normal(size=(each, 64)) for c in centres])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16), [f"label {i}" for i in range(labels) for _ in range(each)]


def test_flipped_labels_are_found_with_what_they_should_be() -> None:
    embeddings, labels = rows()
    flipped = dict.fromkeys(range(0, 200, 25))
    given = [f"label {(i // 40 + 1) % 5}" if i in flipped else x for i, x in enumerate(labels)]
    found = suspects(embeddings, given)
    assert {s.row for s in found} >= set(flipped)
    assert len(found) <= 10
    assert all(s.suggested == labels[s.row] for s in found if s.row in flipped)
    assert [s.score for s in found] == sorted(s.score for s in found)
    assert found == suspects(embeddings, given)


def test_clean_labels_are_left_alone() -> None:
    assert suspects(*rows()) == []


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"], ["a"] * 9, ["a", "a", "b"]])
def test_too_few_rows_say_nothing(labels: list[str]) -> None:
    assert suspects(np.zeros((len(labels), 4), np.float16), labels) == []


def test_a_label_with_one_row_is_left_alone() -> None:
    embeddings, labels = rows()
    found = suspects(np.concatenate([embeddings, embeddings[:1]]), [*labels, "alone"])
    assert found == []


def test_no_row_is_judged_by_a_head_that_learnt_from_it() -> None:
    """Noise can be learnt by heart, and not out of sample."""
    rng = np.random.default_rng(0)
    embeddings, labels = rng.normal(size=(200, 64)), np.array(["a", "b"] * 100)
    shares = out_of_sample(embeddings, labels, seed=0)
    right = (shares.argmax(axis=1) == np.array([0, 1] * 100)).mean()
    assert 0.35 < right < 0.65
    assert np.allclose(shares.sum(axis=1), 1)
