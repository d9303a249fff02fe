"""One database, SQLite (WAL) or Postgres: transactions, upserts, faults in words people can use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    JSON,
    Connection,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.schema import CreateColumn, CreateIndex
from sqlalchemy.types import TypeDecorator, TypeEngine

from core.errors import RowError, StoreError

R = TypeVar("R")
LOCKED = ("locked", "lock timeout", "statement timeout")
FULL = ("disk is full", "No space left on device")
BUSY_SECONDS = 10.0
CONNECT_SECONDS = 6  # in which a database answers whoever knocks
# a server whose machine or line is gone while it works on a query: noticed after so many seconds
KEEPALIVE = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}
NOT_LET_IN = (
    "authentication",
    "pg_hba.conf",
    "role ",
    "no password",
    "ermission denied",
    "ccess denied",
)
CHECKPOINT_PAGES = 4000  # 16 MB of log before SQLite copies it over: fewer and larger writes


class Database:
    """The tables of `metadata` at `url`, made if missing. Raises StoreError when it fails.

    A lock is waited for `busy` seconds, BUSY_SECONDS unless told.
    """

    def __init__(self, url: str, metadata: MetaData, busy: float | None = None) -> None:
        self.url = url
        self.busy = BUSY_SECONDS if busy is None else busy
        self._engine = _engine(url, self.busy)
        with self._faults():
            if self._engine.dialect.name == "postgresql":
                _same_indices(metadata)
            missing = metadata.tables.keys() - set(inspect(self._engine).get_table_names())
        if missing:  # two may open it at once: in a transaction that writes, one waits for the other
            with self.write() as db:
                metadata.create_all(db)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect() as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect().execution_options(write=True) as db, db.begin():
            yield db

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as fault:
            text = next(iter(str(fault.orig).strip().splitlines()), "")
            where = self.where()
            if any(sign in text for sign in LOCKED):
                raise StoreError(
                    "the store is locked by another process",
                    where=where,
                    got=text,
                    expected=f"a free store within {self.busy:g} s",
                    do="stop the other process or wait for it, then run this again; nothing was lost",
                ) from fault
            if any(sign in text for sign in FULL):
                do = "make room on it; nothing that was acknowledged is lost"
                raise StoreError("the store's disk is full", where=where, got=text, do=do) from fault
            if self._engine.dialect.name == "postgresql" and (
                fault.statement is None or fault.connection_invalidated
            ):
                raise _away("the store", "EVERLOOP_STORE", where, text) from fault
            do = "check that it exists and can be written, then run this again"
            kind = RowError if isinstance(fault, DataError | IntegrityError) else StoreError
            raise kind("the store cannot be used", where=where, got=text, do=do) from fault

    def where(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def add_columns(self, table: Table, *names: str) -> None:
        """These columns and all indices of the table, where an older store does not have them."""
        with self.write() as db:
            known = {c["name"] for c in inspect(db).get_columns(table.name)}
            for column in (table.c[name] for name in names if name not in known):
                text = CreateColumn(column).compile(dialect=db.dialect)
                # two may open an old store at once; SQLite lets one write, Postgres must be told
                again = "IF NOT EXISTS " if is_postgres(db) else ""
                db.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {again}{text}")
            for index in table.indexes:
                db.execute(CreateIndex(index, if_not_exists=True))

    def empty_wal(self) -> None:
        """SQLite's log of pages is emptied: it holds what was deleted."""
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()

    def rows(self, query: Any) -> Sequence[Row[Any]]:
        with self.read() as db:
            return db.execute(query).all()

    def column(self, query: Any) -> list[Any]:
        """The first value of each row."""
        with self.read() as db:
            return list(db.scalars(query))

    def value(self, query: Any) -> Any:
        """The first value of the first row; None where there is no row."""
        with self.read() as db:
            return db.scalar(query)

    def records(self, query: Any, shape: type[R]) -> list[R]:
        names = [f.name for f in fields(shape)]  # type: ignore[arg-type]  # every R is a dataclass
        with self.read() as db:
            return [shape(**{n: r[n] for n in names}) for r in db.execute(query).mappings()]

    def record(self, query: Any, shape: type[R]) -> R | None:
        """The first of them."""
        return next(iter(self.records(query.limit(1), shape)), None)

    def among(self, query: Select[Any], column: Any, values: Iterable[str]) -> list[Row[Any]]:
        with self.read() as db:
            return among(db, query, column, values)


def is_postgres(db: Connection) -> bool:
    return db.dialect.name == "postgresql"


def _same_indices(metadata: MetaData) -> None:
    """An index of some rows only has the same rows in Postgres. Declared with the tables, it would make
    each command on SQLite load the dialect of Postgres, which takes a tenth of a second."""
    for index in (i for table in metadata.tables.values() for i in table.indexes):
        index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


