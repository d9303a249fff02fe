"""The store: every record of a workspace, in SQLite (WAL) or Postgres. The only room that speaks SQL.

Everything is written in one committed transaction before it is acknowledged, under a key that makes
writing it again harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Table, and_, func, or_, select, update

from core import schema
from core.database import parts
from core.errors import LabelError, StoreError
from core.keys import KeyTable
from core.records import (
    ANSWERED,
    LIVE,
    Annotation,
    AnnotationTask,
    Array,
    Decision,
    Feedback,
    Prediction,
    Rollout,
    Signal,
    Window,
)


class Store(KeyTable):
    """All records of one workspace. Raises StoreError when the database does not do its part."""

    def __init__(self, url: str) -> None:
        super().__init__(url, schema.metadata)
        found = self.get("schema")
        if found is None:
            self.set("schema", schema.VERSION)
        elif found != schema.VERSION:
            self.close()
            raise StoreError(
                "the store was made by another version of Everloop",
                where=self._where(),
                got=f"schema {found}",
                expected=f"schema {schema.VERSION}",
            )

    # -- the prediction log ---------------------------------------------------------------

    def log(self, predictions: Sequence[Prediction], encoder_passes: int = 0) -> None:
        """Write answers, and count what the encoder read for them, in one transaction."""
        with self._write() as db:
            self._insert(db, schema.predictions, [_prediction_row(p) for p in predictions])
            self._count(db, "encoder_passes.serving", encoder_passes)
            self._count(db, "texts.serving", sum(p.variant in ANSWERED for p in predictions))

    def known(self, request_ids: Sequence[str]) -> dict[str, Prediction]:
        """The answers already given to these requests: request id -> prediction (no arrays)."""
        t = schema.predictions
        rows: list[Any] = []
        with self._read() as db:
            for part in parts(request_ids):
                query = select(t).where(t.c.request_id.in_(part), t.c.variant.in_(ANSWERED))
                rows += db.execute(query).mappings().all()
        return {r["request_id"]: _prediction(r) for r in rows}

    def prediction(self, prediction_id: str) -> Prediction | None:
        t = schema.predictions
        with self._read() as db:
            row = db.execute(select(t).where(t.c.prediction_id == prediction_id)).mappings().first()
        return _prediction(row) if row else None

    def window(self, start: datetime, end: datetime) -> Window:
        """Every answered request of [start, end), in time order, with what is known of its truth."""
        p, a, k = schema.predictions, schema.annotations, schema.tasks
        joined = p.outerjoin(a, a.c.prediction_id == p.c.prediction_id)
        joined = joined.outerjoin(k, k.c.prediction_id == p.c.prediction_id)
        query = (
            select(p, a.c.label.label("truth"), k.c.audit, k.c.propensity)
            .select_from(joined)
            .where(p.c.timestamp >= start, p.c.timestamp < end, p.c.variant.in_(ANSWERED))
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            rows = db.execute(query).mappings().all()
        return _window(start, end, rows)

    def answers(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Answers and shadow answers of [start, end): request_id, model_version, variant, label,
        score, latency_ms, user_key, truth (of the request, whoever answered it), complained (the user
        did, of this answer, before `end`: thumbs down, or a correction to another label)."""
        p, a = schema.predictions, schema.annotations
        answered = p.alias("answered")
        truth = (
            select(answered.c.request_id, a.c.label.label("truth"))
            .join(a, a.c.prediction_id == answered.c.prediction_id)
            .where(answered.c.timestamp >= start, answered.c.timestamp < end)
            .subquery()
        )
        query = (
            select(
                p.c.request_id,
                p.c.model_version,
                p.c.variant,
                p.c.label,
                p.c.score,
                p.c.latency_ms,
                p.c.user_key,
                truth.c.truth,
                _complained(end).label("complained"),
            )
            .select_from(p.outerjoin(truth, truth.c.request_id == p.c.request_id))
            .where(p.c.timestamp >= start, p.c.timestamp < end)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many requests were answered in [start, end)."""
        t = schema.predictions
        query = select(func.count()).select_from(t).where(t.c.variant.in_(ANSWERED))
        query = query.where(t.c.timestamp >= start) if start else query
        query = query.where(t.c.timestamp < end) if end else query
        with self._read() as db:
            return int(db.execute(query).scalar_one())

    def give_feedback(self, items: Sequence[Feedback]) -> None:
        with self._write() as db:
            self._insert(db, schema.feedback, [asdict(f) for f in items])

    def feedback(self, start: datetime, end: datetime) -> list[Feedback]:
        t = schema.feedback
        query = select(t).where(t.c.timestamp >= start, t.c.timestamp < end)
        return self._records(query.order_by(t.c.timestamp, t.c.feedback_id), Feedback)

    # -- labels ---------------------------------------------------------------------------

    def add_tasks(self, tasks: Sequence[AnnotationTask]) -> None:
        known = {c.name for c in schema.tasks.columns}
        with self._write() as db:
            rows = [{k: v for k, v in asdict(t).items() if k in known} for t in tasks]
            self._insert(db, schema.tasks, rows)

    def open_tasks(self) -> list[AnnotationTask]:
        """Tasks without an annotation, oldest first, with text, the model's guess and the request."""
        a = schema.annotations
        query = self._tasks().where(~select(a).where(_same(a, schema.tasks)).exists())
        return self._records(query, AnnotationTask)

    def picked(self, start: datetime, end: datetime) -> int:
        """How many tasks were picked in [start, end): what a label budget counts."""
        t = schema.tasks
        query = select(func.count()).select_from(t).where(t.c.timestamp >= start, t.c.timestamp < end)
        with self._read() as db:
            return int(db.execute(query).scalar_one())

    def task_ids(self, prediction_ids: Sequence[str]) -> set[str]:
        """Which of these predictions are tasks."""
        t = schema.tasks.c.prediction_id
        found: set[str] = set()
        with self._read() as db:
            for part in parts(prediction_ids):
                found.update(db.execute(select(t).where(t.in_(part))).scalars())
        return found

    def labels_of(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """The labels that are known: prediction id -> label."""
        with self._read() as db:
            return _labels(db, prediction_ids)

    def annotate(self, annotations: Sequence[Annotation]) -> int:
        """Store annotations; returns how many are new. The same one again is harmless; another
        label for an annotated prediction raises LabelError and stores nothing."""
        ids = [a.prediction_id for a in annotations]
        with self._write() as db:
            before = _labels(db, ids)
            self._insert(db, schema.annotations, [asdict(a) for a in annotations])
            after = _labels(db, ids)  # where two write at once, the first one's
            for a in annotations:
                if after[a.prediction_id] != a.label:
                    raise LabelError(
                        "two labels for one prediction",
                        where=a.prediction_id,
                        got=a.label,
                        expected=after[a.prediction_id],
                    )
        return len(after) - len(before)

    def annotations(self) -> int:
        with self._read() as db:
            return int(db.execute(select(func.count()).select_from(schema.annotations)).scalar_one())

    def unclaimed(self) -> tuple[int, int]:
        """Annotations that no reservoir partition has taken: (for training, for audit)."""
        a, k = schema.annotations, schema.tasks
        query = (
            select(k.c.audit, func.count())
            .select_from(a.outerjoin(k, _same(a, k)))
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
        segments, user_key, policy, round, propensity, audit, annotator. Claiming again is harmless."""
        a, p, k = schema.annotations, schema.predictions, schema.tasks
        with self._write() as db:
            db.execute(
                update(a)
                .where(a.c.partition.is_(None), a.c.timestamp <= as_of)
                .values(partition=partition)
            )
        joined = a.join(p, _same(a, p)).outerjoin(k, _same(a, k))
        query = (
            select(
                p.c.prediction_id,
                p.c.timestamp,
                p.c.text,
                a.c.label,
                p.c.embedding,
                p.c.encoder,
                p.c.segments,
                p.c.user_key,
                func.coalesce(k.c.policy, "feedback").label("policy"),
                func.coalesce(k.c.round, "").label("round"),
                k.c.propensity,
                func.coalesce(k.c.audit, False).label("audit"),
                a.c.annotator,
            )
            .select_from(joined)
            .where(a.c.partition == partition)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    # -- what was seen and decided --------------------------------------------------------

    def put_signals(self, signals: Sequence[Signal]) -> None:
        with self._write() as db:
            self._replace(db, schema.signals, [asdict(s) for s in signals])

    def signals(self, since: datetime | None = None, name: str | None = None) -> list[Signal]:
        t = schema.signals
        query = select(t).order_by(t.c.window_end, t.c.name, t.c.segment)
        query = query.where(t.c.window_end >= since) if since else query
        query = query.where(t.c.name == name) if name else query
        return self._records(query, Signal)

    def decide(self, decisions: Sequence[Decision]) -> None:
        with self._write() as db:
            self._replace(db, schema.decisions, [asdict(d) for d in decisions])

    def decisions(self, stage: str | None = None, since: datetime | None = None) -> list[Decision]:
        t = schema.decisions
        query = select(t).order_by(t.c.timestamp, t.c.key)
        query = query.where(t.c.stage == stage) if stage else query
        query = query.where(t.c.timestamp >= since) if since else query
        return self._records(query, Decision)

    def put_rollout(self, rollout: Rollout) -> None:
        with self._write() as db:
            self._replace(db, schema.rollouts, [asdict(rollout)])

    def rollouts(self) -> list[Rollout]:
        """Every rollout, newest first."""
        t = schema.rollouts
        return self._records(select(t).order_by(t.c.started.desc(), t.c.rollout_id.desc()), Rollout)

    def live_rollout(self) -> Rollout | None:
        """The rollout under way, if one is."""
        t = schema.rollouts
        found: list[Rollout] = self._records(
            select(t).where(t.c.stage.in_(LIVE)).order_by(t.c.started.desc()).limit(1),
            Rollout,
        )
        return found[0] if found else None

    # -- steps, state, counters -----------------------------------------------------------

    def once(self, key: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a step, done only if it never finished. A step killed half-way runs again."""
        t = schema.steps
        with self._read() as db:
            done: dict[str, Any] | None = db.execute(
                select(t.c.result).where(t.c.key == key)
            ).scalar_one_or_none()
        if done is not None:
            return done
        result = step()
        with self._write() as db:
            self._insert(db, t, [{"key": key, "result": result}])
        return result

    def get(self, key: str) -> Any:
        with self._read() as db:
            return db.execute(
                select(schema.state.c.value).where(schema.state.c.key == key)
            ).scalar_one_or_none()

    def set(self, key: str, value: Any) -> None:
        with self._write() as db:
            self._replace(db, schema.state, [{"key": key, "value": value}])

    def counters(self) -> dict[str, int]:
        t = schema.counters
        with self._read() as db:
            return {r[0]: int(r[1]) for r in db.execute(select(t.c.name, t.c.value))}

    # -- embeddings of texts that were never served ---------------------------------------

    def embed(
        self, texts: Sequence[str], encoder: str, read: Callable[[list[str]], Array], purpose: str
    ) -> Array:
        """Embeddings (n, dim) float32 of texts, each read by the encoder once in the store's life.

        `purpose` names who asked, in the counters of encoder passes: initial and testing bring texts,
        new ones unless another encoder has read them; `reread` reads served and first texts again.
        """
        hashes = [text_hash(t) for t in texts]
        found = self._embeddings(hashes, encoder)
        missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in found}
        if missing:
            fresh = np.asarray(read(list(missing.values())), dtype=np.float16)
            rows = [
                {"text_hash": h, "encoder": encoder, "embedding": e.tobytes()}
                for h, e in zip(missing, fresh, strict=True)
            ]
            t = schema.embeddings.c.text_hash
            with self._write() as db:
                known = {h for part in parts(missing) for h in db.scalars(select(t).where(t.in_(part)))}
                self._insert(db, schema.embeddings, rows)
                self._count(db, f"encoder_passes.{purpose}", len(rows))
                new = len(rows) - len(known) if purpose != "reread" else 0
                self._count(db, f"texts.{purpose}", new)
            found.update(zip(missing, fresh, strict=True))
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([found[h] for h in hashes]).astype(np.float32)

    def _embeddings(self, hashes: Sequence[str], encoder: str) -> dict[str, Array]:
        t = schema.embeddings
        found: dict[str, Array] = {}
        with self._read() as db:
            for part in parts(hashes):
                query = select(t.c.text_hash, t.c.embedding)
                rows = db.execute(query.where(t.c.encoder == encoder, t.c.text_hash.in_(part)))
                found.update({r[0]: np.frombuffer(r[1], dtype=np.float16) for r in rows})
        return found

    def _count(self, db: Connection, name: str, by: int) -> None:
        if by:
            query = self._dialect.insert(schema.counters)
            plus = {"value": schema.counters.c.value + query.excluded.value}
            db.execute(
                query.on_conflict_do_update(index_elements=["name"], set_=plus),
                {"name": name, "value": by},
            )

    def _tasks(self) -> Any:
        k, p = schema.tasks, schema.predictions
        columns = (k, p.c.text, p.c.label.label("predicted"), p.c.request_id)
        query = select(*columns).join(p, _same(k, p))
        return query.order_by(k.c.timestamp, k.c.prediction_id)


def text_hash(text: str) -> str:
    """The 128-bit name of a text in caches and fences.

    >>> text_hash("hello")
    '46fb7408d4f285228f4af516ea25851b'
    """
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _labels(db: Connection, prediction_ids: Sequence[str]) -> dict[str, str]:
    t = schema.annotations
    found: dict[str, str] = {}
    for part in parts(prediction_ids):
        query = select(t.c.prediction_id, t.c.label).where(t.c.prediction_id.in_(part))
        found.update({r[0]: r[1] for r in db.execute(query)})
    return found


def _complained(end: datetime) -> Any:
    f, p = schema.feedback, schema.predictions
    down = and_(f.c.kind == "thumbs", f.c.value == "down")
    corrected = and_(f.c.kind == "correction", f.c.value != p.c.label)
    return select(f).where(_same(f, p), f.c.timestamp < end, or_(down, corrected)).exists()


def _same(left: Table, right: Table) -> Any:
    return left.c.prediction_id == right.c.prediction_id


def _prediction_row(p: Prediction) -> dict[str, Any]:
    row = {f.name: getattr(p, f.name) for f in fields(p)}
    row["probabilities"] = np.asarray(p.probabilities, dtype=np.float16).tobytes()
    if p.embedding is not None:
        row["embedding"] = np.asarray(p.embedding, dtype=np.float16).tobytes()
    return row


def _prediction(row: Any) -> Prediction:
    values = dict(row)
    values["probabilities"] = np.frombuffer(values["probabilities"], dtype=np.float16)
    if values["embedding"] is not None:
        values["embedding"] = np.frombuffer(values["embedding"], dtype=np.float16)
    return Prediction(**values)


def _window(start: datetime, end: datetime, rows: Sequence[Any]) -> Window:
    names = ["prediction_id", "request_id", "timestamp", "model_version", "variant", "text", "label"]
    names += ["score", "encoder", "user_key", "truth", "audit", "propensity"]
    frame = pd.DataFrame({n: [r[n] for r in rows] for n in names}, columns=names)
    frame["audit"] = [bool(r["audit"]) for r in rows]
    frame["propensity"] = pd.Series([r["propensity"] for r in rows], dtype=float)
    frame["truth"] = pd.Series([r["truth"] for r in rows], dtype=object)
    for name in sorted({k for r in rows for k in r["segments"]}):
        frame[f"segment.{name}"] = [r["segments"].get(name, "") for r in rows]
    raw = [np.frombuffer(r["embedding"], dtype=np.float16) for r in rows]
    dim = len(raw[-1]) if raw else 0
    embeddings = np.full((len(raw), dim), np.nan, dtype=np.float32)
    for i, e in enumerate(raw):
        if len(e) == dim:  # else it was made by an encoder of another size, before the newest
            embeddings[i] = e
    probabilities = [
        np.frombuffer(r["probabilities"], dtype=np.float16).astype(np.float32) for r in rows
    ]
    return Window(start, end, frame, embeddings, probabilities)
