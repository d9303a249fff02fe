"""Labels: the one settled truth about each prediction, and which dataset took it.

Each label goes into one partition of the reservoir; one that was corrected goes into another one again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Connection, func, select, update

from core import schema
from core.arrays import Array
from core.database import Database, among, insert_new
from core.errors import LabelError
from core.records.labels import Annotation
from core.store.claims import partition_rows, take_words, took
from core.store.details import as_input
from core.store.feedback import best_words
from core.store.naming import Naming
from core.store.scores import write_scores
from core.store.tasks import close_tasks, lock_tasks, same

if TYPE_CHECKING:
    import pandas as pd

SOME = 500  # labels that are scored in one transaction
_A, _P, _K, _V = schema.annotations, schema.predictions, schema.tasks, schema.votes
_H, _W, _S = schema.relabelled, schema.weak_labels, schema.scores


@dataclass(frozen=True, eq=False)
class Example:
    """A text with its label and the embedding that the log has of it."""

    prediction_id: str
    text: str
    label: str
    encoder: str
    embedding: Array  # (dim,) float16


@dataclass
class LabelRepository:
    """Annotations, one a prediction, on their way into datasets."""

    database: Database
    naming: Naming

    def of(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """The labels that are known: prediction id -> label."""
        with self.database.read() as db:
            found = _labels(db, prediction_ids).items()
        return {i: name for i, label in found if (name := self.naming.now(label)) is not None}

    def names(self) -> list[str]:
        """Every label that was given so far."""
        query = select(self.naming.held(schema.annotations.c.value)).distinct()
        return sorted(x for x in self.database.column(query) if x is not None)

    def annotate(self, annotations: Sequence[Annotation]) -> int:
        """Store annotations; returns how many are new. The same one again is harmless; another
        label for an annotated prediction raises LabelError and stores nothing."""
        ids = [a.prediction_id for a in annotations]
        with self.database.write() as db:
            lock_tasks(db, ids)
            before = _labels(db, ids)
            insert_new(db, schema.annotations, [asdict(a) for a in annotations])
            after = _labels(db, ids)  # where two write at once, the first one's
            for a in annotations:
                if not self._agree(after[a.prediction_id], a.value):
                    raise LabelError(
                        "two labels for one prediction",
                        where=a.prediction_id,
                        got=a.value,
                        expected=after[a.prediction_id],
                    )
            close_tasks(db, ids)
            write_scores(db, self.naming, [i for i in ids if i not in before])
        return len(after) - len(before)

    def _agree(self, one: str, other: str) -> bool:
        """Whether two labels are one, under the names that they have."""
        names = [self.naming.now(x) for x in (one, other)]
        known = [x for x in names if x is not None]
        return not known or (len(known) == 2 and self.naming.task.agree(*known))

    def rescore(self) -> int:
        """Score again what was scored under other names, or not at all; returns how many labels that
        were. Killed and called again, it goes on."""
        mark = self.naming.labels.fingerprint
        fresh = select(_S).where(same(_S, _A), _S.c.label_set == mark).exists()
        query = select(_A.c.prediction_id).join(_P, same(_P, _A)).order_by(_A.c.prediction_id)
        query = query.where(~fresh, self.naming.held(_A.c.value).is_not(None)).limit(SOME)
        done, last = 0, ""
        while True:
            with self.database.write() as db:
                found = list(db.execute(query.where(_A.c.prediction_id > last)).scalars())
                write_scores(db, self.naming, found)
            done += len(found)
            if len(found) < SOME:
                return done
            last = found[-1]

    def count(self) -> int:
        return int(self.database.value(select(func.count()).select_from(schema.annotations)))

    def audited(self, before: datetime, most: int) -> list[tuple[str, str, bytes]]:
        """Text, encoder and embedding (float16 bytes) of audit tasks of earlier rounds whose label no
        partition has taken, newest first. A round that is run again must not see its own."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(p.c.text, p.c.encoder, p.c.embedding)
            .select_from(k.join(p, same(k, p)).outerjoin(a, same(a, k)))
            .where(k.c.audit, k.c.timestamp < before, a.c.partition.is_(None))
            .order_by(k.c.timestamp.desc(), k.c.prediction_id)
            .limit(most)
        )
        return [(str(t), str(n), bytes(e or b"")) for t, n, e in self.database.rows(query)]

    def untrained(self) -> list[tuple[str, str, bytes]]:
        """Label, encoder and embedding (float16 bytes) of annotations to train on that no partition has
        taken, in order of time."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        label = self.naming.held(a.c.value)
        query = (
            select(label, p.c.encoder, p.c.embedding)
            .select_from(a.join(k, same(a, k)).join(p, same(k, p)))
            .where(~k.c.audit, a.c.partition.is_(None), p.c.embedding.is_not(None), label.is_not(None))
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        return [(str(name), str(n), bytes(e)) for name, n, e in self.database.rows(query)]

    def examples(self, most: int) -> list[Example]:
        """Of the `most` newest annotations those whose embedding the log has, newest first, one size
        of embedding an encoder."""
        label = self.naming.held(_A.c.value)
        newest = select(_A.c.prediction_id, label.label("label"), _A.c.timestamp)
        newest = newest.where(label.is_not(None)).limit(most)
        new = newest.order_by(_A.c.timestamp.desc(), _A.c.prediction_id.desc()).subquery()
        query = (
            select(_P.c.prediction_id, _P.c.text, new.c.label, _P.c.encoder, _P.c.embedding)
            .join(new, same(new, _P))
            .where(_P.c.embedding.is_not(None))
            .order_by(new.c.timestamp.desc(), _P.c.prediction_id.desc())
        )
        size: dict[str, int] = {}
        found = []
        for key, text, name, encoder, raw in self.database.rows(query):
            if len(raw) == size.setdefault(encoder, len(raw)):
                found.append(Example(key, text, name, encoder, np.frombuffer(raw, dtype=np.float16)))
        return found

    def in_use(self) -> list[str]:
        """Every label that an annotation or a vote gives, in order."""
        given, voted = (select(self.naming.held(c)) for c in (_A.c.value, _V.c.label))
        return sorted(x for x in self.database.column(given.union(voted)) if x is not None)

    def answered(self) -> list[str]:
        """Every label that a model gave to a text which somebody was asked about."""
        asked = select(schema.tasks.c.prediction_id)
        query = select(self.naming.called(_P.c.output)).where(_P.c.prediction_id.in_(asked)).distinct()
        return sorted(self.database.column(query))

    def by_partition(self, partitions: Sequence[str]) -> dict[str, int]:
        """How many annotations these reservoir partitions took, those that took any."""
        query = select(_A.c.partition, func.count()).where(_A.c.partition.in_(partitions))
        return {str(p): int(n) for p, n in self.database.rows(query.group_by(_A.c.partition))}

    def unclaimed(self) -> tuple[int, int]:
        """Annotations that no reservoir partition has taken: (for training, for audit)."""
        query = (
            select(_K.c.audit, func.count())
            .select_from(_A.outerjoin(_K, same(_A, _K)))
            .where(_A.c.partition.is_(None), self.naming.held(_A.c.value).is_not(None))
            .group_by(_K.c.audit)
        )
        counts = self.database.rows(query)
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
        partition's rows: prediction_id, timestamp, input, target, kind, embedding (float16 bytes),
        encoder, segments, user_key, policy, round, propensity, audit, annotator, trust.

        `trust`: the kinds of feedback that are labels too, where nobody was asked, with their trust in
        0..1; where answers are labels, those of `labels` only; and of the predictions in `only` where
        that is given. Claiming again is harmless: a label that was corrected in between is in this
        partition as it was. An annotation's label is as it was said, whatever it is called.
        """
        import pandas as pd

        there = [select(t).where(same(t, _A), t.c.partition == partition).exists() for t in (_H, _W)]
        unclaimed = [_A.c.partition.is_(None), _A.c.timestamp <= as_of, *(~t for t in there)]
        with self.database.write() as db:
            db.execute(update(_A).where(*unclaimed).values(partition=partition))
            best = best_words(db, self.naming, as_of, trust or {}, labels)
            take_words(db, partition, [w for i, w in best.items() if only is None or i in only])
        with self.database.read() as db:
            result = db.execute(partition_rows(partition, self.naming.task))
            rows = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
        asked = zip(rows.pop("messages"), rows["input"], strict=True)
        rows["input"] = [as_input(messages, text) for messages, text in asked]
        return rows

    def corrected(self, partition: str) -> dict[str, tuple[str, str]]:
        """The labels of a partition, and who gave them, whose texts only the reservoir has: first rows,
        and those that the log has forgotten. Row id -> (label, annotator)."""
        taken = took(partition, self.naming.task.kind)
        query = select(taken.c.prediction_id, taken.c.target, taken.c.annotator)
        with self.database.read() as db:
            found = db.execute(query.where(~select(_P).where(same(_P, taken)).exists()))
            return {str(r[0]): (str(r[1]), str(r[2])) for r in found}


def _labels(db: Connection, prediction_ids: Sequence[str]) -> dict[str, str]:
    t = schema.annotations
    query = select(t.c.prediction_id, t.c.value)
    return {str(i): str(x) for i, x in among(db, query, t.c.prediction_id, prediction_ids)}
