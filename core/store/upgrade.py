"""Opening a store that an older version made."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from core import schema
from core.database import Database
from core.errors import StoreError
from core.store.naming import find_odd
from core.store.state import StateRepository
from core.store.tasks import same
from core.stored import Remembered

KNOWN = (1, 2, 3, 4)


@dataclass(frozen=True)
class SchemaVersion(Remembered):
    KEY, BARE = "schema", True

    number: int | None = None


@dataclass(frozen=True)
class OddLabels(Remembered):
    """Labels that an older version stored in another form than the normal one."""

    KEY, BARE = "labels/odd", True

    labels: list[str] | None = None  # None: nobody has looked


def upgrade(database: Database, state: StateRepository) -> None:
    """Bring the schema to this version. Raises StoreError for one that this version does not know."""
    found = state.read(SchemaVersion).number
    if found in (1, 2, 3):  # all that is new since are tables, made already, and columns
        for table in (schema.predictions, schema.signals, schema.tasks, schema.decisions):
            database.add_columns(table)
        _mark_settled(database)
        count_served(database)
    if found in KNOWN:
        database.add_columns(schema.feedback)
    if found is None or found in KNOWN:
        state.write(SchemaVersion(schema.VERSION))
    elif found != schema.VERSION:
        raise StoreError(
            "the store was made by another version of Everloop",
            where=database.where(),
            got=f"schema {found}",
            expected=f"schema {schema.VERSION}",
            do="open it with the Everloop that made it",
        )


def odd_labels(database: Database, state: StateRepository) -> frozenset[str]:
    """Looked for once: what was stored since is in its normal form."""
    found = state.read(OddLabels).labels
    if found is None:
        with database.read() as db:
            found = find_odd(db)
        state.write(OddLabels(found))
    return frozenset(found)


def _mark_settled(database: Database) -> None:
    """For a store that did not yet know which tasks are settled."""
    k, a = schema.tasks, schema.annotations
    with database.write() as db:
        db.execute(update(k).where(select(a).where(same(a, k)).exists()).values(unsettled=False))


def count_served(database: Database) -> None:
    """For a store that did not yet count answers by model: once, over the whole log."""
    t, p = schema.served, schema.predictions
    query = select(
        p.c.model_version,
        p.c.variant,
        func.count(),
        func.min(p.c.timestamp),
        func.max(p.c.timestamp),
    ).group_by(p.c.model_version, p.c.variant)
    with database.write() as db:
        db.execute(delete(t))
        db.execute(insert(t).from_select([c.name for c in t.columns], query))
