"""A store that an older version made is brought to this version's schema when it is opened.

    5   feedback says who gave it, as the server saw them
    6   an answer is an envelope (output, confidence) beside a detail record of its task; an annotation
        holds a value of a kind
    7   answers of models that write; a corrected annotation is known by the hash of its value, which
        may be long

Each migration may be killed anywhere and run again: it looks at what is there and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, select

from core import schema
from core.database import Database, insert_new, is_postgres, plain
from core.errors import StoreError
from core.progress import doing
from core.store.embeddings import text_hash
from core.store.naming import find_odd
from core.store.state import StateRepository
from core.stored import Remembered

OLDEST = 4  # that is still read
AT_ONCE = 5000  # rows that one transaction copies
RENAMED = (  # in 6: table, what a column was called, and what it is called
    ("predictions", "label", "output"),
    ("predictions", "score", "confidence"),
    ("annotations", "label", "value"),
    ("relabelled", "label", "value"),
)


@dataclass(frozen=True)
class SchemaVersion(Remembered):
    KEY, BARE = "schema", True

    number: int | None = None


@dataclass(frozen=True)
class OddLabels(Remembered):
    """Labels that an older version stored in another form than the normal one."""

    KEY, BARE = "labels/odd", True

    labels: list[str] | None = None  # None: nobody has looked


def migrate(database: Database, state: StateRepository) -> None:
    """Bring the schema to this version. Raises StoreError for one that this version does not know."""
    found = state.read(SchemaVersion).number
    if found is None:
        state.write(SchemaVersion(schema.VERSION))
    elif found in range(OLDEST, schema.VERSION):
        for to in range(found + 1, schema.VERSION + 1):
            doing(f"bringing the store from schema {found} to {schema.VERSION}: step {to}")
            MIGRATIONS[to](database)
            state.write(SchemaVersion(to))
    elif found != schema.VERSION:
        raise StoreError(
            "the store was made by another version of Everloop",
            where=database.where(),
            got=f"schema {found}",
            expected=f"schema {OLDEST} to {schema.VERSION}",
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


def to_5(database: Database) -> None:
    database.add_columns(schema.feedback, "caller")


def to_6(database: Database) -> None:
    """Probabilities are copied some at a time; what came meanwhile, and the new names, are one
    transaction: a server of an older version sees all of it or nothing."""
    while copy_details(database):
        pass
    database.add_columns(schema.annotations, "kind")
    database.add_columns(schema.relabelled, "kind")
    with database.write() as db:
        _alone(db)
        if _has(db, "predictions", "probabilities"):
            rest = "WHERE prediction_id NOT IN (SELECT prediction_id FROM classification_details)"
            plain(db, COPY.format(rest), ())
            plain(db, "ALTER TABLE predictions DROP COLUMN probabilities", ())
        for table, old, new in RENAMED:
            if _has(db, table, old):
                plain(db, f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}", ())


COPY = """
INSERT INTO classification_details (prediction_id, probabilities)
SELECT prediction_id, probabilities FROM predictions {}
"""


def copy_details(database: Database) -> int:
    """Copy the next rows' probabilities; returns how many. Where it stands is the last row that is
    there: rows come in the order of their ids."""
    d = schema.classification_details
    with database.write() as db:
        _alone(db)
        if not _has(db, "predictions", "probabilities"):
            return 0
        last = db.execute(select(func.max(d.c.prediction_id))).scalar() or ""
        some = f"WHERE prediction_id > ? ORDER BY prediction_id LIMIT {AT_ONCE}"
        return plain(db, COPY.format(some), (last,)).rowcount


def _alone(db: Connection) -> None:
    """Where two open an old store at once, one waits. SQLite lets one write anyway."""
    if is_postgres(db):
        plain(db, "SELECT pg_advisory_xact_lock(666)", ())


def _has(db: Connection, table: str, column: str) -> bool:
    return column in {c["name"] for c in inspect(db).get_columns(table)}


def to_7(database: Database) -> None:
    """Corrections are few: one transaction makes their table anew under its new key."""
    t = schema.relabelled
    with database.write() as db:
        _alone(db)
        if _has(db, t.name, "value_hash"):
            return
        names = [c.name for c in t.columns if c.name != "value_hash"]
        found = db.execute(select(*(t.c[name] for name in names))).mappings().all()
        plain(db, f"DROP TABLE {t.name}", ())
        t.create(db)
        insert_new(db, t, [{**row, "value_hash": text_hash(row["value"])} for row in found])


MIGRATIONS: dict[int, Callable[[Database], None]] = {5: to_5, 6: to_6, 7: to_7}
