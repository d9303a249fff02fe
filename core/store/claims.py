"""Which annotation is in which partition of the reservoir."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from sqlalchemy import func, select, union_all, update

from core import schema
from core.store.disputes import Disputes
from core.store.labels import same


class Claims(Disputes):
    """Annotations on their way into datasets: each goes into one partition, and one that was corrected
    goes into another one again."""

    def labels_by_partition(self) -> dict[str, int]:
        """How many annotations each reservoir partition took."""
        t = schema.annotations
        query = select(t.c.partition, func.count()).where(t.c.partition.is_not(None))
        with self._read() as db:
            return {str(p): int(n) for p, n in db.execute(query.group_by(t.c.partition))}

    def unclaimed(self) -> tuple[int, int]:
        """Annotations that no reservoir partition has taken: (for training, for audit)."""
        a, k = schema.annotations, schema.tasks
        query = (
            select(k.c.audit, func.count())
            .select_from(a.outerjoin(k, same(a, k)))
            .where(a.c.partition.is_(None))
            .group_by(k.c.audit)
        )
        with self._read() as db:
            counts = db.execute(query).all()
        audit = sum(int(n) for drawn, n in counts if drawn)
        return sum(int(n) for _, n in counts) - audit, audit

    def claim(self, partition: str, as_of: datetime) -> pd.DataFrame:
        """Give every unclaimed annotation up to `as_of` to a reservoir partition, and return the
        partition's rows: prediction_id, timestamp, text, label, embedding (float16 bytes), encoder,
        segments, user_key, policy, round, propensity, audit, annotator. Claiming again is harmless: a
        label that was corrected in between is in this partition as it was."""
        a, p, k, h = schema.annotations, schema.predictions, schema.tasks, schema.relabelled
        before = select(h).where(same(h, a), h.c.partition == partition).exists()
        with self._write() as db:
            db.execute(
                update(a)
                .where(a.c.partition.is_(None), a.c.timestamp <= as_of, ~before)
                .values(partition=partition)
            )
        took = union_all(
            *(
                select(t.c.prediction_id, t.c.label, t.c.annotator).where(t.c.partition == partition)
                for t in (a, h)
            )
        ).subquery()
        query = (
            select(
                p.c.prediction_id,
                p.c.timestamp,
                p.c.text,
                took.c.label,
                p.c.embedding,
                p.c.encoder,
                p.c.segments,
                p.c.user_key,
                func.coalesce(k.c.policy, "feedback").label("policy"),
                func.coalesce(k.c.round, "").label("round"),
                (k.c.propensity * p.c.propensity).label("propensity"),
                func.coalesce(k.c.audit, False).label("audit"),
                took.c.annotator,
            )
            .select_from(took.join(p, same(took, p)).outerjoin(k, same(took, k)))
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))
