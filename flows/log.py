"""The prediction log of a server, as params.yaml describes it."""

from __future__ import annotations

from core.store import Store
from flows.session import Session
from serving.metrics import Metrics
from serving.writer import LogPromise, Writer


def open_writer(session: Session, store: Store, metrics: Metrics) -> Writer:
    """`store`: one that gives up soon when it is locked, `Store(url, busy=1)`.

    Raises ParamsError when `logging.redact_with` names no function.
    """
    logging = session.strategy.logging
    _ = logging.clean  # better known now than at the first answer
    promise = LogPromise(logging.durability)
    return Writer(store, logging.keep, session.workspace.spool, metrics, promise)
