"""Frozen records as the store keeps them: plain JSON values, times in ISO 8601."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from pydantic import TypeAdapter

R = TypeVar("R")


def plain(value: Any) -> Any:
    """A record, with all that is in it, as JSON has it.

    >>> plain({"at": datetime(2026, 1, 5), "of": (1, 2)})
    {'at': '2026-01-05T00:00:00', 'of': [1, 2]}
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "stored"):  # it says itself how
        return value.stored()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return value


def record(kind: type[R], stored: Any) -> R:
    """The record that was stored as this; fields that it does not have are left out."""
    found: R = _adapter(kind).validate_python(stored)  # type: ignore[arg-type]  # a class is hashable
    return found


class Remembered:
    """What a store remembers under one key. Every field has a default: a record without anything to say
    is what is read where nothing was stored, and is stored as null."""

    KEY: ClassVar[str]
    BARE: ClassVar[bool] = False  # its one field is stored as it is, without a name

    @classmethod
    def of(cls, stored: Any) -> Self:
        if stored is None:
            return cls()
        return record(cls, {fields(cls)[0].name: stored} if cls.BARE else stored)  # type: ignore[arg-type]

    def stored(self) -> Any:
        if self == type(self)():
            return None
        found = self.values()
        return next(iter(found.values())) if self.BARE else found

    def values(self) -> dict[str, Any]:
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
