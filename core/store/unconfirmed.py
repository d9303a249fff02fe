"""Names that nobody has used yet: votes that wait until a name is confirmed, and users' words.

A mistyped cell must not make a class. So a vote under an unknown name is stored here, apart from the
votes that count, and is cast once the name is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import delete, func, select

from core import schema
from core.records import Vote
from core.store.naming import Naming

_U, _F = schema.unconfirmed, schema.feedback


class Unconfirmed(Naming):
    """What was said under names that are not known."""

    def put_aside(self, votes: Sequence[Vote]) -> None:
        """Store votes that wait; another one of the same annotator replaces the one that waited."""
        with self._write() as db:
            self._replace(db, _U, [asdict(v) for v in votes])

    def waiting(self) -> list[Vote]:
        """The votes that wait, under their names in the label set."""
        found = self._records(select(_U).order_by(_U.c.prediction_id, _U.c.annotator), Vote)
        return [
            Vote(v.prediction_id, v.annotator, self._name(v.label), v.timestamp, v.note) for v in found
        ]

    def let_go(self, votes: Iterable[Vote]) -> None:
        """These wait no longer: they were cast, or their annotators have said something else."""
        with self._write() as db:
            for v in votes:
                mine = (_U.c.prediction_id == v.prediction_id) & (_U.c.annotator == v.annotator)
                db.execute(delete(_U).where(mine))

    def names_said(self) -> Counter[str]:
        """How often users gave each label in feedback, under its name in the label set."""
        said = self._called(_F.c.value).label("said")  # by its name: in Postgres each CASE is another
        query = select(said, func.count()).where(_F.c.kind != "thumbs").group_by("said")
        with self._read() as db:
            return Counter({str(name): int(n) for name, n in db.execute(query)})
