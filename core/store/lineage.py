"""What the store knows of one row: each a look-up by key, however long the log is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from core import schema
from core.database import Database
from core.stored import plain

LOGGED = (
    "prediction_id",
    "request_id",
    "timestamp",
    "model_version",
    "variant",
    "output",
    "confidence",
    "propensity",
)


@dataclass(frozen=True)
class Story:
    """What became of one prediction: rows of the tables, as plain values."""

    task: dict[str, Any] | None
    votes: list[dict[str, Any]]
    feedback: list[dict[str, Any]]
    labels: list[dict[str, Any]]  # those that were corrected first, then the one that holds
    tombstone: dict[str, Any] | None

    @property
    def partitions(self) -> list[str]:
        """The reservoir partitions that took a label of it, oldest first."""
        taken = {x["partition"] for x in self.labels if x["partition"]}
        return sorted(taken, key=lambda name: (len(name), name))


@dataclass
class LineageRepository:
    """From an id to everything that was said of it."""

    database: Database

    def answers(self, id: str) -> list[dict[str, Any]]:
        """The answers with this prediction id or request id, without text and arrays."""
        t = schema.predictions
        columns = [t.c[name] for name in LOGGED]
        for key in (t.c.prediction_id, t.c.request_id):
            found = self._plainly(select(*columns).where(key == id).order_by(t.c.variant))
            if found:
                return found
        return []

    def story(self, row_id: str) -> Story:
        """What was asked and said of a row, and which partitions took it; empty for one never seen."""
        task, tombstone = self._of(schema.tasks, row_id), self._of(schema.tombstones, row_id)
        t = schema.annotations
        labels = self._of(schema.relabelled, row_id) + self._of(schema.weak_labels, row_id)
        return Story(
            task=task[0] if task else None,
            votes=self._of(schema.votes, row_id),
            feedback=self._of(schema.feedback, row_id),
            labels=labels + self._of(t, row_id),
            tombstone=tombstone[0] if tombstone else None,
        )

    def _of(self, table: Table, row_id: str) -> list[dict[str, Any]]:
        key = table.c["row_id" if table is schema.tombstones else "prediction_id"]
        order = [c for c in table.primary_key.columns if c is not key]
        shown = [c for c in table.columns if c.name != "value_hash"]
        return self._plainly(select(*shown).where(key == row_id).order_by(*order))

    def _plainly(self, query: Any) -> list[dict[str, Any]]:
        return [plain(dict(row._mapping)) for row in self.database.rows(query)]
