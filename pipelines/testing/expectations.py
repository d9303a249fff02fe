"""What everybody expects of a text classifier, asked of every candidate before its users ask.

    MFT  minimum functionality   the most typical text of each label is read right
    INV  invariance              capitals, a slip of the finger or good manners do not change the label
    DIR  direction               saying it twice makes it no less likely; saying another thing too, more

The kinds and their names are CheckList's (Ribeiro et al., "Beyond Accuracy: Behavioral Testing of
NLP Models with CheckList", ACL 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from core.arrays import Array, Frame
from core.models.base import Classifier
from pipelines.testing.compare import compare
from pipelines.testing.probes import Probe, change_case, changed, joined, politely, slip

Embed = Callable[[list[str]], Array]
FAMILIES = 5  # that need new texts; they share max_probes
EXAMPLES = 5
SLACK = 0.1  # CheckList's margin: a probability may fall by this much before it counts as fallen


@dataclass(frozen=True)
class Contender:
    """A model under test, with what its encoder made of the rows it is tested on."""

    version: str
    model: Classifier
    embeddings: Array  # (n, dim) of the evaluation rows
    embed: Embed  # embeddings (m, dim) of new texts: the probes

    def answers(self, rows: Sequence[str], probes: Iterable[str]) -> ContenderAnswers:
        return ContenderAnswers(self, rows, probes)


class Answered(Protocol):
    """What a model says to texts that it was asked."""

    def label(self, text: str, /) -> str: ...


class ContenderAnswers:
    """What one model says of the evaluation rows and of the probes; only new texts are read."""

    def __init__(self, model: Contender, rows: Sequence[str], probes: Iterable[str]) -> None:
        known = dict.fromkeys(rows)
        new = [text for text in dict.fromkeys(probes) if text not in known]
        texts = [*rows, *new]
        self._row = {text: i for i, text in enumerate(texts)}
        self._labels = list(model.model.labels)
        read = [model.embed(new)] if new else []
        self._embeddings = np.concatenate([model.embeddings, *read])
        self._p = model.model.probabilities(self._embeddings)

    def label(self, text: str) -> str:
        return self._labels[int(self._p[self._row[text]].argmax())]

    def chance(self, text: str, label: str) -> float:
        """Probability of a label; 0 for one the model has never heard of."""
        known = label in self._labels
        return float(self._p[self._row[text], self._labels.index(label)]) if known else 0.0

    def embeddings(self, texts: Sequence[str]) -> Array:
        found: Array = self._embeddings[[self._row[t] for t in texts]]
        return found


@dataclass(frozen=True)
class Expectation:
    """What was expected, of how many rows, how many did otherwise, and whether that is too many."""

    name: str
    kind: Literal["MFT", "INV", "DIR", "memorization", "runtime"]
    claim: str
    rows: int
    failed: int
    passed: bool
    champion_failed: int | None = None
    examples: list[dict[str, str]] = field(default_factory=list)
    counted: bool = True  # False where its probes come from a set that is too small to judge by

    @property
    def stops(self) -> bool:
        return self.counted and not self.passed

    @property
    def rate(self) -> float:
        return self.failed / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Family:
    """One expectation before it is asked: its probes, and when an answer breaks it."""

    name: str
    kind: Literal["MFT", "INV", "DIR"]
    claim: str
    probes: list[Probe]
    breaks: Callable[[Probe, Any], bool]  # of a probe, and of what a contender says

    def check(
        self,
        candidate: Answered,
        champion: Answered | None,
        max_failed: float,
        max_more: float,
    ) -> Expectation:
        """Failed when more than `max_failed` of the rows break it, unless the champion is as bad;
        or when the candidate breaks `max_more` more of them than the champion, not by chance alone.
        """
        broken = np.array([self.breaks(p, candidate) for p in self.probes], bool)
        before = None if champion is None else np.array([self.breaks(p, champion) for p in self.probes])
        passed = not len(broken) or broken.mean() <= max_failed
        if before is not None and len(broken):
            passed = bool(passed or broken.sum() <= before.sum())
            passed &= not compare(~before, ~broken).is_worse(by=max_more, p=0.1)
        worst = [p for p, bad in zip(self.probes, broken, strict=True) if bad][:EXAMPLES]
        return Expectation(
            name=self.name,
            kind=self.kind,
            claim=self.claim,
            rows=len(broken),
            failed=int(broken.sum()),
            passed=bool(passed),
            champion_failed=None if before is None else int(before.sum()),
            examples=[_example(p, candidate) for p in worst],
        )


def suite(fixed: Frame, max_probes: int, seed: int = 0) -> list[Family]:
    """The families that can be asked of any text classifier; `fixed` has columns input and target."""
    n = max_probes // FAMILIES
    return [
        Family("INV-case", "INV", "capitals do not change the label",
               changed(fixed, change_case, n, seed), _turned),
        Family("INV-typos", "INV", "two swapped letters do not change the label",
               changed(fixed, slip, n, seed), _turned),
        Family("INV-politeness", "INV", "a greeting or a thank-you does not change the label",
               changed(fixed, politely, n, seed), _turned),
        Family("DIR-agreement", "DIR", "two texts of a label are no less clear than the less clear one",
               joined(fixed, True, n, seed), _dimmed),
        Family("DIR-mixture", "DIR", "adding a text of another label makes that label more likely",
               joined(fixed, False, n, seed), _unmoved),
    ]  # fmt: skip


def typical(fixed: Frame, answers: ContenderAnswers) -> Family:
    """MFT: each label's text nearest to the mean of the label's embeddings must be read right."""
    probes = []
    for label, rows in fixed.groupby("target", sort=True):
        texts = sorted(set(rows["input"]))
        vectors = answers.embeddings(texts).astype(np.float64)
        text = texts[int(np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argmin())]
        probes.append(Probe((text,), (str(label),), text))
    return Family(
        "MFT-typical", "MFT", "the most typical text of each label is read right", probes, _wrong
    )


def _wrong(probe: Probe, answers: ContenderAnswers) -> bool:
    return answers.label(probe.text) != probe.labels[0]


def _turned(probe: Probe, answers: ContenderAnswers) -> bool:
    return answers.label(probe.text) != answers.label(probe.sources[0])


def _dimmed(probe: Probe, answers: ContenderAnswers) -> bool:
    label = probe.labels[0]
    return (
        answers.chance(probe.text, label) < min(answers.chance(s, label) for s in probe.sources) - SLACK
    )


def _unmoved(probe: Probe, answers: ContenderAnswers) -> bool:
    """Each label must gain by the text that speaks for it: A in "a. b" over b alone, B over a alone."""
    (a, b), (label_a, label_b) = probe.sources, probe.labels
    gain_b = answers.chance(probe.text, label_b) - answers.chance(a, label_b)
    gain_a = answers.chance(probe.text, label_a) - answers.chance(b, label_a)
    return min(gain_a, gain_b) < 0


def _example(probe: Probe, answers: Answered) -> dict[str, str]:
    return {
        "text": probe.text,
        "expected": " and ".join(dict.fromkeys(probe.labels)),
        "got": answers.label(probe.text),
        "before": " and ".join(dict.fromkeys(answers.label(s) for s in probe.sources)),
    }
