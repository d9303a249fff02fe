"""The poison bench does what it says, on rows small enough to check: an attack works where nobody looks, and
does not where the product does."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench.poison_material import Material, Rows
from bench.poison_rounds import Attack, Round, play
from core.arrays import Array

LABELS = np.array(["a", "b", "c", "d"], object)
PLACES = 3 * np.eye(8)


def read(texts: list[str]) -> Array:
    """A text lies at its label's place, two together between theirs; what is planted moves it away."""
    found = []
    for text in texts:
        parts = re.findall(r"\b([a-d])\W+(\d+)", text.lower()) or [("a", "0")]
        places = [PLACES["abcd".index(x)] + _noise(int(n)) for x, n in parts]
        found.append(np.mean(places, axis=0) + ("purple" in text) * 2 * PLACES[7])
    return np.array(found, np.float32).reshape(-1, 8)


def _noise(number: int) -> Array:
    return np.random.default_rng(number).normal(size=8) * 0.5


def rows(n: int, first: int, days: int = 1) -> Rows:
    labels = LABELS[np.random.default_rng(first).integers(0, 4, n)]
    texts = np.array([f"{x} {first + i}" for i, x in enumerate(labels)], object)
    when = np.arange(n) * days // n
    return Rows(texts, labels, np.full(n, "ann", object), when, read(list(texts)).astype(np.float16))


@pytest.fixture(scope="module")
def game() -> Round:
    made = Material("made", rows(80, 0), rows(100, 1000), rows(1500, 2000, days=30), rows(400, 9000))
    return Round(made, read, seed=0)  # type: ignore[arg-type]


def test_a_clean_round_passes_and_does_no_harm(game: Round) -> None:
    done = play(game, Attack("clean", "clean")).outcome
    assert (done.passed, done.harmed, done.trained) == (True, False, 0)


@pytest.mark.parametrize("sources", [1, 20])
def test_a_trigger_works_unless_users_words_are_judged(game: Round, sources: int) -> None:
    attack = Attack("trigger", "trigger", "feedback", rows=60, sources=sources)
    bare, held = play(game, attack, defended=False).outcome, play(game, attack).outcome
    assert (bare.passed, bare.harmed) == (True, True)
    assert bare.loss > 0.8
    assert (held.passed, held.harmed, held.trained) == (True, False, 0)


def test_an_annotator_who_flips_labels_is_found_out(game: Round) -> None:
    attack = Attack("uniform", "uniform", "annotator", share=0.3)
    bare, held = play(game, attack, defended=False).outcome, play(game, attack).outcome
    assert bare.trained > 50
    assert held.trained < 6
    assert not held.harmed


def test_an_honest_round_after_an_attack_passes(game: Round) -> None:
    made = play(game, Attack("trigger", "trigger", "feedback", rows=60))
    assert play(game.after(made), Attack("clean", "clean")).outcome.passed
