"""Labels that settle whether what is right has changed.

Two things raise a suspicion. A user complains of an answer that says what all labelled rows near it
say. Or one label has a name that nobody used before, though the rows near it agree on another. Of the
first kind the answer itself is asked about, of the second the requests nearest to it. These tasks are
made after a round of curation, of requests it did not pick, and count against the budget of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from core import rewrites
from core.arrays import Array, stacked
from core.near import unit
from core.records.labels import CHECK, AnnotationTask
from core.records.windows import Window
from core.texts import words
from flows.labels import labelled
from flows.session import Session
from pipelines.datasets.closed_names import agreed
from pipelines.datasets.contradictions import Suspicion
from pipelines.datasets.name_splits import ALIKE
from pipelines.datasets.near_rows import NEAR

DAY = timedelta(days=1)
RECENT = 3 * DAY  # of requests that a suspicion is looked into with
COMPLAINTS = 0.25  # share of a day's labels that complaints may take
REQUESTS = 0.5  # and that requests near a suspicious label may take
MOST = 20_000  # recent requests that are looked through


def check_complaints(session: Session, now: datetime) -> int:
    """Ask about answers of the last day that users complained of though all labelled rows near them
    agree with them; returns how many."""
    complained = session.store.at(now).feedback.complained(now - DAY, now)
    if session.task.labelled or not complained or not session.strategy.logging.texts:
        return 0

    def found() -> list[str]:
        rows = known_rows(session, now)
        window = _free(session, rows, now, DAY)
        window = window.take(window.rows["prediction_id"].isin(complained).to_numpy(dtype=bool))
        return _first(session, window, _as_all_say(window, rows), COMPLAINTS)

    return _ask(session, "complaints", found, now)


def check_suspicions(
    session: Session, rows: pd.DataFrame, suspicions: Sequence[Suspicion], now: datetime
) -> int:
    """Ask about the requests nearest to suspicious labels; returns how many."""
    if not suspicions or not session.strategy.logging.texts:
        return 0

    def found() -> list[str]:
        window = _free(session, rows, now, RECENT)
        if len(window) == 0:
            return []
        places = [place for s in suspicions for place in (s.row, *s.near)]
        about = unit(stacked(rows["embedding"].iloc[places]))
        close = (unit(window.embeddings) @ about.T).max(axis=1)
        order = np.argsort(-close, kind="stable")
        return _first(session, window, order[close[order] >= NEAR], REQUESTS)

    return _ask(session, "suspicions", found, now)


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


def _free(session: Session, rows: pd.DataFrame, now: datetime, past: timedelta) -> Window:
    """Recent requests that are no tasks yet, of the encoder that the labelled rows have."""
    store = session.store.at(now)
    window = store.answers.window(now - past, now, most=MOST)
    ids, encoder = window.rows["prediction_id"], rows["encoder"].head(1).tolist()
    free = ~ids.isin(store.queue.ids(ids.tolist())) & window.rows["encoder"].isin(encoder)
    return window.take(free.to_numpy(dtype=bool))


def _as_all_say(window: Window, rows: pd.DataFrame) -> Array:
    """Places of the answers that say what all labelled rows near them say."""
    if len(window) == 0 or len(rows) < ALIKE:
        return np.zeros(0, int)
    close = unit(window.embeddings) @ unit(stacked(rows["embedding"])).T
    near = np.argsort(-close, axis=1, kind="stable")[:, :ALIKE]
    lie = np.take_along_axis(close, near, axis=1).min(axis=1) >= NEAR
    same = agreed(rows["text"].tolist(), rows["target"].tolist(), near, window.rows["output"].tolist())
    return np.flatnonzero(lie & same)


def _first(session: Session, window: Window, order: Array, share: float) -> list[str]:
    """The first of an order, no words twice, within a share of a day's labels."""
    rows = window.rows.iloc[order]
    most = max(1, int(share * session.strategy.curation.labels_per_day))
    return list(rows.loc[~rows["text"].map(words).duplicated(), "prediction_id"].head(most))


def _ask(session: Session, what: str, found: Callable[[], list[str]], now: datetime) -> int:
    """Make tasks of what is found. Killed and called again, it makes the same ones."""
    key = f"{CHECK}/{what}/{now.isoformat()}"
    ids = session.store.state.once(key, lambda: {"ids": found()})["ids"]
    after, round = now + timedelta(microseconds=1), f"{now:%Y-%m-%dT%H:%M}"  # that of `now` is over
    session.store.queue.add([AnnotationTask(i, after, round, CHECK, 1.0, audit=False) for i in ids])
    return len(ids)
