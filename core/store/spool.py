"""Groups of answers on disk, for as long as the store does not take them: one SQLite file that all
servers of a workspace share.

A server appends its own groups; one server at a time brings everybody's to the store. A group that the
store will never take stays, with the reason in its column `refused`, for people to look at.
"""

from __future__ import annotations

import base64
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson

from core.errors import StoreError
from core.files import make_folder
from core.kept import Kept, Profile
from core.records.answers import Detail, Prediction

NAME = "spool.db"
PROBE = 1 << 16  # bytes; room for less is no room
BUSY_SECONDS = 10.0  # another server is writing
WIPED = "PRAGMA wal_checkpoint(TRUNCATE)"  # with secure_delete: what was taken out stands nowhere
STATEMENTS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    """CREATE TABLE IF NOT EXISTS groups (
        writer TEXT, number INTEGER, rows INTEGER, body BLOB, refused TEXT,
        PRIMARY KEY (writer, number))""",
    "CREATE INDEX IF NOT EXISTS waiting ON groups (refused, writer, number, rows)",
)
USED = """SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size"""
# the first groups of a writer, as far as their rows together are few enough, and the first one anyway
NEXT = """WITH some AS (
    SELECT writer, number, rows, sum(rows) OVER (ORDER BY number) AS sofar FROM groups
    WHERE refused IS NULL AND writer = (SELECT min(writer) FROM groups WHERE refused IS NULL)
    LIMIT 2000)
SELECT writer, body FROM some JOIN groups USING (writer, number)
WHERE sofar <= ? OR sofar = some.rows ORDER BY number"""


