"""What the tests of the service and of its HTTP door share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.state import Champion
from core.store import Store
from core.workspace import Workspace
from everloop.init import init
from flows.session import Session, open_session
from pipelines.datasets.versions import make_version
from serving.service import Service
from tests.code.fake_models import Shelf
from tests.code.inbox import Inbox, listening
from tests.code.small_versions import ALL, first, plan, second_version


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.state.write(Champion("1"))
    yield store
    store.close()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def service(store: Store, shelf: Shelf) -> Service:
    return Service(store, shelf.load, max_text=100)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A workspace after two days of the loop."""
    from everloop.replay import run
    from tests.code.small_loop import job, make_session

    quiet = {"accuracy_floor": 0.0}  # so tiny a model is hardly ever right
    session = make_session(tmp_path_factory.mktemp("cli") / "shop", monitoring=quiet)
    run(session, job(days=2))
    session.store.close()
    return session


@pytest.fixture(scope="session")
def shop(made: Session) -> Path:
    """The same, for commands that only look."""
    return made.workspace.root


@pytest.fixture
def own(made: Session, tmp_path: Path) -> Path:
    """A copy of it, for commands that change something."""
    return Path(shutil.copytree(made.workspace.root, tmp_path / "own", symlinks=True))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without a model."""
    return init(tmp_path_factory.mktemp("cli") / "empty").root


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with listening() as box:
        yield box


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A workspace whose champion is a version that nobody loads."""
    found = open_session(init(tmp_path / "shop").root)
    found.store.state.write(Champion("1"))
    yield found
    found.store.close()


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window; where there is none, such tests are skipped before."""
    from tests.code.label_reader import browsing

    with browsing() as found:
        yield found
