"""Tests are offline, quiet, and never touch a user's git configuration."""

from __future__ import annotations

import os

import pytest

from everloop import progress
from everloop.__main__ import QUIET

collect_ignore = ["label_tools.py"]  # another environment runs it
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
