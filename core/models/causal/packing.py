"""Rows to learn as sequences of tokens: near rows one after the other, as turns of one chat.

A row that follows rows like it is a row with examples before it, and every answer of the sequence is
learnt. So a model learns to read examples at the price of learning the rows alone (Shi et al. 2024,
"In-Context Pretraining: Language Modeling Beyond Document Boundaries").
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.errors import InputError
from core.json_form import JsonForm
from core.models.base import Input
from core.models.causal.examples import unit
from core.models.causal.messages import SYSTEM, as_messages, spoken
from core.models.causal.prompts import Prompts
from core.models.causal.renaming import renamed, words_of
from core.records.answers import Message


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """What there is to learn: what was right to answer to each input."""

    inputs: Sequence[Input]
    targets: Sequence[str]
    embeddings: Array  # (n, dim)


Turn = tuple[Input, str, bool]  # what was asked, what is right, and whether it is learnt


@dataclass(frozen=True)
class TokenSequence:
    tokens: list[int]
    learnt: list[bool]  # at which tokens the loss counts

    @property
    def sequences(self) -> Sequence[TokenSequence]:
        return (self,)


def sequences(
    prompts: Prompts, rows: Demonstrations, examples: int, rename: float, seed: int
) -> list[TokenSequence]:
    """One pass over the rows: each is in one sequence, after at most `examples` rows that are near it.

    In a share `rename` of the sequences the names in the answers are others (see `renaming`). Raises
    InputError: a row that is longer than the context by itself.
    """
    rng = random.Random(seed)
    texts = [spoken(each) for each in rows.inputs]
    words, form = words_of(texts), JsonForm.of(texts, rows.targets)
    made = []
    for group in near_groups(rows.embeddings, examples + 1, rng):
        turns = [(rows.inputs[i], rows.targets[i], True) for i in group]
        if words and rng.random() < rename:
            others = renamed([t[1] for t in turns], form, words, rng)
            turns = [(t[0], *other) for t, other in zip(turns, others, strict=True)]
        made += _fitting(prompts, turns)
    return [each for each in made if any(each.learnt)]


def near_groups(embeddings: Array, size: int, rng: random.Random) -> Iterator[list[int]]:
    """Every row once, in groups of a row and the rows nearest to it that are in no group yet."""
    close = unit(embeddings)
    left = np.ones(len(close), bool)
    order = list(range(len(close)))
    rng.shuffle(order)
    for row in order:
        if not left[row]:
            continue
        left[row] = False
        free = np.flatnonzero(left)
        near = free[np.argsort(-(close[free] @ close[row]), kind="stable")[: size - 1]]
        left[near] = False
        group = near.tolist()
        rng.shuffle(group)
        yield [*group, row]


def _fitting(prompts: Prompts, turns: list[Turn]) -> list[TokenSequence]:
    """The turns as one sequence; as one each where together they are longer than the context, or where
    the model's template does not write a chat so that it goes on as it began."""
    whole = _sequence(prompts, turns)
    if whole and len(whole.tokens) <= prompts.context:
        return [whole]
    if len(turns) > 1:
        return [each for turn in turns for each in _fitting(prompts, [turn])]
    raise InputError(
        "a row is longer than the model's context",
        where=spoken(turns[0][0])[:60],
        got=f"{len(whole.tokens) if whole else 0:,} tokens with its answer",
        expected=f"at most {prompts.context:,}",
        do="leave this row out of the dataset, or take a model with a longer context",
    )


def _sequence(prompts: Prompts, turns: list[Turn]) -> TokenSequence | None:
    """System prompts of the first turn stand before all."""
    messages: list[Message] = [m for m in as_messages(turns[0][0]) if m["role"] in SYSTEM]
    tokens: list[int] = []
    learnt: list[bool] = []
    for input, target, counts in turns:
        messages += [m for m in as_messages(input) if m["role"] not in SYSTEM]
        prompt, answer = prompts.read(messages), prompts.answer(target)
        if prompt[: len(tokens)] != tokens:
            return None
        learnt += [False] * (len(prompt) - len(tokens)) + [counts] * len(answer)
        tokens = prompt + answer
        messages.append({"role": "assistant", "content": target})
    return TokenSequence(tokens, learnt)
