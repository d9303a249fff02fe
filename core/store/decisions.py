"""What was decided: decisions, and how rollouts stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select

from core import schema
from core.database import Database, upsert
from core.records.decisions import Decision
from core.records.rollouts import LIVE, Rollout
from core.store.state import write_state
from core.stored import Remembered


@dataclass
class DecisionRepository:
    """Decisions and rollouts, each under a key of its own: writing again replaces."""

    database: Database

    def put(
        self,
        decisions: Sequence[Decision],
        state: Sequence[Remembered] = (),
        rollout: Rollout | None = None,
    ) -> None:
        """Store decisions and, in the same transaction, what is remembered beside them and how
        a rollout stands."""
        with self.database.write() as db:
            upsert(db, schema.decisions, [_row(d) for d in decisions])
            upsert(db, schema.rollouts, [asdict(rollout)] if rollout else [])
            for record in state:
                write_state(db, record)

    def get(self, key: str) -> Decision | None:
        t = schema.decisions
        return self.database.record(select(t).where(t.c.key == key), Decision)

    def read(
        self, stage: str | None = None, since: datetime | None = None, newest: int | None = None
    ) -> list[Decision]:
        """In order of time; of them the `newest` so many."""
        t = schema.decisions
        query = select(t).order_by(t.c.timestamp.desc(), t.c.key.desc()).limit(newest)
        query = query.where(t.c.stage == stage) if stage else query
        query = query.where(t.c.timestamp >= since) if since else query
        return self.database.records(query, Decision)[::-1]

    def newest_with(self, stage: str, name: str, value: str) -> Decision | None:
        """The newest decision of a stage whose evidence has this text by this name."""
        t = schema.decisions
        same = (t.c.stage == stage, t.c.evidence[name].as_string() == value)
        query = select(t).where(*same).order_by(t.c.timestamp.desc(), t.c.key.desc())
        return self.database.record(query, Decision)

    def put_rollout(self, rollout: Rollout) -> None:
        with self.database.write() as db:
            upsert(db, schema.rollouts, [asdict(rollout)])

    def rollouts(self, candidate: str | None = None) -> list[Rollout]:
        """Every rollout, or those of one candidate, newest first."""
        t = schema.rollouts
        query = select(t).order_by(t.c.started.desc(), t.c.rollout_id.desc())
        return self.database.records(
            query.where(t.c.candidate == candidate) if candidate else query, Rollout
        )

    def live_rollout(self) -> Rollout | None:
        """The rollout under way, if one is."""
        t = schema.rollouts
        query = select(t).where(t.c.stage.in_(LIVE)).order_by(t.c.started.desc())
        return self.database.record(query, Rollout)


def _row(decision: Decision) -> dict[str, Any]:
    columns = {f.name: getattr(decision, f.name) for f in fields(decision)}
    return {**columns, "evidence": decision.evidence.stored()}
