"""Labels that are asked again: of somebody else, before a dataset takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import delete, func, select, update

from core import schema
from core.database import parts
from core.records import Array
from core.store.labels import same
from core.store.words import Words

_A, _P, _K, _V, _H = (
    schema.annotations,
    schema.predictions,
    schema.tasks,
    schema.votes,
    schema.relabelled,
)


@dataclass(frozen=True)
class Fresh:
    """A label that no dataset has taken."""

    prediction_id: str
    label: str  # as it is called
    annotator: str
    audit: bool
    encoder: str
    embedding: Array  # (dim,) float16
    seconded: bool  # a second person has looked at it


class Again(Words):
    """Labels on one person's word alone, and how they are asked again."""

    def fresh(self, as_of: datetime) -> list[Fresh]:
        """Annotations up to a time that no partition has taken, with an embedding, in order of time."""
        label = self._held(_A.c.label)
        agreed = (
            select(func.count())
            .where(same(_V, _A), _V.c.counted, _V.c.label.is_not(None))
            .scalar_subquery()
        )
        changed = select(_H).where(same(_H, _A), _H.c.annotator != _A.c.annotator).exists()
        query = (
            select(_A.c.prediction_id, label.label("label"), _A.c.annotator, _K.c.audit)
            .add_columns(_P.c.encoder, _P.c.embedding, ((agreed > 1) | changed).label("seconded"))
            .select_from(_A.join(_K, same(_A, _K)).join(_P, same(_A, _P)))
            .where(_A.c.partition.is_(None), _A.c.timestamp <= as_of)
            .where(_P.c.embedding.is_not(None), label.is_not(None))
            .order_by(_P.c.timestamp, _A.c.prediction_id)
        )
        with self._read() as db:
            return [
                Fresh(
                    prediction_id=r.prediction_id,
                    label=r.label,
                    annotator=r.annotator,
                    audit=bool(r.audit),
                    encoder=r.encoder,
                    embedding=np.frombuffer(r.embedding, np.float16),
                    seconded=bool(r.seconded),
                )
                for r in db.execute(query)
            ]

    def ask_again(self, prediction_ids: Sequence[str], annotator: str, now: datetime, why: str) -> int:
        """Hand these tasks to somebody else than their annotator; returns how many are.

        The label goes to the history, and the vote that it stood on becomes a skip with the reason.
        Datasets that have taken the label keep it; the next ones leave the row out (see `set_aside`)
        until it is answered. A label of another annotator by now stays."""
        done = 0
        for part in parts(prediction_ids):
            with self._write() as db:
                self._lock(db, part)
                logged = select(_P).where(same(_P, _A)).exists()  # who is asked must see the text
                here = select(_A).where(_A.c.prediction_id.in_(part), _A.c.annotator == annotator)
                found = db.execute(here.where(logged)).all()
                for row in found:
                    self._keep(db, row)
                ids = [r.prediction_id for r in found]
                skips = [
                    {"prediction_id": r.prediction_id, "annotator": r.annotator, "label": None}
                    | {"timestamp": now, "note": why, "counted": False}
                    for r in found
                ]
                db.execute(delete(_A).where(_A.c.prediction_id.in_(ids)))
                self._replace(db, _V, skips)
                db.execute(update(_K).where(_K.c.prediction_id.in_(ids)).values(unsettled=True))
                done += len(ids)
        return done

    def set_aside(self) -> list[str]:
        """Rows that datasets have taken and that are asked again: until somebody answers, the next ones
        leave them out."""
        answered = select(_A).where(same(_A, _H)).exists()
        query = select(_H.c.prediction_id).where(_H.c.partition != "", ~answered).distinct()
        with self._read() as db:
            return list(db.execute(query.order_by(_H.c.prediction_id)).scalars())
