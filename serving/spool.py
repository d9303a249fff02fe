"""Groups of answers on disk, in order, for as long as the store does not take them.

One file a writer, locked (flock) while the writer lives. A frame is its length, its CRC-32 and its
number of rows (12 bytes, little-endian), then JSON; it counts once it is synced. A frame cut short by
a crash was never acknowledged, so reading ends before it.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, get_args

import numpy as np
import orjson

from core.errors import StoreError
from core.files import sync_folder, whole_file, write_whole
from core.kept import Kept, Profile
from core.records.answers import Detail, Prediction

HEAD = struct.Struct("<III")
SUFFIX = ".spool"
PROBE = 1 << 16  # bytes; room for less is no room
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """The file of one writer. Not thread-safe: its owner locks."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path, self._most = path, most_bytes
        self._file: int | None = None
        self.size = self.rows = 0
        self.done = 0  # bytes of it that are in the store

    @property
    def writer(self) -> str:
        return self.path.name.removesuffix(SUFFIX)

    def append(self, group: Kept) -> None:
        """Add a group and sync it. Raises StoreError, with nothing added, when there is no room."""
        frame = _frame(group)
        if self.size + len(frame) > self._most:
            raise self._fault("the spool is full", f"{self.size:,} bytes of {self._most:,}")
        try:
            file = self._opened()
            try:
                os.lseek(file, self.size, os.SEEK_SET)
                if os.write(file, frame) < len(frame):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            except OSError:
                os.ftruncate(file, self.size)  # half a frame is not left where the next one goes
                raise
        except OSError as fault:
            what = "the disk is full" if fault.errno in FULL else "the spool cannot be written"
            raise self._fault(what, fault.strerror or str(fault)) from fault
        self.size += len(frame)
        self.rows += len(group.rows)

    def takes_more(self) -> bool:
        """Whether a group of some rows could be added: tried out, in a file without a name."""
        if self.size + min(PROBE, self._most) > self._most:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.path.parent, buffering=0) as file:
                written = file.write(bytes(PROBE))
                os.fsync(file.fileno())
        except OSError:
            return False
        return written == PROBE

    def read(self, most_rows: int) -> tuple[list[Kept], int]:
        """The next groups that are not done, and the byte where those after them begin."""
        groups: list[Kept] = []
        rows, start = 0, self.done
        with open(self.path, "rb") as file:
            for body, n, end in _frames(file.fileno(), start, self.size):
                if groups and rows + n > most_rows:
                    break
                groups.append(unpack(body))
                start, rows = end, rows + n
        return groups, start

    def forget(self, groups: list[Kept], end: int) -> None:
        """These are stored: go on at byte `end`."""
        self.done, self.rows = end, self.rows - sum(len(g.rows) for g in groups)

    def put_aside(self, group: Kept) -> None:
        with open(self.path.with_suffix(".refused.jsonl"), "ab") as file:
            file.write(pack(group) + b"\n")

    def clear(self) -> None:
        """Everything was stored."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
        self.size = self.rows = self.done = 0

    def close(self) -> None:
        """Let go of the file; an empty one is removed."""
        if self._file is None:
            return
        if self.size == 0:
            self.path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Unlock the file and leave it as it is."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def take(self) -> bool:
        """Lock and count a file that a dead writer left. False when its writer lives, or it is gone."""
        try:
            file = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return False
        if not _locked(file, self.path):
            os.close(file)
            return False
        self._file = file
        for _, rows, end in _frames(file, 0, os.fstat(file).st_size):
            self.rows, self.size = self.rows + rows, end
        return True

    def _opened(self) -> int:
        while self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(file, self.path):
                self._file = file
                sync_folder(self.path.parent)
            else:  # somebody took the empty file for a dead writer's
                os.close(file)
        return self._file

    def _fault(self, what: str, got: str) -> StoreError:
        do = "make room, or bring the store back; until then answers cannot be kept"
        return StoreError(what, where=str(self.path), got=got, do=do)


def free(folder: Path) -> bool:
    """Whether the disk of a folder, there or still to be made, has room for some rows."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    disk = os.statvfs(place)
    return (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize >= PROBE


def leftovers(folder: Path) -> Iterator[Spool]:
    """The spools of writers that died, locked for us."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        spool = Spool(path, 0)
        if spool.take():
            yield spool


def groups(path: Path) -> Iterator[Kept]:
    """What a spool holds by now, whoever owns it; nothing is locked or changed."""
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            for body, _, _ in _frames(file.fileno(), 0, end):
                yield unpack(body)
    except FileNotFoundError:  # all of it was stored meanwhile
        return


def remove(path: Path, meant: Callable[[Prediction], bool]) -> bool:
    """Take rows out of a spool whose writer died; False where the writer lives. What a reader sees is
    the old file or the new one; counts stay."""
    spool = Spool(path, 0)
    if not spool.take():
        return False
    try:
        with whole_file(path) as half, half.open("wb") as file:
            for group in groups(path):
                file.write(_frame(_without(group, meant)))
    finally:
        spool.let_go()
    return True


def remove_refused(path: Path, meant: Callable[[Prediction], bool]) -> None:
    """The same of groups that were put aside."""
    kept = [pack(_without(group, meant)) + b"\n" for group in refused(path)]
    write_whole(path, b"".join(kept))


def refused(path: Path) -> Iterator[Kept]:
    """What was put aside."""
    yield from map(unpack, path.read_bytes().splitlines())


def _without(group: Kept, meant: Callable[[Prediction], bool]) -> Kept:
    return replace(group, rows=[row for row in group.rows if not meant(row)])


def _frame(group: Kept) -> bytes:
    body = pack(group)
    return HEAD.pack(len(body), zlib.crc32(body), len(group.rows)) + body


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
        elif name in ARRAYS and value is not None:
            found[name] = np.frombuffer(base64.b64decode(value[1]), dtype=np.dtype(value[0]))
    return found


def _frames(file: int, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(body, rows, where it ends) of every whole frame."""
    while start + HEAD.size <= end:
        length, crc, rows = HEAD.unpack(os.pread(file, HEAD.size, start))
        body = os.pread(file, length, start + HEAD.size)
        if len(body) < length or zlib.crc32(body) != crc:
            return
        start += HEAD.size + length
        yield body, rows, start


def _locked(file: int, path: Path) -> bool:
    """Whether we hold the lock of this file, and the path still leads to it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file).st_ino == os.stat(path).st_ino
    except OSError:
        return False