def insert(db: Connection, table: Table) -> Any:
    """An INSERT that can say what happens on a conflict: each database has its own."""
    if not is_postgres(db):
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_new(db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose keys are not there."""
    if rows:
        db.execute(insert(db, table).on_conflict_do_nothing(), rows)


def upsert(db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or replace those that have their keys."""
    if not rows:
        return
    query = insert(db, table)
    keys = [c.name for c in table.primary_key]
    new = {c.name: query.excluded[c.name] for c in table.columns if c.name not in keys}
    db.execute(query.on_conflict_do_update(index_elements=keys, set_=new), rows)


def insert_columns(db: Connection, table: Table, columns: list[Sequence[Any]]) -> int:
    """Insert the rows whose keys are not there, given as the table's columns, without SQLAlchemy's work
    for each value; returns how many are new."""
    if not columns:
        return 0
    ready = list(columns)
    for i, column in enumerate(table.columns):
        change = _as_driver_takes(column.type, db.dialect)
        if change:
            ready[i] = [change(value) for value in ready[i]]
    rows = list(zip(*ready, strict=True))
    return plain(db, _insert_text(table, db.dialect), rows).rowcount


def plain(db: Connection, text: str, values: Any) -> CursorResult[Any]:
    """SQL that both databases speak, `?` for each value: it is not compiled anew each time."""
    mark = "%s" if is_postgres(db) else "?"
    return db.exec_driver_sql(text.replace("?", mark), values)


def check_there(url: str, name: str, variable: str) -> None:
    """Raises StoreError, within seconds, when no database answers at this address."""
    engine = create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS})
    try:
        engine.connect().close()
    except DBAPIError as fault:
        text = next(iter(str(fault.orig).strip().splitlines()), "")
        where = engine.url.render_as_string(hide_password=True)
        raise _away(name, variable, where, text) from fault
    finally:
        engine.dispose()


def _away(name: str, variable: str, where: str, text: str) -> StoreError:
    """Nobody answers, or not us, or there is no such database."""
    what, do = "cannot be reached", f"start it, or set {variable} right"
    if any(sign in text for sign in NOT_LET_IN):
        what, do = "does not let us in", f"set user and password in {variable} right, or ask its owner"
    elif "database" in text and "does not exist" in text:
        what, do = "does not exist", f"createdb it, or set {variable} right"
    again = "then run this again; nothing was lost"
    return StoreError(f"{name} {what}", where=where, got=text, do=f"{do}, {again}")


def parts(items: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """Databases bound how many values one query may carry."""
    whole = list(items)
    for i in range(0, len(whole), size):
        yield whole[i : i + size]


def among(db: Connection, query: Select[Any], column: Any, values: Iterable[str]) -> list[Row[Any]]:
    """The rows whose column has one of these values."""
    return [row for part in parts(values) for row in db.execute(query.where(column.in_(part)))]


def _as_driver_takes(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What SQLAlchemy would make of a value, in a fifth of the time; None where it stays as it is."""
    if isinstance(kind, JSON):
        return lambda value: orjson.dumps(value).decode()
    if isinstance(kind, LargeBinary):
        return None
    if isinstance(kind, TypeDecorator) and isinstance(kind.impl_instance, DateTime):
        if dialect.name == "sqlite":
            return lambda when: when.astimezone(UTC).isoformat(" ", "microseconds")[:26]
        return lambda when: when.astimezone(UTC).replace(tzinfo=None)
    return None


def _insert_text(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(c.name) for c in table.columns)
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"


def _engine(url: str, busy: float) -> Engine:
    try:
        if url.startswith("sqlite:///"):
            _make_folder(Path(url.removeprefix("sqlite:///")).parent)
            engine = create_engine(url, connect_args={"timeout": busy})
            _use_wal(engine)
            return engine
        seconds = min(max(2, round(busy)), CONNECT_SECONDS)  # libpq does not obey less
        wait = {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000, **KEEPALIVE}
        engine = create_engine(url, pool_pre_ping=True, connect_args=wait)
        _wait_so_long(engine, busy)
        return engine
    except (ArgumentError, ImportError, TypeError) as fault:
        raise StoreError(
            "this is not the address of a store",
            where="EVERLOOP_STORE",
            got=str(fault).splitlines()[0],
            expected="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
            do="pip install 'everloop[postgres]'" if isinstance(fault, ImportError) else "",
        ) from None


def _wait_so_long(engine: Engine, busy: float) -> None:
    """On Postgres too nobody waits for a lock for ever."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{busy * 1000:.0f}ms'")
        connection.commit()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StoreError(
            "the store cannot be made here",
            where=str(folder),
            got=fault.strerror or str(fault),
            expected="a folder that can be written",
        ) from None


def _use_wal(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute("PRAGMA secure_delete=ON")  # a text that is deleted is not left in the file

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
