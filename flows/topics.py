"""New topics of a workspace: watched with every window, and sent for labels when somebody asks."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from core.arrays import Array
from core.errors import DataError
from core.records.labels import TOPIC, AnnotationTask
from core.records.signals import Signal
from core.state import CuratedUntil
from core.stored import Remembered
from flows.learnt import learnt
from flows.session import Session
from monitoring.drift.features import IncomparableError
from monitoring.explain.rows import comparable_rows
from monitoring.signals.topics import NEW
from monitoring.topics.clusters import new_topics
from monitoring.topics.tracking import TrackedTopic, decision, followed, settled
from monitoring.view import View, commonest


@dataclass(frozen=True)
class Topics(Remembered):
    KEY, BARE = "topics", True

    candidates: list[TrackedTopic] = field(default_factory=list)  # the one last seen at the end


@dataclass(frozen=True)
class TopicTasks:
    """What came of asking for labels of a topic."""

    topic: TrackedTopic
    tasks: int  # of its rows, in all
    new: int
    over: int  # beyond the daily label budget


def follow_topics(session: Session, view: View, now: datetime) -> Signal:
    """Look for topics in a window, remember them, and count those that are open."""
    try:
        comparable_rows(view)
    except IncomparableError as why:
        return view.signal(NEW, None, str(why))
    before = {c.key: c for c in candidates(session)}
    seen = followed(list(before.values()), new_topics(view, _learnt(session, view)), now)
    truths = session.store.at(now).labels.of([m for c in seen for m in c.members])
    patience = timedelta(days=session.strategy.monitoring.reference_days)
    after = settled(seen, truths, view.model.labels, now, patience)
    session.store.state.write(Topics(after))
    changed = [c for c in after if c.key not in before or before[c.key].status != c.status]
    session.store.decisions.put([decision(c) for c in after])
    for c in changed:  # a topic is one record, of when it began; the news is of now
        session.listen(replace(decision(c), timestamp=now))
    count = sum(c.status == "open" for c in after)
    names = ", ".join(c.name for c in after if c.status == "open")
    return view.signal(NEW, float(count), names)


def candidates(session: Session) -> list[TrackedTopic]:
    """Every topic that is remembered, the one last seen at the end."""
    return session.store.state.read(Topics).candidates


def open_topics(session: Session) -> list[tuple[TrackedTopic, list[str]]]:
    """The open topics, largest first, each with its examples' texts as far as they are kept."""
    found = sorted((c for c in candidates(session) if c.status == "open"), key=lambda c: -c.rows)
    texts = session.store.answers.known([r for c in found for r in c.examples])
    return [(c, [texts[r].text for r in c.examples if r in texts]) for c in found]


def ask(session: Session, name: str, count: int, now: datetime) -> TopicTasks:
    """Make `count` rows of a topic annotation tasks, drawn uniformly from those that are none yet and
    that no curation round may still pick: a task has one chance of being picked.

    Asking again for as many changes nothing; for more, the rest is drawn. The draw is stored before the
    tasks are, so a call that was killed goes on with the same rows. Raises DataError for a name that no
    open topic has.
    """
    topic = _named(session, name)
    open_ = sorted(set(topic.members) - session.store.queue.ids(topic.members) - set(topic.asked))
    found = (session.store.answers.get(m) for m in open_)  # the log may have forgotten some
    open_ = [p.prediction_id for p in found if p and p.timestamp < _curated(session, now)]
    size = max(0, min(count - len(topic.asked), len(open_)))
    rng = np.random.default_rng([zlib.crc32(topic.key.encode()), len(topic.asked)])
    drawn = [open_[i] for i in np.sort(rng.choice(len(open_), size, replace=False))] if size else []
    spent = session.store.queue.picked(now - timedelta(days=1), now)
    topic = replace(topic, asked={**topic.asked, **dict.fromkeys(drawn, size / max(1, len(open_)))})
    after = [topic if c.key == topic.key else c for c in candidates(session)]
    session.store.state.write(Topics(after))
    session.store.queue.add([_task(topic, m, now) for m in topic.asked])
    over = max(0, spent + size - session.strategy.curation.labels_per_day)
    return TopicTasks(topic, len(topic.asked), size, min(over, size))


def _curated(session: Session, now: datetime) -> datetime:
    """Until when the log has been through a curation round; before the first, all of it is free."""
    return session.store.state.read(CuratedUntil).time or now


def _task(topic: TrackedTopic, prediction_id: str, now: datetime) -> AnnotationTask:
    chance = topic.asked[prediction_id]
    return AnnotationTask(prediction_id, now, topic.key, TOPIC, chance, audit=False)


def _named(session: Session, name: str) -> TrackedTopic:
    found = [c for c in candidates(session) if c.status == "open"]
    same = [c for c in found if name in (c.name, c.key, c.key.removeprefix("topic/"))]
    if len(same) == 1:
        return same[0]
    names = ", ".join(c.key.removeprefix("topic/") for c in same or found)
    raise DataError(
        "several open topics have this name" if same else "no open topic has this name",
        got=ascii(name),
        expected=f"one of {names}" if names else "a topic, of which none is open now",
        do="everloop topics",
    )


def _learnt(session: Session, view: View) -> Array | None:
    """(k, dim) embeddings by the window's encoder, of rows that the newest dataset trains on."""
    if len(view.window) == 0:
        return None
    return learnt(session.workspace, commonest(view.window.rows["encoder"]))
