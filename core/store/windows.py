"""The prediction log as it is read: windows of traffic, answers side by side, counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import and_, func, or_, select

from core import schema
from core.database import Database
from core.records import ANSWERED, Window, evenly


class Windows(Database):
    """Reads what `Predictions` wrote, with what is known of its truth."""

    def window(self, start: datetime, end: datetime) -> Window:
        """Every kept request of [start, end), in time order, with what is known of its truth."""
        p, a, k = schema.predictions, schema.annotations, schema.tasks
        joined = p.outerjoin(a, a.c.prediction_id == p.c.prediction_id)
        joined = joined.outerjoin(k, k.c.prediction_id == p.c.prediction_id)
        query = (
            select(p, a.c.label.label("truth"), k.c.audit, k.c.propensity.label("picked"))
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
        did, of this answer, before `end`: thumbs down, or a correction to another label). Where the log
        keeps some requests more often than others, those that were drawn evenly."""
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
                p.c.propensity.label("kept"),
                truth.c.truth,
                _complained(end).label("complained"),
            )
            .select_from(p.outerjoin(truth, truth.c.request_id == p.c.request_id))
            .where(p.c.timestamp >= start, p.c.timestamp < end)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            rows = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
        even = evenly(rows["request_id"], rows["kept"].to_numpy(dtype=float))
        return rows[even].drop(columns="kept").reset_index(drop=True)

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many requests of [start, end) were kept."""
        t = schema.predictions
        query = select(func.count()).select_from(t).where(t.c.variant.in_(ANSWERED))
        query = query.where(t.c.timestamp >= start) if start else query
        query = query.where(t.c.timestamp < end) if end else query
        with self._read() as db:
            return int(db.execute(query).scalar_one())


def _complained(end: datetime) -> Any:
    f, p = schema.feedback, schema.predictions
    down = and_(f.c.kind == "thumbs", f.c.value == "down")
    corrected = and_(f.c.kind == "correction", f.c.value != p.c.label)
    about = f.c.prediction_id == p.c.prediction_id
    return select(f).where(about, f.c.timestamp < end, or_(down, corrected)).exists()


def _window(start: datetime, end: datetime, rows: Sequence[Any]) -> Window:
    names = ["prediction_id", "request_id", "timestamp", "model_version", "variant", "text", "label"]
    names += ["score", "encoder", "user_key", "truth"]
    frame = pd.DataFrame({n: [r[n] for r in rows] for n in names}, columns=names)
    frame["audit"] = [bool(r["audit"]) for r in rows]
    frame["kept"] = pd.Series([r["propensity"] for r in rows], dtype=float)
    frame["propensity"] = pd.Series([r["picked"] for r in rows], dtype=float) * frame["kept"]
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
