"""What users say of answers, and what becomes of the labels among it where nobody was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    and_,
    case,
    cast,
    delete,
    func,
    null,
    or_,
    select,
)

from core import schema
from core.arrays import Array
from core.database import Database, among, insert_new, upsert
from core.records.answers import OPINIONS, TRUTHS, WRITTEN, Feedback
from core.records.labels import VERIFY
from core.store.details import as_input, table_of
from core.store.naming import Naming
from core.store.tasks import same
from core.tasks import RIGHT
from core.times import utc

_A, _P, _K, _W, _F = (
    schema.annotations,
    schema.predictions,
    schema.tasks,
    schema.weak_labels,
    schema.feedback,
)
INSTEAD = ("correction", "demonstration")  # what users say in place of an answer


@dataclass(frozen=True)
class Word:
    """What a user says that the label of an answer is."""

    prediction_id: str
    label: str  # as it is called
    kind: str
    source: str  # the caller as the server saw it; where none did, who is named
    timestamp: datetime
    answer: str  # what the model said
    encoder: str
    embedding: Array  # (dim,) float16; (0,) where there is none


@dataclass(frozen=True)
class Record:
    """What people found of one source's words, of those that they were asked about."""

    right: int
    wrong: int


@dataclass
class FeedbackRepository:
    """Feedback, and the labels in it that no dataset has taken yet."""

    database: Database
    naming: Naming

    def add(self, items: Sequence[Feedback]) -> None:
        with self.database.write() as db:
            insert_new(db, schema.feedback, [asdict(f) for f in items])

    def replace(self, item: Feedback) -> None:
        """Store a word in place of the one under its id."""
        with self.database.write() as db:
            upsert(db, schema.feedback, [asdict(item)])

    def take_back(self, feedback_id: str) -> None:
        """Delete a word; what was never said is harmless."""
        with self.database.write() as db:
            db.execute(delete(_F).where(_F.c.feedback_id == feedback_id))

    def within(self, start: datetime, end: datetime) -> list[Feedback]:
        """What was said in [start, end); the labels in it as they are called."""
        t = schema.feedback
        truth, value = t.c.kind.in_(TRUTHS), self.naming.called(t.c.value)
        columns = [c for c in t.columns if c is not t.c.value]
        said = case((truth, value), else_=t.c.value).label("value")
        query = select(*columns, said).where(t.c.timestamp >= start, t.c.timestamp < end)
        return self.database.records(query.order_by(t.c.timestamp, t.c.feedback_id), Feedback)

    def complained(self, start: datetime, end: datetime) -> set[str]:
        """The prediction ids of answers of [start, end) that their users complained of before `end`."""
        with self.database.read() as db:
            return complained(db, self.naming, start, end)

    def comments(self, prediction_id: str) -> list[str]:
        """What users wrote of an answer, and what they say it should be, in order of time."""
        mine = _F.c.prediction_id == prediction_id, _F.c.kind.in_(WRITTEN)
        query = select(_F.c.kind, _F.c.value).where(*mine).order_by(_F.c.timestamp, _F.c.feedback_id)
        before = {"comment": "", "demonstration": "It should be: "}
        return [before[kind] + text for kind, text in self.database.rows(query)]

    def names(self) -> Counter[str]:
        """How often users gave each label in feedback, under its name in the label set."""
        said = self.naming.called(_F.c.value).label(
            "said"
        )  # by its name: in Postgres each CASE is another
        query = select(said, func.count()).where(_F.c.kind.in_(TRUTHS)).group_by("said")
        return Counter({str(name): int(n) for name, n in self.database.rows(query)})

    def words(self, as_of: datetime, trust: Mapping[str, float], labels: Collection[str]) -> list[Word]:
        """The labels that feedback gives to answers which nobody was asked about and no dataset has, in
        order of time: of each answer the most trusted one, then the latest."""
        query = select(_P.c.prediction_id, _P.c.output, _P.c.encoder, _P.c.embedding)
        with self.database.read() as db:
            best = best_words(db, self.naming, as_of, trust, labels)
            answers = {r.prediction_id: r for r in among(db, query, _P.c.prediction_id, best)}
        found = [
            Word(
                key,
                row["label"],
                row["kind"],
                row["source"],
                row["timestamp"],
                self.naming.last(answers[key].output),
                answers[key].encoder,
                np.frombuffer(answers[key].embedding or b"", np.float16),
            )
            for key, row in best.items()
        ]
        return sorted(found, key=lambda w: (w.timestamp, w.prediction_id))

    def count(self) -> int:
        return int(self.database.value(select(func.count()).select_from(_F)))

    def opinions(self, until: datetime) -> list[dict[str, Any]]:
        """Thumbs, ratings and preferences up to a time, in order of time, with the request and the
        answer: id, row_id, timestamp, kind, value, source, caller, input, output, rejected (the output
        that is worse), user_key, encoder, embedding."""
        worse, d = _P.alias("worse"), table_of(self.naming.task.detail)
        compared = and_(_F.c.kind == "preference", worse.c.prediction_id == _F.c.value)
        query = (
            select(
                _F.c.feedback_id.label("id"),
                _F.c.prediction_id.label("row_id"),
                *(_F.c.timestamp, _F.c.kind, _F.c.value, _F.c.caller, source().label("source")),
                _P.c.text.label("input"),
                *(_P.c.output, _P.c.user_key),
                worse.c.output.label("rejected"),
                func.coalesce(_P.c.encoder, worse.c.encoder).label("encoder"),
                func.coalesce(_P.c.embedding, worse.c.embedding).label("embedding"),
                d.c.get("messages", null()).label("messages"),
            )
            .select_from(_F.join(_P, same(_F, _P)).outerjoin(worse, compared).outerjoin(d, same(d, _P)))
            .where(_F.c.timestamp <= until, _F.c.kind.in_(OPINIONS))
            .order_by(_F.c.timestamp, _F.c.feedback_id)
        )
        with self.database.read() as db:
            rows = [dict(row) for row in db.execute(query).mappings()]
        for row in rows:
            row["input"] = as_input(row.pop("messages"), row["input"])
        return rows

    def newest(self, until: datetime) -> datetime | None:
        """When something was said last, up to a time."""
        query = select(_F.c.timestamp).where(_F.c.timestamp <= until)
        found = self.database.value(query.order_by(_F.c.timestamp.desc()).limit(1))
        return found if found is None else utc(found)

    def words_taken(self) -> dict[tuple[str, str], int]:
        """How many words datasets have taken: (source, day as YYYY-MM-DD) -> words."""
        query = select(_F.c.prediction_id, source().label("source"), _F.c.timestamp)
        query = query.join(_W, and_(same(_F, _W), _F.c.kind == _W.c.kind))
        taken: dict[str, tuple[str, str]] = {}
        with self.database.read() as db:
            for key, who, when in db.execute(query.order_by(_F.c.timestamp, _F.c.feedback_id)):
                taken[key] = (who, f"{when:%Y-%m-%d}")
        return Counter(taken.values())

    def words_checked(self) -> dict[str, Record]:
        """Of each source: how many of its words people found right and wrong, where it was a word that
        they were asked about."""
        held, said = self.naming.held(_A.c.value), self.naming.called(_F.c.value)
        query = (
            select(source().label("whose"), held.label("held"), said.label("said"), func.count())
            .select_from(_F.join(_K, same(_F, _K)).join(_A, same(_F, _A)))
            .where(_K.c.policy == VERIFY, _F.c.kind.in_(TRUTHS), held.is_not(None))
            .group_by("whose", "held", "said")
        )
        found: dict[str, Record] = {}
        for who, label, word, n in self.database.rows(query):
            known, right = found.get(who, Record(0, 0)), self.naming.task.agree(label, word)
            new = (known.right + n, known.wrong) if right else (known.right, known.wrong + n)
            found[who] = Record(*new)
        return found

    def asked_since(self, start: datetime) -> int:
        """Tasks made after a time to check what users said."""
        query = select(func.count()).select_from(_K)
        return int(self.database.value(query.where(_K.c.policy == VERIFY, _K.c.timestamp > start)))

    def words_asked(self) -> int:
        """How many words wait for a person's answer."""
        answered = select(_A).where(same(_A, _K)).exists()
        query = select(func.count()).select_from(_K).where(_K.c.policy == VERIFY, ~answered)
        return int(self.database.value(query))


