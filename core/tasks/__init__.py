"""What a deployed model is asked to do: the one seam between families of models.

    task:
      policy: generation      # classification, where the section is left out
      judge: json

Rooms ask `session.task` and never which task it is; only params.yaml chooses.

    task.render(input)            the text of a request: what is logged, embedded and shown
    task.score(output, target)    how right an output is, 0..1; None where nobody can say
    task.doubt(answers)           how doubtful each answer is, 0..1
    task.agree(one, other)        whether two people say the same

A part that fits some tasks only (a recipe, a policy, a suite, a signal) names them in `tasks`; a part
that names none fits every task. `everloop check` refuses a part that does not fit.
"""

from __future__ import annotations

from typing import Annotated

from core.plugins import Unread, of
from core.tasks.classification import Classification, doubtful
from core.tasks.generation import Generation
from core.tasks.task import Task

__all__ = [
    "CLASSIFICATION",
    "GENERATION",
    "RIGHT",
    "Classification",
    "Generation",
    "Task",
    "TaskPolicy",
    "doubtful",
    "fits",
]

CLASSIFICATION, GENERATION = "classification", "generation"
RIGHT = 0.5  # from this score on an answer counts as right, where it can only count or not
TaskPolicy = Annotated[Task, of(Task)]


def fits(part: object, task: Task | Unread) -> bool:
    """Whether a part is for this task.

    >>> class Entropy:
    ...     tasks = (CLASSIFICATION,)
    >>> fits(Entropy, Classification()), fits(Entropy, Generation()), fits(object(), Generation())
    (True, False, True)
    """
    tasks: tuple[str, ...] = getattr(part, "tasks", ())
    return not tasks or task.policy in tasks
