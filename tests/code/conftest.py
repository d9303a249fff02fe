"""What the tests of the service and of its HTTP door share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.store import Store
from serving.service import Service
from tests.code.fake_models import Shelf


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.set("champion", "1")
    yield store
    store.close()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def service(store: Store, shelf: Shelf) -> Service:
    return Service(store, shelf.load, max_text=100, refresh_seconds=0)
