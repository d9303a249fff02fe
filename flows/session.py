"""A workspace in use: its strategy, its store, its registry, and who listens to decisions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import trust, workspace
from core.imported import importable
from core.models.files import DEFAULT
from core.progress import doing
from core.records.decisions import Decision
from core.records.rollouts import Rollout
from core.state import BaseEncoder
from core.store import Store
from core.tasks import Classification, Task
from core.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from core.models.base import Model
    from core.registry import Registry
    from flows.strategy import Strategy
    from monitoring.alerts.delivery import Channel


AUTO = "auto"  # the encoder that the first rows ask for


@dataclass
class Session:
    workspace: Workspace
    strategy: Strategy
    store: Store
    registry: Registry
    listen: Callable[[Decision], None] = lambda _: None
    channels: list[Channel] = field(default_factory=list)  # where alerts go; a replay has none
    seconds: dict[str, float] = field(default_factory=dict)  # spent, by stage

    @property
    def task(self) -> Task:
        return self.store.task

    def inputs(self, rows: pd.DataFrame) -> list[Any]:
        """What a model is asked, of reservoir rows."""
        return [self.task.asked(x) for x in rows["input"]]

    def texts(self, rows: pd.DataFrame) -> list[str]:
        """What the inputs of reservoir rows read as."""
        return [self.task.render(x) for x in self.inputs(rows)]

    def record(self, *decisions: Decision, rollout: Rollout | None = None) -> None:
        """Store decisions, and how a rollout stands with them; then tell whoever listens."""
        self.store.decisions.put(decisions, rollout=rollout)
        for decision in decisions:
            self.listen(decision)

    def check(self) -> None:
        """Raises what would else stop the work at its end: git, the tracking server, the remote."""
        from pipelines.datasets.dvc_git import Repository

        repository = Repository(self.workspace.root)
        repository.check()
        self.registry.check()
        repository.check_remote()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        doing(stage)
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    @cached_property
    def base(self) -> Model:
        """The model that params.yaml names, as nothing has trained it yet."""
        from core.models import families

        model = self.strategy.model
        name = model.encoder
        if name == AUTO:
            name = self.store.state.read(BaseEncoder).name or DEFAULT
        encoder = (name, model.max_tokens, model.runtime)
        if self.task.labelled:
            return families.untrained(*encoder)
        return families.untrained_writer(model.generator, *encoder)


def open_session(root: Path, strategy: Strategy | None = None) -> Session:
    """The workspace at `root`, checked. Raises WorkspaceError (TrustError where it
    names code that nobody has trusted), ParamsError or StoreError."""
    from core.registry import Registry
    from flows.strategy import load
    from pipelines.datasets.local import settle

    doing("opening the workspace")
    place = workspace.find(root)
    settle(place.root)
    chosen = strategy or load(place.params, place.root)
    trust.require(place.root, chosen.code)
    if chosen.code:
        importable(place.root)
    return Session(place, chosen, _store(place, chosen.task), Registry(place))


def open_store(root: Path) -> Store:
    """The store alone of the workspace at `root`, for a command that asks nothing of params.yaml, and
    so for no answer and no truth. Raises WorkspaceError or StoreError."""
    return _store(workspace.find(root), Classification())


def _store(place: Workspace, task: Task) -> Store:
    return Store(place.store_url, names=task.names_of(place.root), task=task)
