"""When not to look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cycles while many objects are made that all stay: an import, a day of rows.

    The collector walks everything again whenever a quarter more is there; that was a quarter of an
    import's time, and a twentieth of a monitoring pass.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
