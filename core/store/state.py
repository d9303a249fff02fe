"""Steps that were done, what is remembered (core/state.py), and counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from core import schema
from core.database import Database, insert_new, upsert
from core.database import plain as plain_sql
from core.errors import ModelError, StoreError
from core.state import Champion
from core.stored import Remembered, plain, record

R = TypeVar("R")
S = TypeVar("S", bound=Remembered)


@dataclass
class StateRepository:
    """What a loop must remember between its turns."""

    database: Database

    def once(self, key: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a step, done only if it never finished. A step killed half-way runs again."""
        t = schema.steps
        done: dict[str, Any] | None = self.database.value(select(t.c.result).where(t.c.key == key))
        if done is not None:
            return done
        result = step()
        with self.database.write() as db:
            insert_new(db, t, [{"key": key, "result": result}])
        return result

    def made(self, kind: type[R], key: str, step: Callable[[], R]) -> R:
        """The same, of a step that makes a record."""
        return record(kind, self.once(key, lambda: plain(step())))

    def results(self, start: str) -> dict[str, dict[str, Any]]:
        """The results of all finished steps whose keys begin like this."""
        t = schema.steps
        query = select(t.c.key, t.c.result).where(t.c.key.startswith(start, autoescape=True))
        return {str(key): dict(result) for key, result in self.database.rows(query.order_by(t.c.key))}

    def read(self, kind: type[S], name: str = "") -> S:
        """What is remembered of this kind; `name` tells several of a kind from each other."""
        with self.database.read() as db:
            return read_state(db, kind, name)

    def write(self, record: Remembered, name: str = "") -> None:
        with self.database.write() as db:
            write_state(db, record, name)

    def champion(self) -> str:
        """The version that serves. Raises ModelError when no model was ever trained."""
        version = self.read(Champion).version
        if version is None:
            raise ModelError(
                "no model serves yet",
                where="state 'champion' of the store",
                got="nothing",
                expected="the version of a trained model",
                do="everloop train TRAIN.csv --eval EVAL.csv",
            )
        return version

    def counters(self) -> dict[str, int]:
        t = schema.counters
        return {name: int(n) for name, n in self.database.rows(select(t.c.name, t.c.value))}


def read_state(db: Connection, kind: type[S], name: str = "") -> S:
    key = kind.KEY + name
    found = db.execute(select(schema.state.c.value).where(schema.state.c.key == key))
    try:
        return kind.of(found.scalar_one_or_none())
    except ValueError as fault:
        raise StoreError(
            "what the store remembers is not of this version of Everloop",
            where=f"state '{key}'",
            got="; ".join(str(fault).splitlines()[:3]),
            expected=kind.__name__,
            do="open it with the Everloop that wrote it",
        ) from None


def write_state(db: Connection, record: Remembered, name: str = "") -> None:
    upsert(db, schema.state, [{"key": record.KEY + name, "value": record.stored()}])


def count(db: Connection, more: dict[str, int]) -> None:
    """Add to counters, in the transaction of what they count."""
    rows = [(name, by) for name, by in more.items() if by]
    if rows:
        plain_sql(db, _COUNT, rows)


_COUNT = """
INSERT INTO counters (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value
"""
