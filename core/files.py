"""Whole files: a reader sees the old file or the new one, never a part, also when a writer is killed.

Every file that is written in one go is written here. The bytes go to a hidden file beside the target,
reach the disk, and only then take the target's name (Pillai et al. 2014, "All File Systems Are Not
Created Equal", on why the order matters).
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NAME_CHARACTERS = 60  # of the target in the hidden name: 255 bytes are all a file name may have


@contextmanager
def whole_file(path: Path, *, durable: bool = True, mode: int | None = None) -> Iterator[Path]:
    """A place to write to; it becomes `path` when the block ends, and is gone when the block fails.

    With `durable` the file is on the disk on return; a cache that can be made again does without.
    Two writers of one file wait for each other. The file keeps its permissions, unless `mode` says
    others. A symbolic link is replaced, not followed: it may lead into the DVC cache, whose files must
    never change.
    """
    make_folder(path.parent, durable=durable)
    half = path.with_name(f".{path.name[:NAME_CHARACTERS]}.half")
    file = _alone(half)
    try:
        yield half
        _permit(file, path, mode)
        if durable:
            os.fsync(file)
        os.replace(half, path)
    except BaseException:  # Ctrl-C too: half a file is nobody's
        half.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    if durable:
        sync_folder(path.parent)


@contextmanager
def whole_text(path: Path) -> Iterator[IO[str]]:
    """The same as an open file of UTF-8 text; line ends are written as they come."""
    with (
        whole_file(path) as half,
        half.open("w", encoding="utf-8", newline="") as file,
    ):
        yield file


def write_whole(
    path: Path, content: str | bytes, *, durable: bool = True, mode: int | None = None
) -> Path:
    """The file with this content."""
    with whole_file(path, durable=durable, mode=mode) as half:
        half.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def make_folder(folder: Path, *, durable: bool = True) -> None:
    """The folder and those above it; a new one is on the disk when the one above it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent, durable=durable)
    folder.mkdir(exist_ok=True)
    if durable:
        sync_folder(folder.parent)


def share_content(path: Path, others: Iterable[Path]) -> None:
    """Make `path` another name of the first of the others whose bytes it has: they take their room
    once, and stay for as long as one name does. On a file system without hard links it stays a copy."""
    for other in others:
        with contextlib.suppress(OSError):
            if filecmp.cmp(path, other, shallow=False):
                link = path.with_name(f".{path.name[:NAME_CHARACTERS]}.link")
                link.unlink(missing_ok=True)
                os.link(other, link)
                os.replace(link, path)
                return


def sync_tree(folder: Path) -> None:
    """Files that another program wrote, with their folders, on the disk."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        sync_file(path)
    for inner in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        sync_folder(inner)
    sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """A new name is on the disk when its folder is."""
    with contextlib.suppress(OSError):  # a file system that cannot do it does it by itself
        held = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _alone(half: Path) -> int:
    """The hidden file, locked. What a killed writer left is written over; a living one has its turn."""
    while True:
        if half.is_symlink():
            half.unlink()
        file = os.open(half, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(half)):
                if os.access(half, os.W_OK):
                    return file
                half.unlink()  # another user's, who was killed
        os.close(file)  # the other writer gave it the name of its target


def _permit(file: int, path: Path, mode: int | None) -> None:
    if mode is None and path.exists() and not path.is_symlink():
        mode = stat.S_IMODE(path.stat().st_mode)
    if mode is not None:
        with contextlib.suppress(PermissionError):  # a file system without them
            os.fchmod(file, mode)
