"""Tokens that may come next, since they came next before: in the prompt, or in what is written.

A model reads several tokens for little more than the price of one. So some are guessed and read at
once, and those that it would have written itself are kept (speculative decoding: Leviathan et al.
2023). The guesses cost nothing: an answer that takes names and forms from its examples is mostly there
already ("Inference with Reference": Yang et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 3  # tokens that must have come before in the same order; fewer where so many did not
FIRST = 8  # tokens that are guessed at once, before it is known how often the guesses are right
MOST = 12


class Lookup:
    """Everything of one prompt and its answer so far.

    >>> lookup = Lookup([5, 6, 7, 8, 1, 5, 6])
    >>> lookup.guess(2)
    [7, 8]
    >>> lookup.add([9])
    >>> lookup.guess(2)
    []
    """

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}  # by the tokens before, where they last went on
        self._eager = FIRST
        self.add(prompt)

    def add(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            for n in range(1, min(LONGEST, len(self._tokens)) + 1):
                self._next[tuple(self._tokens[-n:])] = len(self._tokens)
            self._tokens.append(token)

    def guess(self, most: int) -> list[int]:
        """At most so many tokens: as they went on where the longest end of the text came last."""
        for n in range(LONGEST, 0, -1):
            if at := self._next.get(tuple(self._tokens[-n:])):
                return self._tokens[at : at + max(0, min(most, self._eager))]
        return []

    def learn(self, guessed: int, right: int) -> None:
        """Guess more where all were right, and as many as were right where not all were."""
        if guessed:
            self._eager = min(MOST, 2 * self._eager) if right == guessed else max(1, right)
