"""Which label is in which partition of the reservoir."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    Subquery,
    and_,
    false,
    func,
    literal,
    select,
    true,
    union_all,
    update,
)

from core import schema
from core.store.again import Again
from core.store.labels import same

if TYPE_CHECKING:
    import pandas as pd

WEAK = "feedback"  # policy and annotator of labels that came of feedback
_A, _P, _K, _H, _W = (
    schema.annotations,
    schema.predictions,
    schema.tasks,
    schema.relabelled,
    schema.weak_labels,
)


class Claims(Again):
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
        only: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Give every unclaimed annotation up to `as_of` to a reservoir partition, and return the
        partition's rows: prediction_id, timestamp, text, label, embedding (float16 bytes), encoder,
        segments, user_key, policy, round, propensity, audit, annotator, trust.

        `trust`: the kinds of feedback that are labels too, where nobody was asked, with their trust in
        0..1; those of `labels` only, and of the predictions in `only` where that is given. Claiming
        again is harmless: a label that was corrected in between is in this partition as it was. An
        annotation's label is as it was said, whatever it is called.
        """
        import pandas as pd

        there = [select(t).where(same(t, _A), t.c.partition == partition).exists() for t in (_H, _W)]
        unclaimed = [_A.c.partition.is_(None), _A.c.timestamp <= as_of, *(~t for t in there)]
        with self._write() as db:
            db.execute(update(_A).where(*unclaimed).values(partition=partition))
            best = self._best(db, as_of, trust or {}, labels)
            self._take(db, partition, [w for i, w in best.items() if only is None or i in only])
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

    def _take(self, db: Connection, partition: str, words: Sequence[Mapping[str, Any]]) -> None:
        """Users' words become labels of a partition."""
        names = ("prediction_id", "label", "kind", "trust")
        self._insert(db, _W, [{**{n: w[n] for n in names}, "partition": partition} for w in words])


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
