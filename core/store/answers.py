"""The prediction log: answers as they are written, each group once, and as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, FromClause, delete, func, select

from core import schema
from core.database import Database, plain
from core.garbage import uncollected
from core.ids import uuid7_floor
from core.kept import Kept, Profile
from core.records.answers import ANSWERED, Detail, Prediction
from core.records.windows import Window, evenly
from core.store import frames, profiles
from core.store.details import table_of, whole_answers
from core.store.feedback import complained
from core.store.log import as_prediction, insert_answers, last_group, not_forgotten
from core.store.naming import Naming
from core.store.scores import all_scores, with_scores
from core.store.served import ServedAnswers
from core.store.state import count
from core.store.tasks import same

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_A_TIME = 5000


@dataclass
class AnswerRepository:
    """Answers, and what is known of their truth."""

    database: Database
    naming: Naming

    def log(self, predictions: Sequence[Prediction], encoder_passes: int = 0) -> None:
        """Write answers, and count what the encoder read for them, in one transaction."""
        texts = sum(p.variant in ANSWERED for p in predictions)
        self.append([Kept(predictions, texts, passes=encoder_passes)])

    def append(self, groups: Sequence[Kept], writer: str = "") -> None:
        """Write groups in one transaction. Under a writer's name a group that is in already, by its
        number, changes nothing; without one only its rows are safe to be written again. Rows that were
        forgotten while they waited elsewhere are left out."""
        with self.database.write() as db:
            last = last_group(db, writer) if writer else -1
            fresh = [g for g in groups if g.number > last]
            rows = not_forgotten(db, [p for g in fresh for p in g.rows])
            answers = [p for p in rows if p.variant in ANSWERED]
            shadows = [p for p in rows if p.variant not in ANSWERED]
            known = len(answers) - insert_answers(db, answers)
            insert_answers(db, shadows)
            profiles.add(db, writer, [p for g in fresh for p in g.profiles])
            passes, texts = sum(g.passes for g in fresh), sum(g.texts for g in fresh) - known
            count(db, {"encoder_passes.serving": passes, "texts.serving": texts})
            if writer:
                number = max([last, *(g.number for g in fresh)])
                plain(db, "UPDATE writers SET number = ? WHERE writer = ?", (number, writer))

    def forget_writer(self, writer: str) -> None:
        """A writer that will never write again needs no place."""
        with self.database.write() as db:
            db.execute(delete(schema.writers).where(schema.writers.c.writer == writer))

    def known(self, request_ids: Sequence[str]) -> dict[str, Prediction]:
        """The answers already given to these requests: request id -> prediction (no arrays)."""
        t = schema.predictions
        query = whole_answers(self._detail).where(t.c.variant.in_(ANSWERED))
        rows = self.database.among(query, t.c.request_id, request_ids)
        return {r.request_id: as_prediction(r, self._detail) for r in rows}

    def get(self, prediction_id: str) -> Prediction | None:
        key, query = schema.predictions.c.prediction_id, whole_answers(self._detail)
        rows = self.database.among(query, key, [prediction_id])
        return as_prediction(rows[0], self._detail) if rows else None

    def chats(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """What was asked, as JSON, where it is more than a text: prediction id -> messages."""
        if (column := table_of(self._detail).c.get("messages")) is None:
            return {}
        key = column.table.c.prediction_id
        found = self.database.among(select(key, column), key, prediction_ids)
        return {i: json.dumps(said, ensure_ascii=False) for i, said in found if said}

    def beside(self, answer: Prediction) -> list[Prediction]:
        """The other answers to its request, shadow ones too."""
        query, key = whole_answers(self._detail), schema.predictions.c.request_id
        rows = self.database.among(query, key, [answer.request_id])
        found = [as_prediction(r, self._detail) for r in rows]
        return [p for p in found if p.prediction_id != answer.prediction_id]

    @property
    def _detail(self) -> type[Detail]:
        return self.naming.task.detail

    def texts(self, row_ids: Iterable[str]) -> dict[str, str]:
        """The texts of these predictions, as far as the log has them."""
        p = schema.predictions.c
        rows = self.database.among(select(p.prediction_id, p.text), p.prediction_id, row_ids)
        return {str(i): str(text) for i, text in rows}

    def outputs(self, prediction_ids: Iterable[str]) -> dict[str, str]:
        """What these answers say, as far as the log has them."""
        p = schema.predictions.c
        query = select(p.prediction_id, self.naming.called(p.output))
        return {str(i): str(x) for i, x in self.database.among(query, p.prediction_id, prediction_ids)}

    def window(self, start: datetime, end: datetime, most: int | None = None) -> Window:
        """Every kept request of [start, end), in time order, with what is known of its truth.

        Where the log has more than `most` rows there, about so many: drawn evenly by the hash in their
        ids, so that they are the same rows whenever it is asked, and fewer are some of more.
        """
        share = 1.0 if most is None else min(1.0, most / max(1, self._logged(start, end)))
        drawn = [] if share == 1 else [_drawn(start, end, share)]
        return self._window(start, end, share, drawn)

    def labelled(self, start: datetime, end: datetime) -> Window:
        """The kept requests of [start, end) whose truth is known, in time order."""
        a = schema.annotations  # few: they are where to begin
        known = select(a.c.prediction_id).where(*_ids(a, start, end))
        return self._window(start, end, 1.0, [schema.predictions.c.prediction_id.in_(known)])

    def _window(
        self, start: datetime, end: datetime, share: float, only: list[ColumnElement[bool]]
    ) -> Window:
        p, a, k = schema.predictions, schema.annotations, schema.tasks
        d = table_of(self._detail)
        joined = p.outerjoin(a, a.c.prediction_id == p.c.prediction_id)
        joined = joined.outerjoin(k, k.c.prediction_id == p.c.prediction_id)
        query = (
            select(*frames.columns(self.naming))
            .select_from(with_scores(joined.outerjoin(d, same(d, p)), self.naming))
            .where(p.c.timestamp >= start, p.c.timestamp < end, p.c.variant.in_(ANSWERED), *only)
            .order_by(p.c.timestamp, p.c.prediction_id)
            .execution_options(stream_results=True)
        )
        with self.database.read() as db, uncollected():
            found = db.execute(query).partitions(ROWS_AT_A_TIME)
            return frames.window(start, end, found, share, self.naming.task)

    def _logged(self, start: datetime, end: datetime) -> int:
        """Rows of about [start, end), shadows too, counted without reading any."""
        return int(
            self.database.value(select(func.count()).where(*_ids(schema.predictions, start, end)))
        )

    def side_by_side(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Answers and shadow answers of [start, end): request_id, model_version, variant, output,
        confidence, latency_ms, user_key; truth of the request, whoever answered it, and score (None and
        NaN where nobody knows); complained (the user did, of this answer, before `end`: see
        core/store/feedback.py). Where the log keeps some requests more often than others, those that
        were drawn evenly; without those of which an answer is not finished."""
        import pandas as pd

        task, p, a = self.naming.task, schema.predictions, schema.annotations
        d, more = table_of(self._detail), frames.said(task)
        answered = p.alias("answered")
        truth = (
            select(answered.c.request_id, self.naming.held(a.c.value).label("truth"))
            .join(a, a.c.prediction_id == answered.c.prediction_id)
            .where(answered.c.timestamp >= start, answered.c.timestamp < end)
            .subquery()
        )
        query = (
            select(
                p.c.prediction_id,
                p.c.request_id,
                p.c.model_version,
                p.c.variant,
                self.naming.called(p.c.output).label("output"),
                p.c.confidence,
                p.c.latency_ms,
                p.c.user_key,
                p.c.propensity.label("kept"),
                schema.scores.c.value.label("score"),
                truth.c.truth,
                *(d.c[name] for name in more),
            )
            .select_from(
                with_scores(
                    p.outerjoin(truth, truth.c.request_id == p.c.request_id).outerjoin(d, same(d, p)),
                    self.naming,
                )
            )
            .where(p.c.timestamp >= start, p.c.timestamp < end)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self.database.read() as db:
            result = db.execute(query)
            rows = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
            unhappy = complained(db, self.naming, start, end)
        rows["complained"] = rows.pop("prediction_id").isin(unhappy)
        rows = rows[~rows["request_id"].isin(rows["request_id"][~task.finished(rows)])]
        rows["score"] = all_scores(task, rows["score"], rows["output"], rows["truth"])
        even = evenly(rows["request_id"], rows["kept"].to_numpy(dtype=float))
        return rows[even].drop(columns=["kept", *more]).reset_index(drop=True)

    def count(self, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many requests of [start, end) were kept."""
        t = schema.predictions
        query = select(func.count()).select_from(t).where(t.c.variant.in_(ANSWERED))
        query = query.where(t.c.timestamp >= start) if start else query
        query = query.where(t.c.timestamp < end) if end else query
        return int(self.database.value(query))

    def served(self, model_version: str) -> list[ServedAnswers]:
        """What a model answered, by variant; counted as it was written."""
        t = schema.served
        query = select(t).where(t.c.model_version == model_version).order_by(t.c.since)
        return self.database.records(query, ServedAnswers)

    def profiles(self, start: datetime, end: datetime) -> list[Profile]:
        """One profile of each hour of [start, end), version, variant and encoder, in that order; labels
        under their last names."""
        with self.database.read() as db:
            return profiles.read(db, start, end, self.naming)


def _ids(rows: FromClause, start: datetime, end: datetime) -> list[ColumnElement[bool]]:
    """The rows of [start, end) and of the rest of its last millisecond, by the time in their ids: the
    index has all that is asked for, and the rows, with their embeddings, are not touched."""
    after = uuid7_floor(end + timedelta(milliseconds=1))
    return [rows.c.prediction_id >= uuid7_floor(start), rows.c.prediction_id < after]


def _drawn(start: datetime, end: datetime, share: float) -> ColumnElement[bool]:
    """Rows whose id ends in a hash below `share`."""
    rows = schema.predictions.alias("drawn")
    end_of_id = func.substr(rows.c.prediction_id, 29)
    below = f"{int(share * 16**8):08x}"
    few = select(rows.c.prediction_id).where(*_ids(rows, start, end), end_of_id < below)
    return schema.predictions.c.prediction_id.in_(few)
