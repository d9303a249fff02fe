"""`classification`: one of a set of labels for each text. An output is a label, and so is a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from core.arrays import Array
from core.label_names import normal
from core.label_set import LabelSet, Names, names_of
from core.records.answers import ClassificationDetail
from core.records.windows import Window
from core.rowwise import rowwise
from core.tasks.task import Task


class Classification(Task):
    """One of a set of labels for each text.

    >>> task = Classification()
    >>> task.score("refund", "refund"), task.score("refund", "cancel"), task.score("refund", None)
    (1.0, 0.0, None)
    """

    protocols: ClassVar = ("own", "mlflow", "inference")
    detail: ClassVar = ClassificationDetail
    kind: ClassVar = "label"
    column: ClassVar = "label"
    labelled: ClassVar = True
    costly: ClassVar = False
    feedback: ClassVar = ("label", "correction", "thumbs")
    names: ClassVar = LabelSet()

    policy: Literal["classification"] = "classification"

    def render(self, input: Any, /) -> str:
        return str(input)

    def target(self, cell: Any, /) -> str:
        if isinstance(cell, (list, dict)):
            raise ValueError(f"the label is of type {type(cell).__name__}, expected one name")
        if not (label := normal(cell)):
            raise ValueError("no label")
        return label

    def score(self, output: str, target: str | None, /) -> float | None:
        return None if target is None else float(output == target)

    def doubt(self, answers: Window, /) -> Array:
        """(n,) one minus the best probability; 1 where there is none."""
        return doubtful(answers.padded)

    def agree(self, one: str, other: str, /) -> bool:
        return one == other

    def names_of(self, root: Path, /) -> Names:
        return names_of(root)


def doubtful(probabilities: Array) -> Array:
    """(n, n_labels) -> (n,) one minus the best probability; 1 where there is none."""
    return rowwise(lambda p: 1 - p.max(axis=1, initial=0.0), probabilities)
