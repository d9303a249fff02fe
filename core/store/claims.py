"""Which label is in which partition of the reservoir."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    Connection,
    Subquery,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
    update,
)

from core import schema
from core.store.disputes import Disputes
from core.store.labels import same

WEAK = "feedback"  # policy and annotator of labels that came of feedback
_A, _P, _K, _H, _W, _F = (
    schema.annotations,
    schema.predictions,
    schema.tasks,
    schema.relabelled,
    schema.weak_labels,
    schema.feedback,
)


class Claims(Disputes):
    """Labels on their way into datasets: each goes into one partition, and one that was corrected goes
    into another one again."""

    def labels_by_partition(self, partitions: Sequence[str]) -> dict[str, int]:
        """How many annotations these reservoir partitions took, those that took any."""
        query = select(_A.c.partition, func.count()).where(_A.c.partition.in_(partitions))
        with self._read() as db:
            return {str(p): int(n) for p, n in db.execute(query.group_by(_A.c.partition))}

    def unclaimed(self) -> tuple[int, int]:
        """Annotations that no reservoir partition has taken: (for training, for audit)."""
        query = (
            select(_K.c.audit, func.count())
            .select_from(_A.outerjoin(_K, same(_A, _K)))
            .where(_A.c.partition.is_(None), self._held(_A.c.label).is_not(None))
            .group_by(_K.c.audit)
        )
        with self._read() as db:
            counts = db.execute(query).all()
        audit = sum(int(n) for drawn, n in counts if drawn)
        return sum(int(n) for _, n in counts) - audit, audit

    def claim(
        self,
        partition: str,
        as_of: datetime,
        trust: Mapping[str, float] | None = None,
        labels: Collection[str] = (),
    ) -> pd.DataFrame:
        """Give every unclaimed annotation up to `as_of` to a reservoir partition, and return the
        partition's rows: prediction_id, timestamp, text, label, embedding (float16 bytes), encoder,
        segments, user_key, policy, round, propensity, audit, annotator, trust.

        `trust`: the kinds of feedback that are labels too, where nobody was asked, with their trust in
        0..1; those of `labels` only. Claiming again is harmless: a label that was corrected in between
        is in this partition as it was. An annotation's label is as it was said, whatever it is called.
        """
        there = [select(t).where(same(t, _A), t.c.partition == partition).exists() for t in (_H, _W)]
        unclaimed = [_A.c.partition.is_(None), _A.c.timestamp <= as_of, *(~t for t in there)]
        with self._write() as db:
            db.execute(update(_A).where(*unclaimed).values(partition=partition))
            self._trust(db, partition, as_of, trust or {}, labels)
        took = _took(partition)
        asked = and_(same(took, _K), ~took.c.weak)
        query = (
            select(
                _P.c.prediction_id,
                _P.c.timestamp,
                _P.c.text,
                took.c.label,
                _P.c.embedding,
                _P.c.encoder,
                _P.c.segments,
                _P.c.user_key,
                func.coalesce(_K.c.policy, WEAK).label("policy"),
                func.coalesce(_K.c.round, "").label("round"),
                (_K.c.propensity * _P.c.propensity).label("propensity"),
                func.coalesce(_K.c.audit, False).label("audit"),
                took.c.annotator,
                took.c.trust,
            )
            .select_from(took.join(_P, same(took, _P)).outerjoin(_K, asked))
            .order_by(_P.c.timestamp, _P.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    def corrected(self, partition: str) -> dict[str, tuple[str, str]]:
        """The labels of a partition, and who gave them, whose texts only the reservoir has: first rows,
        and those that the log has forgotten. Row id -> (label, annotator)."""
        took = _took(partition)
        query = select(took.c.prediction_id, took.c.label, took.c.annotator)
        with self._read() as db:
            found = db.execute(query.where(~select(_P).where(same(_P, took)).exists()))
            return {str(r[0]): (str(r[1]), str(r[2])) for r in found}

    def _trust(
        self,
        db: Connection,
        partition: str,
        as_of: datetime,
        trust: Mapping[str, float],
        labels: Collection[str],
    ) -> None:
        """Take the feedback that is trusted: of each prediction the most trusted, then the latest."""
        if not trust:
            return
        said = case((_F.c.kind == "thumbs", _P.c.label), else_=_F.c.value).label("label")
        unknown = [~select(t).where(same(t, _F)).exists() for t in (_A, _K, _W)]
        query = (
            select(_F.c.prediction_id, said, _F.c.kind)
            .join(_P, same(_F, _P))
            .where(_F.c.timestamp <= as_of, _F.c.kind.in_(list(trust)), *unknown)
            .where(or_(_F.c.kind != "thumbs", _F.c.value == "up"))
            .order_by(_F.c.timestamp, _F.c.feedback_id)
        )
        best: dict[str, dict[str, Any]] = {}
        for key, label, kind in db.execute(query):
            label = self.labels.last(label)
            if label in labels and trust[kind] >= best.get(key, {"trust": 0.0})["trust"]:
                best[key] = {"prediction_id": key, "label": label, "kind": kind, "trust": trust[kind]}
        self._insert(db, _W, [{**row, "partition": partition} for row in best.values()])


def _took(partition: str) -> Subquery:
    """The labels of a partition, as they were when it took them."""
    asked = (
        select(
            t.c.prediction_id,
            t.c.label,
            t.c.annotator,
            literal(1.0).label("trust"),
            false().label("weak"),
        ).where(t.c.partition == partition)
        for t in (_A, _H)
    )
    weak = select(_W.c.prediction_id, _W.c.label, literal(WEAK), _W.c.trust, true())
    return union_all(*asked, weak.where(_W.c.partition == partition)).subquery()