class Spool:
    """The file in a folder, there or still to be made. Safe for many threads and processes."""

    def __init__(self, folder: Path, most_bytes: int = 1 << 62) -> None:
        self.path, self._most = folder / NAME, most_bytes
        self._turn = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def append(self, writer: str, groups: Sequence[Kept], refused: str | None = None) -> None:
        """Add groups and sync them; one that is there already is not added twice.

        Raises StoreError, with nothing added, when there is no room.
        """
        rows = [(writer, g.number, len(g.rows), pack(g), refused) for g in groups]
        with self._write(sum(len(row[3]) for row in rows)) as db:
            db.executemany("INSERT OR IGNORE INTO groups VALUES (?, ?, ?, ?, ?)", rows)

    def takes_more(self) -> bool:
        """Whether a group of some rows could be added: a page is written to see it."""
        try:
            with self._write(min(PROBE, self._most)) as db:
                db.execute("PRAGMA user_version = 1")
        except StoreError:
            return False
        return free(self.path.parent)

    def next(self, most_rows: int) -> tuple[str, list[Kept]]:
        """A writer and its next groups, in order: one, or more with no more rows than these."""
        found = self._read(NEXT, most_rows)
        return (found[0][0] if found else ""), [unpack(body) for _, body in found]

    def done(self, writer: str, last: Kept) -> None:
        """The groups of this writer up to `last` are in the store."""
        gone = "DELETE FROM groups WHERE writer = ? AND number <= ? AND refused IS NULL"
        with self._write() as db:
            db.execute(gone, (writer, last.number))
        self._read(WIPED)

    def put_aside(self, writer: str, group: Kept, why: str) -> None:
        with self._write() as db:
            which = "UPDATE groups SET refused = ? WHERE writer = ? AND number = ?"
            db.execute(which, (why, writer, group.number))

    def waiting(self, writer: str) -> tuple[int, int]:
        """Rows that wait, of every writer, and groups of this one."""
        query = "SELECT total(rows), total(writer = ?) FROM groups WHERE refused IS NULL"
        found = self._read(query, writer)
        return (int(found[0][0]), int(found[0][1])) if found else (0, 0)

    def rows(self) -> Iterator[Prediction]:
        """Every answer in the file, the refused ones too."""
        for key in self._keys():
            # none where it was stored meanwhile
            for (body,) in self._read("SELECT body FROM groups WHERE rowid = ?", *key):
                yield from unpack(body).rows

    def remove(self, meant: Callable[[Prediction], bool]) -> None:
        """Take rows out of their groups; counts stay."""
        for key in self._keys():
            with self._write() as db:
                for (body,) in db.execute("SELECT body FROM groups WHERE rowid = ?", key).fetchall():
                    group = unpack(body)
                    kept = [row for row in group.rows if not meant(row)]
                    if len(kept) < len(group.rows):
                        new = (len(kept), pack(replace(group, rows=kept)), *key)
                        db.execute("UPDATE groups SET rows = ?, body = ? WHERE rowid = ?", new)
        self._read(WIPED)

    def _keys(self) -> list[tuple[Any, ...]]:
        return self._read("SELECT rowid FROM groups")

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """Whether it is ours to bring groups to the store: not while another process does."""
        if not self.path.parent.is_dir():  # nothing ever waited here
            yield False
            return
        with open(self.path.with_suffix(".lock"), "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def close(self) -> None:
        with self._turn:
            if self._db:
                self._db.close()
            self._db = None

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Nothing where there is no file."""
        with self._turn, self._faults():
            return self._opened().execute(query, values).fetchall() if self.path.exists() else []

    @contextmanager
    def _write(self, more: int = 0) -> Iterator[sqlite3.Connection]:
        """A transaction that is on the disk at the end. Raises StoreError where it cannot be, or where
        the file would grow beyond the most by so many bytes."""
        with self._turn, self._faults():
            db = self._opened()
            db.execute("BEGIN IMMEDIATE")
            try:
                ((used,),) = db.execute(USED)
                if more and used + more > self._most:
                    raise self._fault("the spool is full", f"{used:,} bytes of {self._most:,}")
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            make_folder(self.path.parent)
            self.path.touch(0o600)
            db = sqlite3.connect(self.path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                for statement in STATEMENTS:
                    db.execute(statement)
            except sqlite3.Error:
                db.close()
                raise
            self._db = db
        return self._db

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as fault:
            what = "the spool cannot be written" if free(self.path.parent) else "the disk is full"
            raise self._fault(what, str(fault)) from fault

    def _fault(self, what: str, got: str) -> StoreError:
        do = "make room, or bring the store back; until then answers cannot be kept"
        return StoreError(what, where=str(self.path), got=got, do=do)


def free(folder: Path) -> bool:
    """Whether the disk of a folder, there or still to be made, has room for some rows."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    disk = os.statvfs(place)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize >= PROBE


def pack(group: Kept) -> bytes:
    return orjson.dumps(group, default=_plain)


def unpack(body: bytes) -> Kept:
    raw = orjson.loads(body)
    rows = [_prediction(r) for r in raw.pop("rows")]
    profiles = [Profile(**_values(p, Profile)) for p in raw.pop("profiles")]
    return Kept(rows=rows, profiles=profiles, **raw)


def _prediction(raw: dict[str, Any]) -> Prediction:
    if "detail" not in raw:  # of a version before store schema 6
        raw |= {"output": raw["label"], "confidence": raw["score"], "detail": raw}
    shape = next(s for s in get_args(Detail) if {f.name for f in fields(s)} <= set(raw["detail"]))
    detail = shape(**_values(raw["detail"], shape))
    return Prediction(**{**_values(raw, Prediction), "detail": detail})


def _plain(value: Any) -> Any:
    """An array as [dtype, base64]; there is nothing else that JSON does not know."""
    if isinstance(value, np.ndarray):
        return [value.dtype.str, base64.b64encode(value.tobytes()).decode()]
    raise TypeError(type(value).__name__)


ARRAYS = {"probabilities", "embedding", "scores", "lengths", "sums", "squares"}
TIMES = {"timestamp", "hour"}


def _values(raw: dict[str, Any], shape: type[Any]) -> dict[str, Any]:
    """What `_plain` and JSON made of a record's values, back."""
    found = {f.name: raw[f.name] for f in fields(shape)}
    for name, value in found.items():
        if name in TIMES:
            found[name] = datetime.fromisoformat(value)
        elif name == "messages":
            found[name] = tuple(value)
        elif name in ARRAYS and value is not None:
            found[name] = np.frombuffer(base64.b64decode(value[1]), dtype=np.dtype(value[0]))
    return found
