"""Labels are stored as they were said, and read as they are called.

    store.at(now).window(start, end)     labels under their names of `now`
    store.window(start, end)             as they were said, long ago or yesterday

This is the one place that knows of it: every other read of a label goes through `_called` or `_held`.
Every door takes labels in their normal form (core/label_names.py). An older version did not: what its
store holds in another form, `odd`, is read in the normal one.
Answers and what users say keep a last name when their label is gone: they were what they were, and are
right of nothing. A vote or annotation under a label that is gone says nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any, Self

from sqlalchemy import ColumnElement, Table, case, null, select

from core import schema
from core.database import Database
from core.label_names import normal
from core.label_set import LabelSet, Names


class Naming(Database):
    """What labels are called."""

    labels = LabelSet()
    odd: frozenset[str] = frozenset()  # labels that are stored in another form than the normal one
    names: Names = staticmethod(lambda _now: LabelSet())

    def at(self, now: datetime) -> Self:
        """This store with its labels under their names at a time. Raises LabelError."""
        return self.under(self.names(now))

    def under(self, labels: LabelSet) -> Self:
        """This store with its labels under their names in a label set."""
        if labels == self.labels:
            return self
        view = copy(self)
        view.labels = labels
        return view

    def _called(self, column: ColumnElement[str]) -> ColumnElement[Any]:
        """What an answer or a user's word is called; a label that is gone by its last name."""
        return self._mapped(column, self.labels.last)

    def _held(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """What a vote or an annotation is called; NULL where its label is gone."""
        return self._mapped(column, self.labels.now)

    def _name(self, label: str | None) -> str | None:
        """The same as `_held`, of a value."""
        return None if label is None else self.labels.now(label)

    def _mapped(
        self, column: ColumnElement[Any], read: Callable[[str], str | None]
    ) -> ColumnElement[Any]:
        names = {x: read(x) for x in (*self.labels.gone, *self.odd)}
        changed = {old: null() if new is None else new for old, new in names.items() if old != new}
        return case(changed, value=column, else_=column) if changed else column

    def _find_odd(self) -> list[str]:
        """The labels of the store that are not in their normal form. Reads the whole log. What users
        said counts where it means a label that somebody gave: they say a lot."""
        given = (schema.predictions, schema.annotations, schema.votes, schema.reviews)
        with self._read() as db:
            labels = {x for t in given for x in db.execute(select(t.c.label).distinct()).scalars()}
            said = set(db.execute(select(schema.feedback.c.value).distinct()).scalars())
        labels.discard(None)
        known = {normal(x) for x in labels}
        return sorted(x for x in labels | said if normal(x) != x and normal(x) in known)


def with_label(table: Table, label: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """The columns of a table, its label read as this."""
    return [label.label(c.name) if c.name == "label" else c for c in table.columns]
