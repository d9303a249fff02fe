"""What was seen and what was decided: signals, decisions, rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select

from core import schema
from core.database import Database
from core.records import LIVE, Decision, Rollout, Signal


class Decisions(Database):
    """Signals, decisions and rollouts, each under a key of its own: writing again replaces."""

    def put_signals(self, signals: Sequence[Signal]) -> None:
        with self._write() as db:
            self._replace(db, schema.signals, [asdict(s) for s in signals])

    def signals(
        self,
        since: datetime | None = None,
        name: str | None = None,
        until: datetime | None = None,
        segment: str | None = None,
    ) -> list[Signal]:
        """Of the windows that end in [since, until], in order of time; "" is the segment of all."""
        t = schema.signals
        query = select(t).order_by(t.c.window_end, t.c.name, t.c.segment)
        query = query.where(t.c.window_end >= since) if since else query
        query = query.where(t.c.window_end <= until) if until else query
        query = query.where(t.c.name == name) if name else query
        query = query.where(t.c.segment == segment) if segment is not None else query
        return self._records(query, Signal)

    def signal_names(self) -> list[str]:
        t = schema.signals
        with self._read() as db:
            return list(db.execute(select(t.c.name).distinct().order_by(t.c.name)).scalars())

    def decide(
        self,
        decisions: Sequence[Decision],
        state: dict[str, Any] | None = None,
        rollout: Rollout | None = None,
    ) -> None:
        """Store decisions and, in the same transaction, what is remembered by name (see `State`) and
        how a rollout stands."""
        with self._write() as db:
            self._replace(db, schema.decisions, [asdict(d) for d in decisions])
            self._replace(db, schema.rollouts, [asdict(rollout)] if rollout else [])
            for key, value in (state or {}).items():
                self._replace(db, schema.state, [{"key": key, "value": value}])

    def decision(self, key: str) -> Decision | None:
        t = schema.decisions
        found: list[Decision] = self._records(select(t).where(t.c.key == key), Decision)
        return found[0] if found else None

    def decisions(
        self, stage: str | None = None, since: datetime | None = None, newest: int | None = None
    ) -> list[Decision]:
        """In order of time; of them the `newest` so many."""
        t = schema.decisions
        query = select(t).order_by(t.c.timestamp.desc(), t.c.key.desc()).limit(newest)
        query = query.where(t.c.stage == stage) if stage else query
        query = query.where(t.c.timestamp >= since) if since else query
        return self._records(query, Decision)[::-1]

    def decided_of(self, stage: str, name: str, value: str) -> Decision | None:
        """The newest decision of a stage whose evidence has this text by this name."""
        t = schema.decisions
        same = (t.c.stage == stage, t.c.evidence[name].as_string() == value)
        query = select(t).where(*same).order_by(t.c.timestamp.desc(), t.c.key.desc()).limit(1)
        found: list[Decision] = self._records(query, Decision)
        return found[0] if found else None

    def put_rollout(self, rollout: Rollout) -> None:
        with self._write() as db:
            self._replace(db, schema.rollouts, [asdict(rollout)])

    def rollouts(self, candidate: str | None = None) -> list[Rollout]:
        """Every rollout, or those of one candidate, newest first."""
        t = schema.rollouts
        query = select(t).order_by(t.c.started.desc(), t.c.rollout_id.desc())
        return self._records(query.where(t.c.candidate == candidate) if candidate else query, Rollout)

    def live_rollout(self) -> Rollout | None:
        """The rollout under way, if one is."""
        t = schema.rollouts
        found: list[Rollout] = self._records(
            select(t).where(t.c.stage.in_(LIVE)).order_by(t.c.started.desc()).limit(1),
            Rollout,
        )
        return found[0] if found else None