def complained(db: Connection, names: Naming, start: datetime, end: datetime) -> set[str]:
    """The prediction ids of answers of [start, end) that their users complained of before `end`: thumbs
    down, a low rating, or another answer in place of this one."""
    down = and_(_F.c.kind == "thumbs", _F.c.value == "down")
    rated = case((_F.c.kind == "rating", cast(_F.c.value, Float)), else_=1.0)  # Postgres reads no other
    said, output = names.called(_F.c.value), names.called(_P.c.output)
    corrected = and_(_F.c.kind.in_(INSTEAD), said != output)
    query = (
        select(_P.c.prediction_id, _F.c.kind, said.label("said"), output.label("output"))
        .join(_F, same(_F, _P))
        .where(_P.c.timestamp >= start, _P.c.timestamp < end, _F.c.timestamp < end)
        .where(or_(down, rated < RIGHT, corrected))
    )
    agree = names.task.agree  # the same answer may be written otherwise
    found = db.execute(query)
    return {str(i) for i, kind, x, y in found if kind not in INSTEAD or not agree(x, y)}


def best_words(
    db: Connection,
    names: Naming,
    as_of: datetime,
    trust: Mapping[str, float],
    labels: Collection[str],
) -> dict[str, dict[str, Any]]:
    """By prediction: its label, kind, source, timestamp and trust."""
    if not trust:
        return {}
    said = case((_F.c.kind == "thumbs", _P.c.output), else_=_F.c.value).label("label")
    unknown = [~select(t).where(same(t, _F)).exists() for t in (_A, _K, _W)]
    query = (
        select(_F.c.prediction_id, said, _F.c.kind, source().label("source"), _F.c.timestamp)
        .join(_P, same(_F, _P))
        .where(_F.c.timestamp <= as_of, _F.c.kind.in_(list(trust)), *unknown)
        .where(or_(_F.c.kind != "thumbs", _F.c.value == "up"))
        .order_by(_F.c.timestamp, _F.c.feedback_id)
    )
    best: dict[str, dict[str, Any]] = {}
    for row in db.execute(query).mappings():
        found = {**row, "label": names.last(row["label"]), "trust": trust[row["kind"]]}
        known = best.get(row["prediction_id"], {"trust": 0.0})
        able = not names.task.labelled or found["label"] in labels
        if able and found["trust"] >= known["trust"]:
            best[row["prediction_id"]] = found
    return best


def source() -> ColumnElement[str]:
    """Who gave a piece of feedback: the caller that the server saw, else who is named in it."""
    return case((_F.c.caller != "", _F.c.caller), else_=_F.c.source)
