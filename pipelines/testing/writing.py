"""What is asked of a model that writes its answers: what it wrote, and whether that can be used.

    MFT-form   an answer is what the task asks for, JSON say, whatever is right

An answer takes seconds, so nothing is asked but the evaluation rows themselves; other packages' suites
may ask more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.arrays import Frame
from core.tasks import Task
from pipelines.testing.expectations import Family
from pipelines.testing.probes import Probe


@dataclass(frozen=True)
class WritingContender:
    """A model under test, with what it wrote to the evaluation rows."""

    version: str
    said: Sequence[str]  # (n,) outputs
    ask: Callable[[list[str]], list[str]]  # new texts -> outputs

    def answers(self, rows: Sequence[str], probes: Iterable[str]) -> WrittenAnswers:
        known = dict(zip(rows, self.said, strict=True))
        new = [text for text in dict.fromkeys(probes) if text not in known]
        return WrittenAnswers(known | dict(zip(new, self.ask(new) if new else [], strict=True)))


@dataclass(frozen=True)
class WrittenAnswers:
    """What one model says of the evaluation rows and of the probes, by what was asked."""

    outputs: dict[str, str]

    def label(self, text: str) -> str:
        return self.outputs[text]


def suite(fixed: Frame, task: Task) -> list[Family]:
    """`fixed` has columns input and target."""
    pairs = zip(fixed["input"], fixed["target"], strict=True)
    probes = [Probe((text,), (target,), text) for text, target in pairs]
    claim = "an answer is in the form that is asked for"
    return [
        Family("MFT-form", "MFT", claim, probes, lambda p, said: bool(task.fault(said.label(p.text))))
    ]
