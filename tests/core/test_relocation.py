"""A workspace that is copied or moved works where it is, and never touches the place it came from."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.relocation import folder_of
from core.workspace import Workspace
from everloop import stack
from flows.session import open_session
from pipelines.datasets.local import LOCAL
from tests.command_line import everloop

LATER = "2026-01-09"
ATTACH = """
import sys
from pathlib import Path
from flows.session import open_session
page = Path("attached.html")
page.write_text("a report")
session = open_session(Path(sys.argv[1]))
session.registry.attach(session.registry.versions()[-1].run_id, [page], {})
"""


def contents(root: Path) -> dict[str, str]:
    """Every file; of a database what it says, since SQLite moves that from its log when it likes."""
    files = (p for p in root.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm")))
    return {str(p.relative_to(root)): hashlib.md5(content(p)).hexdigest() for p in files}


def content(path: Path) -> bytes:
    if path.suffix != ".db":
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        return "\n".join(db.iterdump()).encode()


def addresses(root: Path) -> str:
    """All that MLflow's database says, and DVC's settings of this machine."""
    with closing(sqlite3.connect(root / ".everloop" / "mlflow.db")) as db:
        return "\n".join([*db.iterdump(), (root / LOCAL).read_text()])


def answers(root: Path, name: str) -> str:
    rows = root.parent / f"{name}.csv"
    rows.write_text(f"text\nwhere is my order {name}\n")
    ran = everloop("predict", rows, root.parent / f"{name}-out.csv", "-w", root, "--now", LATER)
    assert ran.code == 0, ran.err
    return ran.out


def asked(root: Path) -> None:
    """MLflow is asked for the versions."""
    session = open_session(root)
    session.registry.versions()
    session.store.close()


@pytest.fixture
def original(own: Path) -> Path:
    """A copy at rest: the first command that asks MLflow puts its addresses right."""
    answers(own, "first")
    asked(own)
    assert f"{own.as_uri()}/.everloop/artifacts/" in addresses(own)
    return own


def test_a_copy_leaves_the_original_alone(original: Path, tmp_path: Path) -> None:
    before = contents(original)
    copy = Path(shutil.copytree(original, tmp_path / "a copy", symlinks=True))
    assert ": 1 rows, 0 refused" in answers(copy, "copy")
    assert everloop("data", "verify", "-w", copy).code == 0
    # a process of its own: MLflow remembers where a run's files go, and copies have the same runs
    subprocess.run([sys.executable, "-c", ATTACH, copy], check=True, cwd=tmp_path)
    assert len(list(copy.glob(".everloop/artifacts/**/attached.html"))) == 1
    after = contents(original)
    assert {k for k in before | after if before.get(k) != after.get(k)} == set()
    assert str(original) not in addresses(copy)


def test_a_moved_one_works_without_the_place_it_was_made_at(original: Path, tmp_path: Path) -> None:
    moved = original.rename(tmp_path / "moved")
    assert ": 1 rows, 0 refused" in answers(moved, "moved")
    assert everloop("data", "list", "-w", moved).out == everloop("data", "list", "-w", moved).out
    asked(moved)
    assert (original.exists(), str(original) in addresses(moved)) == (False, False)


def test_a_tracking_database_elsewhere_stays_as_it_is(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{original}/.everloop/mlflow.db")
    before = addresses(original)
    copy = Path(shutil.copytree(original, tmp_path / "copy", symlinks=True))
    asked(copy)
    assert addresses(original) == before


def test_an_address_of_the_same_workspace_as_a_container_has_it(tmp_path: Path) -> None:
    artifacts = Workspace(tmp_path).artifacts
    assert folder_of("file:///srv/shop/.everloop/artifacts/1/m-2", artifacts) == artifacts / "1/m-2"
    assert folder_of("file:///mnt/a%20disk/1/m-2", artifacts) == Path("/mnt/a disk/1/m-2")
    assert folder_of("file:///srv/shop/.everloop/artifacts/1", None) == Path(
        "/srv/shop/.everloop/artifacts/1"
    )


def test_a_copy_of_a_scheduled_one_is_not_scheduled(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_healthy", lambda _: True)
    folder = stack._folder(own)
    (folder / "server.url").write_text("http://127.0.0.1:1/api\n/elsewhere/.everloop/prefect")
    assert stack._running(folder) is None
    (folder / "server.url").write_text(f"http://127.0.0.1:1/api\n{folder}")
    assert stack._running(folder) == "http://127.0.0.1:1/api"
