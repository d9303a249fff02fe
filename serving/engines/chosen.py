"""The engine that `serving.engine` of params.yaml names, put to the models that are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from core.errors import ParamsError
from core.models.base import Model
from core.models.families import written_elsewhere
from core.records.weights import Weights
from core.tasks import Task
from serving.engine import Concurrency
from serving.engines.deployments import Deployment
from serving.engines.replicas import KEPT, Replicas
from serving.engines.url import UrlEngine
from serving.settings import Serving

AT_ONCE = 64  # answers that are waited for at once, each by a thread
WAITING = 256  # requests that may wait for one of these; more get 503


@dataclass(frozen=True)
class Chosen:
    """How models are loaded, and how many requests are worked on at once."""

    load: Callable[[str], Model]
    concurrency: Concurrency | None
    replicas: Replicas | None = None


def choose(settings: Serving, task: Task, load: Callable[[str], Model]) -> Chosen:
    """`load` turns a version into a model. Raises ParamsError: engines for what writes nothing."""
    if settings.engine == "local":
        return Chosen(load, Concurrency(1, waiting=WAITING) if task.costly else None)
    if not task.costly:
        raise ParamsError(
            "a classifier answers by itself",
            where="serving.engine of params.yaml",
            got=", ".join(settings.engine),
            expected="local",
            do="take the setting out",
        )
    replicas = Replicas(settings.engine, settings.timeout_ms / 1000)

    def engine(weights: Weights) -> UrlEngine:
        return UrlEngine(replicas, Deployment(weights))

    @lru_cache(KEPT)  # it is asked for again and again until an engine has the weights
    def loaded(version: str) -> Model:
        return written_elsewhere(load(version), engine)

    return Chosen(loaded, Concurrency(AT_ONCE, 1, WAITING, replicas), replicas)
