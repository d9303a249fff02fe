"""Candidate classes: topics that keep their identity from one window to the next, until the model has
learnt them or they are gone."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from core.arrays import Array
from core.evidence import TopicEvidence
from core.records.decisions import Decision
from monitoring.topics.clusters import OUT_OF_SCOPE, Topic

SAME = 0.75  # cosine of the middles from which two groups are one topic
MAX_MEMBERS = 500  # rows remembered, the newest
MAX_CANDIDATES = 100  # topics remembered, the newest
ENOUGH = 3  # labels of its rows from which most of them say what a topic is
Status = Literal["open", "learnt", "gone"]


@dataclass(frozen=True)
class TrackedTopic:
    """A topic as it is remembered: no text, only which rows it has and where they lie."""

    name: str
    opened: datetime  # the end of the window that first showed it
    seen: datetime  # the end of the window that last showed it
    since: datetime  # its first row
    rows: int  # when last seen
    share: float
    confidence: float
    novelty: float
    encoder: str
    centroid: str  # (dim,) float16, base64
    members: Sequence[str]  # prediction ids, newest last
    examples: Sequence[str]  # request ids, nearest to the middle first
    status: Status = "open"
    asked: Mapping[str, float] = field(default_factory=dict)  # prediction id -> chance it had

    @property
    def key(self) -> str:
        """Its name and a hash of where it began, as two topics may have one name."""
        return f"topic/{self.name}-{_digest(self.opened.isoformat() + self.name)[:6]}"

    @property
    def middle(self) -> Array:
        return np.frombuffer(base64.b64decode(self.centroid), dtype=np.float16).astype(np.float32)


def followed(
    known: Sequence[TrackedTopic], found: Sequence[Topic], now: datetime
) -> list[TrackedTopic]:
    """What is known of candidates after a window showed `found`: seen again, or new.

    A topic is told by where it lay when it was first seen, and what this very window opened before is
    opened anew, so the same window again changes nothing.
    """
    again = {c.key: c.asked for c in known if c.opened == now}
    after = [c for c in known if c.opened != now]
    for topic in found:
        nearest = max(range(len(after)), key=lambda i: _likeness(after[i], topic), default=None)
        if nearest is not None and _likeness(after[nearest], topic) >= SAME:
            after[nearest] = _again(after[nearest], topic, now)
        else:
            new = _new(topic, now)
            after.append(replace(new, asked=again.get(new.key, {})))
    return sorted(after, key=lambda c: (c.seen, c.rows))[-MAX_CANDIDATES:]


def settled(
    candidates: Sequence[TrackedTopic],
    truths: Mapping[str, str],
    learnt: Collection[str],
    now: datetime,
    patience: timedelta,
) -> list[TrackedTopic]:
    """A candidate whose labels the model knows by now is learnt; one not seen for `patience` is gone.

    truths: prediction id -> label, of any rows; learnt: the labels of the model that serves.
    """
    return [replace(c, status=_status(c, truths, learnt, now, patience)) for c in candidates]


def _status(
    c: TrackedTopic,
    truths: Mapping[str, str],
    learnt: Collection[str],
    now: datetime,
    patience: timedelta,
) -> Status:
    labels = Counter(truths[m] for m in c.members if m in truths)
    known = sum(n for label, n in labels.items() if label in learnt)
    if labels.total() >= ENOUGH and 2 * known > labels.total():
        return "learnt"
    return "gone" if now - c.seen >= patience else "open"


def decision(c: TrackedTopic) -> Decision:
    """What is stored of a candidate, one decision under its key. Without anybody's text."""
    verdict = "topic" if c.status == "open" else f"topic {c.status}"
    reason = f"{c.rows} rows about {c.name.replace('-', ', ')} that the model has not learnt"
    if c.name == OUT_OF_SCOPE:
        reason = f"{c.rows} rows, more than usual, that are like nothing learnt, nor like each other"
    if c.status == "learnt":
        reason = f"the model has learnt what {c.name.replace('-', ', ')} is"
    if c.status == "gone":
        reason = f"no row about {c.name.replace('-', ', ')} since {c.seen:%Y-%m-%d}"
    evidence = TopicEvidence(
        name=c.name,
        rows=c.rows,
        share=c.share,
        since=c.since,
        seen=c.seen,
        confidence=c.confidence,
        novelty=c.novelty,
        examples=list(c.examples),
        centroid=_digest(c.centroid),
        asked=len(c.asked),
        command=f"everloop topics ask {c.name}",
    )
    return Decision(c.key, "monitoring", c.opened, verdict, reason, evidence)


def _new(topic: Topic, now: datetime) -> TrackedTopic:
    return TrackedTopic(
        name=topic.name,
        opened=now,
        seen=now,
        since=topic.since,
        rows=topic.size,
        share=topic.share,
        confidence=topic.confidence,
        novelty=topic.novelty,
        encoder=topic.encoder,
        centroid=_packed(topic.centroid),
        members=sorted(topic.prediction_ids)[-MAX_MEMBERS:],
        examples=topic.request_ids[:3],
    )


def _again(c: TrackedTopic, topic: Topic, now: datetime) -> TrackedTopic:
    fresh = _new(topic, now)
    members = sorted({*c.members, *fresh.members})[-MAX_MEMBERS:]
    since, status = min(c.since, topic.since), "open" if c.status == "gone" else c.status
    return replace(
        fresh,
        name=c.name,
        opened=c.opened,
        since=since,
        centroid=c.centroid,
        members=members,
        status=status,
        asked=c.asked,
    )


def _likeness(c: TrackedTopic, topic: Topic) -> float:
    """Cosine of where they lie. OTHER lies nowhere: the same while it is open, and like no topic."""
    if OUT_OF_SCOPE in (c.name, topic.name):
        return 1.0 if c.name == topic.name and c.status == "open" else -1.0
    same = c.encoder == topic.encoder and len(c.middle) == len(topic.centroid)
    return float(c.middle @ topic.centroid) if same else -1.0


def _packed(centroid: Array) -> str:
    return base64.b64encode(centroid.astype(np.float16).tobytes()).decode()


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
