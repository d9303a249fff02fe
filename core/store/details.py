"""What only its task says of an answer: a record, in a table of its own beside the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Select, Table, select

from core import schema
from core.arrays import Array
from core.records.answers import ClassificationDetail, Detail
from core.store.tasks import same

TABLES = (schema.classification_details, schema.generation_details)
_BYTES = "probabilities"  # the one column that is an array


def table_of(detail: type[Detail]) -> Table:
    return TABLES[0] if detail is ClassificationDetail else TABLES[1]


def columns_of(ids: Sequence[str], details: Sequence[Detail]) -> list[Sequence[Any]]:
    """Details of one kind as the columns of their table."""
    names = [c.name for c in table_of(type(details[0])).columns][1:]
    return [ids, *([_stored(name, getattr(d, name)) for d in details] for name in names)]


def whole_answers(detail: type[Detail]) -> Select[Any]:
    """Answers with what their task says of them."""
    p, d = schema.predictions, table_of(detail)
    return select(p, *list(d.columns)[1:]).outerjoin(d, same(d, p))


def take_detail(detail: type[Detail], values: dict[str, Any]) -> Detail:
    """The record, of the columns of an answer; they are taken out."""
    names = [c.name for c in table_of(detail).columns][1:]
    found = {name: _read(name, values.pop(name)) for name in names}
    return detail(**{name: value for name, value in found.items() if value is not None})


def as_input(messages: Any, text: str) -> str:
    """An input as the reservoir has it: its text, or the messages as JSON."""
    return json.dumps(messages, ensure_ascii=False) if messages else text


def as_bytes(array: Array) -> bytes:
    return np.asarray(array, dtype=np.float16).tobytes()


def _stored(name: str, value: Any) -> Any:
    return as_bytes(value) if name == _BYTES else value


def _read(name: str, value: Any) -> Any:
    if name == _BYTES:
        return np.frombuffer(value or b"", dtype=np.float16)
    return tuple(value) if isinstance(value, list) else value
