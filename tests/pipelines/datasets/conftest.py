"""A workspace with one dataset version, and one with two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets.versions import make_version
from tests.pipelines.datasets.small_versions import ALL, first, plan, second_version


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with v0001; and below `later`, the same with v0002."""
    folder = tmp_path_factory.mktemp("made")
    workspace = init(folder / "one")
    workspace.params.write_text("datasets:\n  policy: all\n")
    make_version(workspace, first(), plan(1), ALL, None)
    shutil.copytree(folder / "one", folder / "two", symlinks=True)
    second_version(Workspace(folder / "two"))
    return folder


@pytest.fixture
def one(versions: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(versions / "one", tmp_path / "one", symlinks=True))


@pytest.fixture
def two(versions: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(versions / "two", tmp_path / "two", symlinks=True))
