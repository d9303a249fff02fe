"""Who serves now: the champion the store names and, while a rollout is live, its candidate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from core.errors import BusyError, EngineError, InputError, ModelError
from core.evidence import AdoptEvidence, RefusalEvidence
from core.models.base import Model
from core.records.answers import Request
from core.records.decisions import Decision
from core.records.rollouts import Rollout
from core.state import Champion, Pin
from core.store import Store
from serving.scoring import LoadedModel, score


@dataclass(frozen=True)
class Traffic:
    """One moment's answer. `rollout` and `candidate` are there together or not at all, and both models
    answer in the labels of that moment."""

    champion: LoadedModel
    rollout: Rollout | None = None
    candidate: LoadedModel | None = None


WARMING = [
    Request(text, datetime.min, text)
    for text in ("warm", "a few words to warm a model that has not read anything yet")
]


class Switch:
    """Loads beside what serves, warms it, and swaps when all is ready. `now` is one moment's whole."""

    def __init__(self, store: Store, load: Callable[[str], Model]) -> None:
        self._store, self._load = store, load
        self.warm = False  # let a new model read a few texts before it serves: its first ones are slow
        self._refused: set[tuple[str, str]] = set()  # (rollout id or "champion", version)
        self._turn = threading.RLock()
        self.now: Traffic | None = None
        self.fault = ""  # why the candidate gets no requests yet

    def turn(self, time: datetime) -> Traffic:
        """Ask the store who serves. A model that does not load changes nothing for those that do.

        Raises ModelError when no champion is named, or when the very first does not load; LabelError
        for a label set that cannot be read: who serves goes on in the labels of before.
        """
        with self._turn:
            self.now = self._named(time)
            return self.now

    def adopt(self, version: str, time: datetime) -> bool:
        """Make a version the champion that somebody chose in the registry, if it can serve and none is
        pinned."""
        with self._turn:
            if self.now is None or self._store.state.read(Pin):
                return False
            if not self._take(version, "champion", self.now.champion, time):
                return False
            before = self.now.champion.version
            reason = f"the registry's alias moved from version {before} to {version}"
            evidence = AdoptEvidence(version, before)
            key = f"serving/adopted/{version}/{time.isoformat()}"
            self._store.decisions.put([Decision(key, "serving", time, "adopt", reason, evidence)])
            self._store.state.write(Champion(version))
            return True

    def _named(self, time: datetime) -> Traffic:
        version = self._store.state.champion()
        rollout = None if self._store.state.read(Pin) else self._store.decisions.live_rollout()
        labels = self._store.label_set_at(time)
        new = Traffic(self._champion(version, time).under(labels))
        self.fault = ""
        if rollout and rollout.candidate != new.champion.version:
            candidate = self._candidate(rollout, new.champion, time)
            if candidate:
                new = replace(new, rollout=rollout, candidate=candidate.under(labels))
        return new

    def _candidate(self, rollout: Rollout, champion: LoadedModel, time: datetime) -> LoadedModel | None:
        """None where it was refused, or no engine has its weights yet: the champion serves alone."""
        try:
            return self._take(rollout.candidate, rollout.rollout_id, champion, time)
        except (EngineError, BusyError, InputError) as fault:
            self.fault = f"version {rollout.candidate} waits: {fault.what}: {fault.got}"
            return None

    def refuse(
        self, version: str, why: str, champion: LoadedModel, fault: ModelError, time: datetime
    ) -> None:
        """Store that a model is not fit to serve, and take it out of the traffic until a restart."""
        reason = f"version {version} is refused, champion {champion.version} serves on: {fault.what}"
        evidence = RefusalEvidence(version, champion.version, why, str(fault))
        key = f"serving/refused/{why}/{version}"
        self._store.decisions.put(
            [Decision(key, "serving", time, "refuse", reason, evidence, "critical")]
        )
        with self._turn:
            self._refused.add((why, version))
            if self.now and why != "champion":
                self.now = Traffic(self.now.champion)

    def _champion(self, version: str, time: datetime) -> LoadedModel:
        if self.now is None:
            return self._loaded(version)
        return self._take(version, "champion", self.now.champion, time) or self.now.champion

    def _take(
        self, version: str, why: str, champion: LoadedModel, time: datetime
    ) -> LoadedModel | None:
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

    def _loaded(self, version: str) -> LoadedModel:
        served = LoadedModel(version, self._load(version))
        if self.warm:
            score(served, WARMING)
        return served
