"""What a deployed model is asked to do: the one seam between families of models.

Rooms ask `session.task` and never which task it is; only the place that makes a `Session` chooses.

    task.render(input)            the text of a request: what is logged, embedded and shown
    task.judge(output, target)    how right an output is, 0..1; None where nobody can say
    task.doubt(answers)           how doubtful each answer is, 0..1
    task.agree(one, other)        whether two people say the same

A part that fits some tasks only (a recipe, a policy, a suite, a signal) names them in `tasks`; a part
that names none fits every task. `everloop check` refuses a part that does not fit.
"""

from __future__ import annotations

from typing import Any, Protocol

from core.arrays import Array
from core.records.windows import Window
from core.rowwise import rowwise

CLASSIFICATION = "classification"
RIGHT = 0.5  # from this score on an answer counts as right, where it can only count or not


class Task(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def protocols(self) -> tuple[str, ...]:
        """The languages its servers speak: modules of serving/protocols."""
        ...

    def render(self, input: Any, /) -> str: ...
    def judge(self, output: str, target: str | None, /) -> float | None: ...
    def doubt(self, answers: Window, /) -> Array: ...
    def agree(self, one: str, other: str, /) -> bool: ...


class Classification:
    """One of a set of labels for each text. An output is a label, and so is a target.

    >>> task = Classification()
    >>> task.judge("refund", "refund"), task.judge("refund", "cancel"), task.judge("refund", None)
    (1.0, 0.0, None)
    """

    name = CLASSIFICATION
    protocols = ("own", "mlflow", "inference")

    def render(self, input: Any, /) -> str:
        return str(input)

    def judge(self, output: str, target: str | None, /) -> float | None:
        return None if target is None else float(output == target)

    def doubt(self, answers: Window, /) -> Array:
        """(n,) one minus the best probability; 1 where there is none."""
        return doubtful(answers.padded)

    def agree(self, one: str, other: str, /) -> bool:
        return one == other


def doubtful(probabilities: Array) -> Array:
    """(n, n_labels) -> (n,) one minus the best probability; 1 where there is none."""
    return rowwise(lambda p: 1 - p.max(axis=1, initial=0.0), probabilities)


def chosen_task() -> Task:
    """The one place that chooses. As long as there is one task, params.yaml has no key for it."""
    return Classification()


def fits(part: object, task: Task) -> bool:
    """Whether a part is for this task.

    >>> class Entropy:
    ...     tasks = (CLASSIFICATION,)
    >>> fits(Entropy, Classification()), fits(object(), Classification())
    (True, True)
    """
    tasks: tuple[str, ...] = getattr(part, "tasks", ())
    return not tasks or task.name in tasks
