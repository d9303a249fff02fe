"""Labels that settle whether what is right has changed.

One label has a name that nobody used before, though the rows near it agree on another: the requests
nearest to it are asked about. These tasks are made after a round of curation, of requests it did not
pick, and count against the budget of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from core import rewrites
from core.arrays import stacked
from core.near import unit
from core.records.labels import CHECK, AnnotationTask
from core.records.windows import Window
from core.texts import words
from flows.labels import labelled
from flows.session import Session
from pipelines.datasets.contradictions import Suspicion
from pipelines.datasets.near_rows import NEAR

RECENT = timedelta(days=3)  # of requests that a suspicion is looked into with
SHARE = 0.5  # of a day's labels that these requests may take
MOST = 20_000  # recent requests that are looked through


def check_suspicions(
    session: Session, rows: pd.DataFrame, suspicions: Sequence[Suspicion], now: datetime
) -> int:
    """Ask about the requests nearest to suspicious labels; returns how many. Killed and called again,
    it asks about the same ones."""
    if not suspicions or not session.strategy.logging.texts:
        return 0
    key = f"{CHECK}/{now.isoformat()}"
    ids = session.store.state.once(key, lambda: {"ids": _nearest(session, rows, suspicions, now)})[
        "ids"
    ]
    after, round = now + timedelta(microseconds=1), f"{now:%Y-%m-%dT%H:%M}"  # that of `now` is over
    session.store.queue.add([AnnotationTask(i, after, round, CHECK, 1.0, audit=False) for i in ids])
    return len(ids)


def _nearest(
    session: Session, rows: pd.DataFrame, suspicions: Sequence[Suspicion], now: datetime
) -> list[str]:
    """Recent requests near suspicious labels, the nearest first, no words twice."""
    window = _free(session, rows, now)
    if len(window) == 0:
        return []
    places = [place for s in suspicions for place in (s.row, *s.near)]
    about = unit(stacked(rows["embedding"].iloc[places]))
    close = (unit(window.embeddings) @ about.T).max(axis=1)
    order = np.argsort(-close, kind="stable")
    found = window.rows.iloc[order[close[order] >= NEAR]]
    most = max(1, int(SHARE * session.strategy.curation.labels_per_day))
    return list(found.loc[~found["text"].map(words).duplicated(), "prediction_id"].head(most))


def known_rows(session: Session, now: datetime) -> pd.DataFrame:
    """Every label there is, of the commonest encoder, as the rewrites in force make it."""
    rows = labelled(session, now, session.store.at(now).label_set)
    if not len(rows):
        return rows
    rows = rows.loc[rows["encoder"] == rows["encoder"].mode()[0]]
    if rules := rewrites.in_force(rewrites.load(session.workspace.root), now):
        given = (rows[column].tolist() for column in ("input", "target", "timestamp"))
        rows = rows.assign(target=rewrites.rewritten(rules, *given))
    kept: pd.DataFrame = rows.loc[rows["target"].notna()].reset_index(drop=True)
    return kept


def _free(session: Session, rows: pd.DataFrame, now: datetime) -> Window:
    """Recent requests that are no tasks yet, of the encoder that the labelled rows have."""
    store = session.store.at(now)
    window = store.answers.window(now - RECENT, now, most=MOST)
    ids, encoder = window.rows["prediction_id"], rows["encoder"].head(1).tolist()
    free = ~ids.isin(store.queue.ids(ids.tolist())) & window.rows["encoder"].isin(encoder)
    return window.take(free.to_numpy(dtype=bool))
