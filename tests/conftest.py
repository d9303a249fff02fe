"""Tests are offline, quiet, and never touch a user's git configuration. What several rooms share is here:
a store, a service over small models, workspaces before and after two days of the loop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.state import Champion
from core.store import Store
from everloop import progress
from everloop.__main__ import QUIET
from everloop.init import init
from flows.session import Session, open_session
from serving.service import Service
from tests.fake_models import Shelf
from tests.inbox import Inbox, listening

collect_ignore = ["pipelines/labeling/label_tools.py"]  # another environment runs it
progress.AFTER = 1e6  # a busy machine must not change what a command says
os.environ.update(QUIET)
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # a core for each process of pytest -n
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
os.environ["GIT_CONFIG_SYSTEM"] = os.devnull
for name in ("EVERLOOP_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this session would put into the user's home: exported encoders, made once, and trust."""
    os.environ["EVERLOOP_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))  # what is trusted


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
    from tests.small_loop import job, make_session

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
