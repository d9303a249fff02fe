"""Where answers go before they are given, and what of them may be stored."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from core.errors import StoreError
from core.kept import Kept
from core.records.answers import Prediction
from core.store import Store


class Log(Protocol):
    """The future of `put` is done when the rows are safe; a StoreError when they never will be."""

    def put(self, rows: list[Prediction], passes: int) -> Future[None]: ...

    def faults(self) -> tuple[str, ...]: ...

    def owes(self) -> bool: ...

    def able(self) -> bool: ...

    def close(self) -> None: ...


class LogPolicy(Protocol):
    """What of an answer may be stored, and how its text is stored."""

    @property
    def whole(self) -> bool: ...

    @property
    def texts(self) -> bool: ...

    @property
    def clean(self) -> Callable[[str], str]: ...

    def keep(self, rows: list[Prediction]) -> Kept: ...


class KeepAll:
    """Store every answer as it is."""

    whole = texts = True

    def clean(self, text: str) -> str:
        return text

    def keep(self, rows: list[Prediction]) -> Kept:
        return Kept(rows, sum(p.variant != "shadow" for p in rows))


class Commits:
    """A log without a thread or a spool: each batch is one transaction, in the caller's thread."""

    def __init__(self, store: Store, policy: LogPolicy) -> None:
        self._store, self._policy = store, policy

    def put(self, rows: list[Prediction], passes: int) -> Future[None]:
        done = Future[None]()
        try:
            self._store.answers.append([replace(self._policy.keep(rows), passes=passes)])
        except StoreError as fault:
            done.set_exception(fault)
        else:
            done.set_result(None)
        return done

    def faults(self) -> tuple[str, ...]:
        return ()

    def owes(self) -> bool:
        return False

    def able(self) -> bool:
        return True

    def close(self) -> None: ...
