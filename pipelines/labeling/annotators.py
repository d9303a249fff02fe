"""Whose labels contradict everybody else's: one bad annotator among several, with one vote a task.

Two people seldom label the same text, so their agreement says little (Dawid and Skene, 1979, need such
texts). What everybody else labelled still says what a text looks like: each annotator's labels are
judged by a head that learnt from the others alone. Honest labels of hard texts are contradicted too; so
an annotator is compared with the other annotators of the round, whose tasks came from the same queue.

A label is doubted where it is contradicted and
- its annotator is contradicted more often than the others, beyond chance (Fisher's exact test); or
- that is so for the texts that look like one label: it was given another on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.models.classifier.head import Head, fit_head

ODDS = 0.25  # a label is contradicted where another is more than four times as likely
CHANCE = 0.01  # that honest annotators are flagged in a round, over all tests made
FEWEST = 3  # contradicted labels
MOST = 10  # annotators that are judged, those with the most labels: each costs a fit


@dataclass(frozen=True)
class Doubt:
    """One annotator beside the others."""

    annotator: str
    looks: str  # the label that the texts look like; "" for all texts
    contradicted: int
    of: int
    others: int  # contradicted labels of the others
    of_others: int
    chance: float  # that honest work looks like this
    rows: tuple[int, ...]  # the contradicted labels
    earlier: tuple[int, ...]  # those of the same annotator from earlier rounds

    def __str__(self) -> str:
        where = f" texts like '{self.looks}'" if self.looks else ""
        return (
            f"{self.contradicted} of {self.of} labels that {self.annotator} gave{where} contradict "
            f"everybody else's; of the others' labels {self.others} of {self.of_others} do "
            f"(p = {self.chance:.1g})"
        )


def doubts(
    embeddings: Array, labels: Sequence[str], who: Sequence[str], fresh: Sequence[bool]
) -> list[Doubt]:
    """Annotators whose labels contradict the others', the least likely first. embeddings: (n, dim) of
    all rows that people labelled, n labels and annotators; `fresh` are those of this round."""
    by, said, new = np.asarray(who, str), np.asarray(labels, str), np.asarray(fresh, bool)
    people = [str(name) for name, _ in Counter(by[new]).most_common(MOST)]
    if len(people) < 2:
        return []
    best, wrong = np.full(len(by), "", dtype=object), np.zeros(len(by), bool)
    for person in people:
        others, mine = by != person, np.flatnonzero(by == person)
        if len(set(said[others])) < 2:
            continue
        head = fit_head(embeddings[others], said[others].tolist())
        best[mine], wrong[mine] = _judged(head, embeddings[mine], said[mine])
    looks = sorted(set(best[new]) - {""})
    tests = len(people) * (1 + len(looks))
    found = []
    for person in people:
        for look in ("", *looks):
            here = best == look if look else best != ""
            doubt = _doubt((person, look), (here & new, here & ~new), by, wrong)
            if doubt and doubt.chance * tests < CHANCE:
                found.append(doubt)
    return sorted(found, key=lambda d: d.chance)


def _judged(head: Head, embeddings: Array, said: Array) -> tuple[Array, Array]:
    """The likeliest label of each row, and whether its own is contradicted. One that nobody else gave
    is not: somebody is the first to see a new class."""
    shares, names = head.probabilities(embeddings), np.array(head.labels, dtype=object)
    place = {label: i for i, label in enumerate(head.labels)}
    own = np.array([shares[i, place[x]] if x in place else np.inf for i, x in enumerate(said)])
    return names[shares.argmax(axis=1)], own < ODDS * shares.max(axis=1)


def _doubt(what: tuple[str, str], rows: tuple[Array, Array], by: Array, wrong: Array) -> Doubt | None:
    """About an annotator, and what the texts look like; the rows of this round, and those before."""
    from scipy.stats import fisher_exact

    (person, look), (here, before) = what, rows
    mine, theirs = here & (by == person), here & (by != person)
    k, n, ko, no = (int(x.sum()) for x in (mine & wrong, mine, theirs & wrong, theirs))
    if k < FEWEST or not no:
        return None
    p = float(fisher_exact([[k, n - k], [ko, no - ko]], alternative="greater").pvalue)
    old = before & (by == person) & wrong
    rows_of = (tuple(map(int, np.flatnonzero(x))) for x in (mine & wrong, old))
    return Doubt(person, look, k, n, ko, no, p, *rows_of)
