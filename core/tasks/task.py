"""What every task answers; see core/tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from core.arrays import Array, Frame
from core.label_set import LabelSet, Names
from core.params import Section
from core.records.answers import TRUTHS, Detail, Said
from core.records.labels import Kind
from core.records.windows import Window
from core.tasks.words import word


class Task(Section):
    """What the deployed model is asked to do."""

    protocols: ClassVar[
        tuple[str, ...]
    ]  # the languages its servers speak: modules of serving/protocols
    detail: ClassVar[type[Detail]]  # what only this task says of an answer
    kind: ClassVar[Kind]  # of what people say the answer should have been
    truth: ClassVar[str] = "label"  # what people say an answer should have been, in messages
    column: ClassVar[str]  # with the truth, in a user's file, unless another is named
    labelled: ClassVar[bool]  # an output is one of a set of labels, which can be renamed, new or scarce
    costly: ClassVar[bool]  # an answer takes seconds: one that was given is not asked for again
    feedback: ClassVar[tuple[Said, ...]]  # the kinds of what users say of an answer
    names: ClassVar[LabelSet]  # of its outputs, before anybody changed one

    policy: str

    @abstractmethod
    def render(self, input: Any, /) -> str:
        """The text of a request: what is logged, embedded and shown."""

    def turns(self, input: Any, /) -> list[dict[str, str]]:
        """The messages of a request, each with `role` and `content`, as people are shown them."""
        return [{"role": "user", "content": self.render(input)}]

    def asked(self, stored: str, /) -> Any:
        """An input as the reservoir has it."""
        return stored

    @abstractmethod
    def target(self, cell: Any, /) -> str:
        """A cell of a user's file as the right answer. Raises ValueError that says why it is none."""

    @abstractmethod
    def score(self, output: str, target: str | None, /) -> float | None:
        """How right an output is, 0..1; None where nobody can say."""

    @abstractmethod
    def doubt(self, answers: Window, /) -> Array:
        """(n,) how doubtful each answer is, 0..1."""

    @abstractmethod
    def agree(self, one: str, other: str, /) -> bool:
        """Whether two people say the same."""

    def finished(self, rows: Frame, /) -> Array:
        """(n,) which of these rows of the log are answers, and not the beginning of one."""
        return np.ones(len(rows), dtype=bool)

    def said(self, kind: Said, value: Any, /) -> str:
        """What a user says of an answer, as it is stored. Raises ValueError that says why not."""
        return self.target(value) if kind in TRUTHS else word(kind, value)

    def category(self, target: str, /) -> str:
        """What a right answer is counted under, where few rows are alike: a label is its own."""
        return target

    def fault(self, output: str, /) -> str:  # noqa: ARG002  a label has none
        """Why an output cannot be used, whatever is right; "" where it can."""
        return ""

    def names_of(self, root: Path, /) -> Names:  # noqa: ARG002  only labels are renamed
        """What its outputs are called at a time, in the workspace at `root`."""
        return lambda _now: self.names

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        """The JSON Schema that a model is held to while it writes; None: to none."""
        return None

    @property
    def code(self) -> dict[str, str]:
        """Functions that it names by their import path, by key."""
        return {}
