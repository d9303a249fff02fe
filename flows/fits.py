"""Whether everything that params.yaml chooses is for the task of the workspace."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from core import params
from core.errors import ParamsError
from core.plugins import Unread
from core.tasks import Task, fits
from core.workspace import Workspace
from flows.strategy import Strategy
from monitoring.signals import SPECS

Key = tuple[int | str, ...]  # a place in params.yaml


def check_task(place: Workspace, strategy: Strategy, task: Task | Unread) -> None:
    """Raises ParamsError that tells all of it, each with its line."""
    found = [
        f"  - line {params.line_of(place.params, key)}, {'.'.join(map(str, key))}: {words}"
        for key, words in (*_policies(strategy, task), *_rules(strategy, task))
    ]
    if found:
        things = "1 thing that is" if len(found) == 1 else f"{len(found)} things that are"
        raise ParamsError(
            "\n".join([f"params.yaml names {things} not for {task.policy}", *found]),
            where=str(place.params),
            expected=f"parts that are for {task.policy}",
            do="mend the lines above, then: everloop check",
        )


def sections(section: BaseModel, at: Key = ()) -> Iterator[tuple[Key, BaseModel]]:
    """A section of params.yaml and all sections in it, each with its place."""
    yield at, section
    for name in type(section).model_fields:
        value = getattr(section, name)
        inner = enumerate(value) if isinstance(value, list) else [(None, value)]
        for i, part in inner:
            if isinstance(part, BaseModel):
                yield from sections(part, (*at, name) if i is None else (*at, name, i))


def _policies(strategy: Strategy, task: Task | Unread) -> Iterator[tuple[Key, str]]:
    if strategy.labeling.closed is not None and not getattr(task, "labelled", True):
        yield ("labeling", "labels"), "a set of labels is for classification"
    for at, section in sections(strategy):
        if not fits(section, task):
            yield (*at, "policy"), f"{getattr(section, 'policy', '')!r} is for {_for(section)}"


def _rules(strategy: Strategy, task: Task | Unread) -> Iterator[tuple[Key, str]]:
    for i, rule in enumerate(strategy.monitoring.rules):
        spec = SPECS.get(rule.signal)
        if spec is not None and not fits(spec, task):
            yield (
                ("monitoring", "rules", i, "signal"),
                f"{rule.signal!r} is a signal of {', '.join(spec.tasks)}",
            )


def _for(section: object) -> str:
    return ", ".join(getattr(section, "tasks", ()))
