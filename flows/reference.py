"""What a window is held against: the reference policies.

sliding          the days just before the window; `reference_days` of them
same-weekday     the same window of the four weeks before: for traffic that only repeats by the week
since-promotion  what came since the model that serves was promoted: little, right after a retrain
training         the rows that the model that serves was trained on
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from core.arrays import stacked
from core.records.windows import Window
from flows.session import Session
from monitoring.limits import REFERENCE_ROWS
from monitoring.view import ServedModel

WEEKS = 4
WEEK = timedelta(days=7)
MOST_DAYS = 28  # of `since-promotion`: a window is read into memory whole


def reference(
    session: Session, model: ServedModel, start: datetime, end: datetime
) -> tuple[Window, str]:
    """The rows that the window [start, end) is held against, and what they are in words."""
    settings, read = session.strategy.monitoring, session.store.at(end).answers.window
    most = REFERENCE_ROWS
    if settings.reference == "training":
        return _training(session, model, start)
    if settings.reference == "same-weekday":
        part = most // WEEKS
        weeks = [read(start - k * WEEK, end - k * WEEK, part) for k in range(WEEKS, 0, -1)]
        return together(weeks), f"same-weekday, {WEEKS} weeks"
    if settings.reference == "since-promotion":
        since = max(promoted(session, model.version, start), start - timedelta(days=MOST_DAYS))
        return read(min(since, start), start, most), f"since-promotion, {since:%Y-%m-%d %H:%M}"
    days = settings.reference_days
    return read(start - timedelta(days=days), start, most), f"sliding, {days} days"


def promoted(session: Session, version: str, now: datetime) -> datetime:
    """When the model that serves was promoted; the first model always has been."""
    ends = (r.stage_started for r in session.store.decisions.rollouts(candidate=version))
    return next((t for t in ends if t <= now), datetime.min.replace(tzinfo=now.tzinfo))


def together(windows: list[Window]) -> Window:
    """Windows as one, in their order; those of another encoder than the last have no embeddings."""
    some = [w for w in windows if len(w)] or windows[-1:]
    dim = some[-1].embeddings.shape[1]
    arrays = [
        w.embeddings if w.embeddings.shape[1] == dim else np.full((len(w), dim), np.nan, np.float32)
        for w in some
    ]
    rows = pd.concat([w.rows for w in some], ignore_index=True)
    for column in [str(c) for c in rows if str(c).startswith("segment.")]:
        rows[column] = rows[column].fillna("")
    probabilities = [p for w in some for p in w.probabilities]
    return Window(windows[0].start, windows[-1].end, rows, np.concatenate(arrays), probabilities)


def _training(session: Session, model: ServedModel, start: datetime) -> tuple[Window, str]:
    """The training rows as if the model that serves had answered them: no truth, so that no signal
    takes them for labels of live traffic."""
    from pipelines.datasets.contents import rows_of

    dataset = session.registry.candidate(model.version).dataset
    if not dataset:
        return session.store.answers.window(start, start), "training, of no dataset version"
    rows = rows_of(session.workspace.root, dataset)
    rows = rows[(rows["set"] == "train") & (rows["encoder"] == model.encoder)].reset_index(drop=True)
    embeddings = stacked(rows["embedding"])
    shares = model.classify(embeddings) if len(rows) and model.classify else stacked([])
    answers = shares.argmax(axis=1) if len(shares) else ()
    frame = rows[["timestamp", "encoder", "user_key"]].assign(
        text=session.texts(rows),
        prediction_id=rows["row_id"],
        request_id=rows["row_id"],
        model_version=model.version,
        variant="champion",
        output=[model.labels[i] for i in answers] if model.classify else rows["target"],
        confidence=shares.max(axis=1) if len(shares) else np.nan,
        truth=pd.Series([None] * len(rows), dtype=object),
        score=np.nan,
        audit=False,
        kept=1.0,
        propensity=np.nan,
    )
    times = rows["timestamp"] if len(rows) else pd.Series([pd.Timestamp(start)])
    began = times.min().to_pydatetime()
    window = Window(min(began, start), start, frame, embeddings, list(shares))
    return window, f"training, {dataset}: {len(rows):,} rows"
