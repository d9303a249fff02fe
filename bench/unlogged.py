"""`everloop` without its prediction log, to see what the log costs: python -m bench.unlogged serve ...

Not for use: it gives answers that nobody can ever look up.
"""

from core.store import Store
from everloop.__main__ import main


def _forget(*_: object) -> None:
    """In place of `Store.log`."""


if __name__ == "__main__":
    Store.log = _forget  # type: ignore[method-assign, assignment]
    main()
