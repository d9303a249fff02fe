"""`everloop` without its prediction log, to see what the log costs: python -m bench.unlogged serve ...

Not for use: it gives answers that nobody can ever look up.
"""

from concurrent.futures import Future

from core.store import Store
from everloop.__main__ import main
from serving.writer import Writer


def _forget(*_: object) -> Future[None]:
    """In place of what stores answers: the writer, or the store where an engine has no writer."""
    done = Future[None]()
    done.set_result(None)
    return done


if __name__ == "__main__":
    Writer.put = _forget  # type: ignore[method-assign, assignment]
    Store.log = _forget  # type: ignore[method-assign, assignment]
    main()
