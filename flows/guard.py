"""Whether a retrain may begin: the same answer for the loop, the command and the flow."""

from __future__ import annotations

from datetime import datetime

import yaml
from pydantic import ValidationError

from core import rewrites
from core.collections import FOLDER as COLLECTIONS
from core.label_set import LabelSet
from core.plugins import NO_CODE
from core.state import Retrains
from flows.session import Session
from flows.strategy import Strategy
from flows.undo import pinned
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.inputs import Inputs
from pipelines.rollout.promotion import stage_name

MADE_FROM = ("model", "datasets", "training")  # sections of params.yaml that make another candidate


def held(session: Session, now: datetime) -> str:
    """Why no retrain begins now, "" when one may."""
    return occupied(session) or nothing_new(session, now)


def occupied(session: Session) -> str:
    """A new candidate would have nowhere to go, or would end a rollout that has not been judged."""
    if pin := pinned(session):
        return pin
    live = session.store.decisions.live_rollout()
    return f"a rollout is under way: version {live.candidate}, {stage_name(live)}" if live else ""


def nothing_new(session: Session, now: datetime) -> str:
    """Whether a new candidate would only be the last one again."""
    if session.store.at(now).labels.unclaimed()[0] or _made_otherwise(session, now):
        return ""
    return "no new label to learn from"


def _made_otherwise(session: Session, now: datetime) -> bool:
    """Since the last candidate rows were forgotten, or the strategy, labels, rewrites or collections
    changed."""
    made = session.store.state.read(Retrains)
    last = made.result.dataset
    if not last or last != f"v{made.done:04d}":
        return bool(last)
    repository = Repository(session.workspace.root)
    commit = repository.commit_of(last)
    if not commit:
        return False
    params, version = repository.read(commit, ["params.yaml", "data/version.json"])
    mark = LabelSet.load(session.workspace.root).as_of(now).fingerprint
    rules = rewrites.in_force(rewrites.load(session.workspace.root), now)
    inputs = Inputs.from_json(version, last)
    return (
        _other_strategy(session, params)
        or (inputs.label_set, inputs.rewrites) != (mark, rules)
        or bool(repository.changed([COLLECTIONS], commit))
        or bool(repository.uncommitted([COLLECTIONS]))
    )


def _other_strategy(session: Session, written: str) -> bool:
    try:
        raw = yaml.safe_load(written)
        named = Strategy.model_validate(raw, context=NO_CODE).classes
        if not set(named.values()) <= set(session.strategy.classes.values()):  # trusted then, maybe
            return True
        before = Strategy.model_validate(raw)
    except (ValidationError, yaml.YAMLError):
        return True
    return any(getattr(before, s) != getattr(session.strategy, s) for s in MADE_FROM)
