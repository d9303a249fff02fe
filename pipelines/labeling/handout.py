"""What goes out to annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.records.labels import AnnotationTask


@dataclass(frozen=True)
class ModelAnswer:
    """What the model said of a task's text."""

    model_version: str
    score: float


@dataclass(frozen=True)
class Handout:
    """Tasks with what a labelling tool wants to know of them."""

    project: str  # whose tasks they are: other workspaces refuse them
    tasks: Sequence[AnnotationTask]
    answers: Mapping[str, ModelAnswer]  # by prediction id
    labels: Sequence[str]
    open: bool  # whether an annotator may give another label
