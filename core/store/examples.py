"""What the labelling page shows beside a task: labelled texts, labels in use, what was done since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import func, select

from core import schema
from core.records import Array
from core.store.naming import Naming

_A, _P, _V = schema.annotations, schema.predictions, schema.votes


@dataclass(frozen=True, eq=False)
class Example:
    """A text with its label and the embedding that the log has of it."""

    prediction_id: str
    text: str
    label: str
    encoder: str
    embedding: Array  # (dim,) float16


class Examples(Naming):
    """Reads that cost the same however long the log is."""

    def examples(self, most: int) -> list[Example]:
        """Of the `most` newest annotations those whose embedding the log has, newest first, one size
        of embedding an encoder."""
        label = self._held(_A.c.label)
        newest = select(_A.c.prediction_id, label.label("label"), _A.c.timestamp)
        newest = newest.where(label.is_not(None))
        newest_ = (
            newest.order_by(_A.c.timestamp.desc(), _A.c.prediction_id.desc()).limit(most).subquery()
        )
        query = (
            select(_P.c.prediction_id, _P.c.text, newest_.c.label, _P.c.encoder, _P.c.embedding)
            .join(newest_, newest_.c.prediction_id == _P.c.prediction_id)
            .where(_P.c.embedding.is_not(None))
            .order_by(newest_.c.timestamp.desc(), _P.c.prediction_id.desc())
        )
        size: dict[str, int] = {}
        found = []
        with self._read() as db:
            for key, text, name, encoder, raw in db.execute(query):
                if len(raw) == size.setdefault(encoder, len(raw)):
                    found.append(
                        Example(key, text, name, encoder, np.frombuffer(raw, dtype=np.float16))
                    )
        return found

    def labels_in_use(self) -> list[str]:
        """Every label that an annotation or a vote gives, in order."""
        given, voted = (select(self._held(t.c.label)) for t in (_A, _V))
        with self._read() as db:
            return sorted(x for x in db.execute(given.union(voted)).scalars() if x is not None)

    def labels_answered(self) -> list[str]:
        """Every label that a model gave to a text which somebody was asked about."""
        asked = select(schema.tasks.c.prediction_id)
        query = select(self._called(_P.c.label)).where(_P.c.prediction_id.in_(asked)).distinct()
        with self._read() as db:
            return sorted(db.execute(query).scalars())

    def said_since(self, annotator: str, since: datetime) -> int:
        """Votes and skips of an annotator from this time on."""
        query = select(func.count()).where(_V.c.annotator == annotator, _V.c.timestamp >= since)
        with self._read() as db:
            return int(db.execute(query).scalar_one())
