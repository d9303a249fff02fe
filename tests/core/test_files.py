"""Whole files: a reader sees the old one or the new one, whoever writes and whatever happens to them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from core.files import whole_file, whole_text, write_whole
from everloop.init import init
from pipelines.datasets.versions import make_version
from tests import ROOT
from tests.pipelines.datasets.small_versions import ALL, first, plan

WRITER = """
import sys
from pathlib import Path
from core.files import write_whole
for _ in range(60):
    write_whole(Path(sys.argv[1]), sys.argv[2] * 100_000, durable=False)
"""
KILLED = """
import os, sys
from pathlib import Path
from core.files import whole_text
with whole_text(Path(sys.argv[1])) as file:
    file.write("half a fi")
    file.flush()
    os._exit(9)
"""


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments])


def test_a_file_is_there_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a" / "b" / "c.txt", "é\r\n")
    assert (path.read_bytes(), names(path.parent)) == (b"\xc3\xa9\r\n", ["c.txt"])


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(path) as half:
            half.write_text("new")
            raise ValueError("no room")

    path = write_whole(tmp_path / "c.txt", "old")
    with pytest.raises(ValueError, match="no room"):
        fail()
    assert (path.read_text(), names(tmp_path)) == ("old", ["c.txt"])


def test_permissions_stay_and_a_new_file_has_the_usual_ones(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "c.txt", "old")
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    path.chmod(0o640)
    write_whole(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    write_whole(path, "new", mode=0o755)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    kept = write_whole(tmp_path / "cache", "kept")
    link = tmp_path / "link"
    link.symlink_to(kept)
    (tmp_path / ".link.half").symlink_to(kept)  # somebody's trap where the hidden file goes
    write_whole(link, "new")
    assert (link.is_symlink(), link.read_text(), kept.read_text()) == (False, "new", "kept")


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = write_whole(tmp_path / ("é" * 127), "x")
    assert path.read_text() == "x"


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    writers = [python(WRITER, str(path), letter) for letter in "abc"]
    assert [w.wait(timeout=120) for w in writers] == [0, 0, 0]
    assert (path.read_text() in {x * 100_000 for x in "abc"}, names(tmp_path)) == (True, ["c.txt"])


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "c.txt", "old")
    assert python(KILLED, str(path)).wait(timeout=120) == 9
    assert (path.read_text(), names(tmp_path)) == ("old", [".c.txt.half", "c.txt"])
    with whole_text(path) as file:
        file.write("new")
    assert (path.read_text(), names(tmp_path)) == ("new", ["c.txt"])


def test_the_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    def replaced(old: Path, new: Path) -> None:
        done.append("name")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_whole(tmp_path / "new" / "c.txt", "x")
    assert done == ["folder", "file", "name", "folder"]
    write_whole(tmp_path / "new" / "cache.txt", "x", durable=False)
    assert done[4:] == ["name"]


def test_a_version_is_on_the_disk_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition, and DVC's own copies of it: what a version that was made consists of."""
    synced: set[int] = set()
    sync = os.fsync

    def counted(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        sync(file)

    monkeypatch.setattr(os, "fsync", counted)
    place = init(tmp_path / "shop")
    place.params.write_text("datasets:\n  policy: all\n")
    make_version(place, first(), plan(1), ALL, None)
    kept = [
        *place.reservoir.rglob("*.parquet"),
        *(place.root / ".dvc" / "cache" / "files").rglob("??/*"),
        place.version_file,
    ]
    assert len(kept) > 4
    assert [p for p in kept if p.is_file() and p.stat().st_ino not in synced] == []


def test_only_one_place_renames_files() -> None:
    """A twin of the whole-file writer would be found here. Folders and finished files are moved below."""
    allowed = {
        "core/files.py",
        "core/registry.py",
        "pipelines/datasets/versions.py",
        "serving/batch.py",
    }
    root = ROOT
    rooms = ("core", "pipelines", "monitoring", "serving", "flows", "everloop")
    files = (p for room in rooms for p in (root / room).rglob("*.py"))
    found = {str(p.relative_to(root)) for p in files if "os.replace(" in p.read_text("utf-8")}
    assert found <= allowed
