"""What servers of earlier versions left on disk is taken over, once.

One `WRITER.spool` a server, locked (flock) while it lives. A frame is its length, its CRC-32 and its
number of rows (12 bytes, little-endian), then the group; one cut short by a crash was never
acknowledged. `WRITER.refused.jsonl` has what the store never took, a group a line.
"""

from __future__ import annotations

import fcntl
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from core.kept import Kept
from core.records.answers import Prediction
from core.store.spool import Spool, unpack

HEAD = struct.Struct("<III")
REFUSED = ".refused.jsonl"


def take_over(folder: Path) -> None:
    """Move what is there into the spool; the file of a server that still runs stays."""
    for path in files(folder):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            writer = path.name.removesuffix(REFUSED).removesuffix(".spool")
            why = "refused by the store" if path.name.endswith(REFUSED) else None
            with closing(Spool(folder)) as spool:
                spool.append(writer, list(_groups(path)), why)
            path.unlink()


def files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.spool"), *folder.glob(f"*{REFUSED}")])


def rows(path: Path) -> Iterator[Prediction]:
    """The answers that a file holds by now, whoever owns it."""
    return (row for group in _groups(path) for row in group.rows)


def _groups(path: Path) -> Iterator[Kept]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:  # taken over meanwhile
        raw = b""
    bodies = raw.splitlines() if path.name.endswith(REFUSED) else _frames(raw)
    return map(unpack, bodies)


def _frames(raw: bytes) -> Iterator[bytes]:
    """The body of every whole frame."""
    at = 0
    while at + HEAD.size <= len(raw):
        length, crc, _ = HEAD.unpack_from(raw, at)
        body = raw[at + HEAD.size : at + HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != crc:
            return
        yield body
        at += HEAD.size + length
