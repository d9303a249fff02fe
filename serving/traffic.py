"""Who serves now: the champion the store names and, while a rollout is live, its candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from core.errors import ModelError
from core.records import Decision, Rollout
from core.store import Store
from serving.scoring import Served

if TYPE_CHECKING:
    from core.models.classifier import TextClassifier


@dataclass(frozen=True)
class Traffic:
    """One moment's answer. `rollout` and `candidate` are there together or not at all."""

    champion: Served
    rollout: Rollout | None = None
    candidate: Served | None = None


class Switch:
    """Loads beside what serves, and swaps only when all is loaded. Not thread-safe: its owner locks."""

    def __init__(self, store: Store, load: Callable[[str], TextClassifier]) -> None:
        self._store, self._load = store, load
        self._refused: set[tuple[str, str]] = set()  # (rollout id or "champion", version)
        self.now: Traffic | None = None

    def turn(self, time: datetime) -> Traffic:
        """Ask the store who serves. A model that does not load changes nothing for those that do.

        Raises ModelError when no champion is named, or when the very first does not load.
        """
        version, rollout = self._store.get("champion"), self._store.live_rollout()
        if version is None:
            raise ModelError(
                "no model serves yet",
                where="state 'champion' of the store",
                got="nothing",
                expected="the version of a trained model",
                do="everloop train TRAIN.csv --eval EVAL.csv",
            )
        new = Traffic(self._champion(version, time))
        if rollout and rollout.candidate != new.champion.version:
            candidate = self._take(rollout.candidate, rollout.rollout_id, new.champion, time)
            new = replace(new, rollout=rollout, candidate=candidate) if candidate else new
        self.now = new
        return new

    def refuse(
        self, version: str, why: str, champion: Served, fault: ModelError, time: datetime
    ) -> None:
        """Store that a model is not fit to serve, and take it out of the traffic until a restart."""
        reason = f"version {version} is refused, champion {champion.version} serves on: {fault.what}"
        evidence = {"version": version, "champion": champion.version, "for": why, "fault": str(fault)}
        key = f"serving/refused/{why}/{version}"
        self._store.decide([Decision(key, "serving", time, "refuse", reason, evidence, "critical")])
        self._refused.add((why, version))
        self.now = Traffic(champion)

    def _champion(self, version: str, time: datetime) -> Served:
        if self.now is None:
            return self._loaded(version)
        return self._take(version, "champion", self.now.champion, time) or self.now.champion

    def _take(self, version: str, why: str, champion: Served, time: datetime) -> Served | None:
        """The model of a version, loaded once; None when it was refused."""
        for served in (champion, self.now and self.now.champion, self.now and self.now.candidate):
            if served and served.version == version:
                return served
        if (why, version) in self._refused:
            return None
        try:
            return self._loaded(version)
        except ModelError as fault:
            self.refuse(version, why, champion, fault, time)
            return None

    def _loaded(self, version: str) -> Served:
        model = self._load(version)
        if model.head is None:
            raise ModelError("this model has no head", where=f"version {version}", do="train it first")
        return Served(version, model.encoder, model.head)
