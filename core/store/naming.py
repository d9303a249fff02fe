"""Labels are stored as they were said, and read as they are called.

    store.at(now).answers.window(start, end)     labels under their names of `now`
    store.answers.window(start, end)             as they were said, long ago or yesterday

Labels are renamed nowhere else: a repository that reads labels is handed a `Naming`, and reads each of
them through `called` or `held`. Every door takes labels in their normal form (core/label_names.py). An
older version did not: what its store holds in another form, `odd`, is read in the normal one.
Answers and what users say keep a last name when their label is gone: they were what they were, and are
right of nothing. A vote or annotation under a label that is gone says nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, null, select

from core import schema
from core.label_names import normal
from core.label_set import LabelSet
from core.tasks import Task


@dataclass(frozen=True)
class Naming:
    """What labels are called."""

    labels: LabelSet
    odd: frozenset[str]  # labels that are stored in another form than the normal one
    task: Task  # that says how right an answer is, once both are under their names

    def called(self, column: ColumnElement[str]) -> ColumnElement[Any]:
        """What an answer or a user's word is called; a label that is gone by its last name."""
        return self._mapped(column, self.labels.last)

    def held(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """What a vote or an annotation is called; NULL where its label is gone."""
        return self._mapped(column, self.labels.now)

    def last(self, label: str) -> str:
        """The same as `called`, of a value."""
        return self.labels.last(label)

    def now(self, label: str | None) -> str | None:
        """The same as `held`, of a value."""
        return None if label is None else self.labels.now(label)

    def _mapped(
        self, column: ColumnElement[Any], read: Callable[[str], str | None]
    ) -> ColumnElement[Any]:
        names = {x: read(x) for x in (*self.labels.gone, *self.odd)}
        changed = {old: null() if new is None else new for old, new in names.items() if old != new}
        return case(changed, value=column, else_=column) if changed else column


def find_odd(db: Connection) -> list[str]:
    """The labels of the store that are not in their normal form. Reads the whole log. What users said
    counts where it means a label that somebody gave: they say a lot."""
    p, a, v, r = schema.predictions, schema.annotations, schema.votes, schema.reviews
    given = (p.c.output, a.c.value, v.c.label, r.c.label)
    labels = {x for column in given for x in db.execute(select(column).distinct()).scalars()}
    said = set(db.execute(select(schema.feedback.c.value).distinct()).scalars())
    labels.discard(None)
    known = {normal(x) for x in labels}
    return sorted(x for x in labels | said if normal(x) != x and normal(x) in known)


def with_label(table: Table, label: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """The columns of a table, its label read as this."""
    return [label.label(c.name) if c.name in ("label", "value") else c for c in table.columns]
