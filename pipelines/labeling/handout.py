"""What goes out to annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.records.labels import AnnotationTask

LABEL, ANSWER = "label", "answer"  # what an annotator is asked for, as Task.column calls it


@dataclass(frozen=True)
class ModelAnswer:
    """What the model said of a task's text."""

    model_version: str
    score: float
    turns: list[dict[str, str]] = field(default_factory=list)  # that it was asked: Task.turns


@dataclass(frozen=True)
class Handout:
    """Tasks with what a labelling tool wants to know of them."""

    project: str  # whose tasks they are: other workspaces refuse them
    tasks: Sequence[AnnotationTask]
    answers: Mapping[str, ModelAnswer]  # by prediction id
    labels: Sequence[str] = field(default_factory=list)
    open: bool = False  # whether an annotator may give another label
    question: str = LABEL

    @property
    def written(self) -> bool:
        """Whether annotators write an answer; else they choose one of the labels."""
        return self.question == ANSWER

    def suggests(self, task: AnnotationTask) -> bool:
        """Whether the model's answer is one that an annotator may give."""
        known = task.prediction_id in self.answers
        return known and bool(task.predicted if self.written else task.predicted in self.labels)

    def turns(self, task: AnnotationTask) -> list[dict[str, str]]:
        """What the model was asked, as the messages of a chat."""
        answer = self.answers.get(task.prediction_id)
        return answer.turns if answer else [{"role": "user", "content": task.text}]
