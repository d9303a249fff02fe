"""Whether a retrain may begin: the same answer for the loop, the command and the flow."""

from __future__ import annotations

from datetime import datetime

import yaml
from pydantic import ValidationError

from core.collections import FOLDER as COLLECTIONS
from core.label_set import LabelSet
from core.plugins import NO_CODE
from core.state import Retrains
from flows.home import Home
from flows.strategy import Strategy
from flows.undo import pinned
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.inputs import Inputs
from pipelines.rollout.promotion import stage_name

MADE_FROM = ("model", "datasets", "training")  # sections of params.yaml that make another candidate


def held(home: Home, now: datetime) -> str:
    """Why no retrain begins now, "" when one may."""
    return occupied(home) or nothing_new(home, now)


def occupied(home: Home) -> str:
    """A new candidate would have nowhere to go, or would end a rollout that has not been judged."""
    if pin := pinned(home):
        return pin
    live = home.store.decisions.live_rollout()
    return f"a rollout is under way: version {live.candidate}, {stage_name(live)}" if live else ""


def nothing_new(home: Home, now: datetime) -> str:
    """Whether a new candidate would only be the last one again."""
    if home.store.at(now).labels.unclaimed()[0] or _made_otherwise(home, now):
        return ""
    return "no new label to learn from"


def _made_otherwise(home: Home, now: datetime) -> bool:
    """Since the last candidate rows were forgotten, or strategy, label set or collections changed."""
    made = home.store.state.read(Retrains)
    last = made.result.dataset
    if not last or last != f"v{made.done:04d}":
        return bool(last)
    repository = Repository(home.workspace.root)
    commit = repository.commit_of(last)
    if not commit:
        return False
    params, version = repository.read(commit, ["params.yaml", "data/version.json"])
    mark = LabelSet.load(home.workspace.root).as_of(now).fingerprint
    return (
        _other_strategy(home, params)
        or Inputs.from_json(version, last).label_set != mark
        or bool(repository.changed([COLLECTIONS], commit))
        or bool(repository.uncommitted([COLLECTIONS]))
    )


def _other_strategy(home: Home, written: str) -> bool:
    try:
        raw = yaml.safe_load(written)
        named = Strategy.model_validate(raw, context=NO_CODE).classes
        if not set(named.values()) <= set(home.strategy.classes.values()):  # trusted then, maybe
            return True
        before = Strategy.model_validate(raw)
    except (ValidationError, yaml.YAMLError):
        return True
    return any(getattr(before, s) != getattr(home.strategy, s) for s in MADE_FROM)
