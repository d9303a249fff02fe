"""Frozen records as the store keeps them: plain JSON values, times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")
SCALARS: dict[Any, Any] = {str: str, bool: bool, int: int, float: (int, float)}


def plain(value: Any) -> Any:
    """A record, with all that is in it, as JSON has it.

    >>> plain({"at": datetime(2026, 1, 5), "of": (1, 2)})
    {'at': '2026-01-05T00:00:00', 'of': [1, 2]}
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "stored"):  # it says itself how
        return value.stored()
    if hasattr(value, "tolist"):  # an array
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    return value


def record(kind: type[R], stored: Any) -> R:
    """The record that was stored as this; values that it has no field for are left out. Raises
    ValueError where a value is of another type. Pydantic would do it too, and take a tenth of a second
    to be imported, which a short command does not have."""
    found: R = _made(kind, stored)
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


def _made(kind: Any, value: Any) -> Any:
    """
    >>> _made(dict[str, list[datetime] | None], {"a": ["2026-01-05"], "b": None})
    {'a': [datetime.datetime(2026, 1, 5, 0, 0)], 'b': None}
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        some = [k for k in inner if k is not NoneType]
        return None if value is None else _made(some[0], value)
    if origin in (list, Sequence):
        return [_made(inner[0], v) for v in _checked(list, value)]
    if origin in (dict, Mapping):
        return {k: _made(inner[1], v) for k, v in _checked(dict, value).items()}
    if kind is datetime:
        return datetime.fromisoformat(_checked(str, value))
    if is_dataclass(kind):
        make: Any = kind
        types = _types(make)
        here = {n: v for n, v in _checked(dict, value).items() if n in types}
        return make(**{n: _made(types[n], v) for n, v in here.items()})
    return _checked(SCALARS[kind], value) if kind in SCALARS else value


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} where {kind} belongs")
    return value


@cache
def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}
