"""`everloop` without its prediction log, to see what the log costs: python -m bench.unlogged serve ...

Not for use: it gives answers that nobody can ever look up.
"""

from concurrent.futures import Future

from everloop.__main__ import main
from serving.writer import Writer


def _forget(*_: object) -> Future[None]:
    """In place of the writer that stores answers."""
    done = Future[None]()
    done.set_result(None)
    return done


if __name__ == "__main__":
    Writer.put = _forget  # type: ignore[method-assign, assignment]  # the point of this file
    main()
