"""One database, SQLite (WAL) or Postgres: transactions, upserts, faults in words people can use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from core.errors import StoreError

R = TypeVar("R")
BUSY_SECONDS = 10


class Database:
    """The tables of `metadata` at `url`, made if missing. Raises StoreError when it fails."""

    def __init__(self, url: str, metadata: MetaData) -> None:
        self.url = url
        self._engine = _engine(url)
        self._dialect: Any = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        with self._faults():
            metadata.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect() as db:
            yield db

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._faults(), self._engine.connect().execution_options(write=True) as db, db.begin():
            yield db

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as fault:
            text = next(iter(str(fault.orig).strip().splitlines()), "")
            locked = "locked" in text or "lock timeout" in text
            raise StoreError(
                "the store is locked by another process" if locked else "the store cannot be used",
                where=self._where(),
                got=text,
                expected=f"a free store within {BUSY_SECONDS} s" if locked else "",
                do="stop the other process or wait for it, then run this again; nothing was lost"
                if locked
                else "check that it exists and can be written, then run this again",
            ) from fault

    def _where(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def _insert(self, db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            db.execute(self._dialect.insert(table).on_conflict_do_nothing(), rows)

    def _replace(self, db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        query = self._dialect.insert(table)
        keys = [c.name for c in table.primary_key]
        new = {c.name: query.excluded[c.name] for c in table.columns if c.name not in keys}
        db.execute(query.on_conflict_do_update(index_elements=keys, set_=new), rows)

    def _records(self, query: Any, shape: type[R]) -> list[R]:
        names = [f.name for f in fields(shape)]  # type: ignore[arg-type]  # every R is a dataclass
        with self._read() as db:
            return [shape(**{n: r[n] for n in names}) for r in db.execute(query).mappings()]


def parts(items: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """Databases bound how many values one query may carry."""
    whole = list(items)
    for i in range(0, len(whole), size):
        yield whole[i : i + size]


def _engine(url: str) -> Engine:
    try:
        if url.startswith("sqlite:///"):
            _make_folder(Path(url.removeprefix("sqlite:///")).parent)
            engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
            _use_wal(engine)
            return engine
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS})
        _wait_so_long(engine)
        return engine
    except (ArgumentError, ImportError, TypeError) as fault:
        raise StoreError(
            "this is not the address of a store",
            where="EVERLOOP_STORE",
            got=str(fault).splitlines()[0],
            expected="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
            do="pip install 'everloop[postgres]'" if isinstance(fault, ImportError) else "",
        ) from None


def _wait_so_long(engine: Engine) -> None:
    """On Postgres too nobody waits for a lock for ever."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
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

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
