from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window; where there is none, such tests are skipped before."""
    from tests.serving.labelling.label_reader import browsing

    with browsing() as found:
        yield found
