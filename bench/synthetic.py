"""Made streams whose drift is known to the day, and those that have none but are no even traffic.

The drift rule was shaped on two real streams; these are others. Each seed draws its own number of
topics, dimensions, rows a day and place of the drift, so no setting can be fitted to them.

    made("instantaneous", "restless", seed=3)     -> a stream, and what was planned in it
    rows(seeds=6)                                 -> how our rule does on all of them

What days differ by themselves, one name a TRAFFIC:

    calm       topics keep their shares
    restless   every share is multiplied by exp(0.5 * normal), each day anew
    surging    one known topic takes 0 to 30 % of the rows, each day anew
    crowded    users ask in crowds of nearly the same text, tails are heavy, weekends have a mix and
               fewer rows: kept aside while the rule was mended
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from bench.curves import Named, delay, false_alarms, kind_of
from bench.form import Row
from bench.ours import Policy, ours
from bench.streams import Event, Labelled, Stream
from core.arrays import Array
from core.models.classifier.head import fit_head
from monitoring import Monitoring

KINDS = ("none", "instantaneous", "gradual", "temporary", "periodic")
TRAFFIC = ("calm", "restless", "surging", "crowded")
DAYS = 45
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
TRAINED = 30  # rows of each known topic
SIZES = ((200, 64), (60, 16), (400, 32), (1000, 128), (60, 384), (5000, 32), (200, 384))  # rows, dim
NEW = "new"
SETTLED = 14  # days after which it is known what is usual, weekends too
IN_TIME = {"instantaneous": 1, "temporary": 1, "gradual": 10}  # days


@dataclass(frozen=True)
class Topics:
    """`centres` (topics, dim) of unit length; `spread` (topics, dim, few): how rows of one differ."""

    centres: Array
    spread: Array

    def rows(self, of: Array, rng: np.random.Generator, heavy: bool = False) -> Array:
        """(n, dim) embeddings of unit length, of (n,) topics."""
        n, (_, dim, few) = len(of), self.spread.shape
        inner = np.einsum("ndf,nf->nd", self.spread[of], rng.normal(size=(n, few)))
        outer = rng.normal(size=(n, dim)) * np.sqrt(0.2 / dim)
        if heavy:  # Student t with four degrees of freedom
            outer /= np.sqrt(rng.chisquare(4, (n, 1)) / 4)
        found = self.centres[of] + inner + outer
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def made(kind: str, traffic: str, seed: int) -> tuple[Stream, list[Event]]:
    """A stream of DAYS, and its drift."""
    rng = np.random.default_rng([KINDS.index(kind), TRAFFIC.index(traffic), seed])
    rows, dim = SIZES[seed % len(SIZES)]
    known = int(rng.integers(4, 31))
    topics = _topics(known + 1, dim, rng)
    event = _event(kind, rng)
    share = _new_share(kind, event, rng)
    base = rng.dirichlet(np.full(known, 2.0))
    parts = [_day(d, base, share[d], traffic, rows, topics, rng) for d in range(DAYS)]
    names = np.array([*(f"topic {k}" for k in range(known)), NEW])
    taught = np.repeat(np.arange(known), TRAINED)
    training = Labelled(names[taught], names[taught], topics.rows(taught, rng))
    stream = _stream(f"{kind} {traffic} {seed}", parts, names, training)
    return stream, [event] if event else []


def _topics(number: int, dim: int, rng: np.random.Generator) -> Topics:
    centres = rng.normal(size=(number, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    few = max(2, min(8, dim // 4))
    return Topics(centres, rng.normal(size=(number, dim, few)) * np.sqrt(0.4 / (dim * few)))


def _event(kind: str, rng: np.random.Generator) -> Event | None:
    start = int(rng.integers(20, 29))
    if kind == "none":
        return None
    end = {"gradual": start + 14, "temporary": start + int(rng.integers(2, 5))}.get(kind)
    return Event(kind, NEW, None if kind == "periodic" else start, end)


def _new_share(kind: str, event: Event | None, rng: np.random.Generator) -> Array:
    """(DAYS,) of the topic that the model was not taught."""
    most, days = rng.uniform(0.2, 0.4), np.arange(DAYS)
    if event is None:
        return np.zeros(DAYS)
    if event.start is None:
        return np.where(days % 7 >= 5, most, 0.0)
    if kind == "gradual":
        return np.asarray(most * np.clip((days - event.start + 1) / 14, 0, 1))
    return np.where((days >= event.start) & (days < (event.end or DAYS)), most, 0.0)


def _day(
    day: int,
    base: Array,
    new: float,
    traffic: str,
    rows: int,
    topics: Topics,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Embeddings (n, dim) of a day, and the topic (n,) of each."""
    crowded, weekend = traffic == "crowded", day % 7 >= 5
    shares = _shares(base, traffic, weekend, rng)
    shares = np.append(shares * (1 - new), new)
    n = int(rng.poisson(rows * (0.6 if crowded and weekend else 1.0)))
    n = max(n, 50)
    if not crowded:
        of = rng.choice(len(shares), n, p=shares)
        return topics.rows(of, rng), of
    crowd = np.repeat(np.arange(n), rng.geometric(0.6, n))[:n]
    heads = rng.choice(len(shares), n, p=shares)
    asked = topics.rows(heads, rng, heavy=True)[crowd]
    asked = asked + rng.normal(size=asked.shape).astype(np.float32) * np.float32(
        0.1 / np.sqrt(asked.shape[1])
    )
    return asked / np.linalg.norm(asked, axis=1, keepdims=True), heads[crowd]


def _shares(base: Array, traffic: str, weekend: bool, rng: np.random.Generator) -> Array:
    """(known,) shares of the known topics on a day."""
    if traffic == "restless":
        shares = base * np.exp(0.5 * rng.normal(size=len(base)))
    elif traffic == "surging":
        shares = np.append(base[:-1] / base[:-1].sum(), rng.uniform(0, 0.3))
        shares[:-1] *= 1 - shares[-1]
    elif traffic == "crowded" and weekend:
        shares = base * np.where(np.arange(len(base)) % 3 == 0, 2.0, 1.0)
    else:
        shares = base
    return np.asarray(shares / shares.sum())


def _stream(name: str, parts: list[tuple[Array, Array]], names: Array, training: Labelled) -> Stream:
    """As bench/streams.py reads real ones; a text is the name of its topic and its place."""
    embeddings = np.concatenate([e for e, _ in parts]).astype(np.float16).astype(np.float32)
    truth = names[np.concatenate([t for _, t in parts])]
    times = [
        START + timedelta(days=day + k / len(e))
        for day, (e, _) in enumerate(parts)
        for k in range(len(e))
    ]
    places = np.arange(len(truth))
    frame = pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in places],
            "timestamp": pd.to_datetime(pd.Series(times), utc=True),
            "user_key": "u",
            "text": [f"{t} {i}" for i, t in enumerate(truth)],
            "truth": truth,
            "domain": truth,
        }
    )
    head = fit_head(training.embeddings, training.labels.tolist())
    shares = head.probabilities(embeddings)
    return Stream(name, frame, embeddings, shares, head, "made", training, training, places)


@dataclass(frozen=True)
class Seen:
    """What our rule made of one stream: alarms (DAYS,), their strengths, and the kinds it gave."""

    event: Event | None
    alarms: Array
    scores: Array
    named: list[Named]

    @property
    def in_time(self) -> bool:
        return self.event is not None and delay(self.alarms, self.event) <= IN_TIME[self.event.kind]


def rows(seeds: int) -> list[Row]:
    """Our rule at its defaults over every kind of drift in every kind of traffic."""
    found = []
    for traffic in TRAFFIC:
        seen = {kind: [judged(kind, traffic, seed) for seed in range(seeds)] for kind in KINDS}
        quiet = seen["none"]
        wrong = false_alarms([s.alarms for s in quiet], [s.scores for s in quiet])
        planned = [s for kind in IN_TIME for s in seen[kind]]
        named = [s for s in [*planned, *seen["periodic"]] if s.event]
        right = [kind_of(s.event, s.named) == s.event.kind for s in named if s.event]
        weekends = [s.alarms[_weekends()] for s in seen["periodic"]]
        found += [
            Row(f"{traffic}: false alarms", wrong, "a 60 d", "<= 1", f"{seeds} streams"),
            Row(f"{traffic}: weekends known that alarm", float(np.mean(weekends)), "share", "<= 0.02"),
            Row(f"{traffic}: drifts in time", float(np.mean([s.in_time for s in planned])), "share"),
            Row(f"{traffic}: of the kind planned", float(np.mean(right)), "share"),
        ]
    return found


def judged(kind: str, traffic: str, seed: int) -> Seen:
    """A stream as `ours` sees it, from the day on that its weeks are known."""
    stream, events = made(kind, traffic, seed)
    watch = ours([stream], Policy("sliding", SETTLED, SETTLED), Monitoring())
    name = stream.name
    return Seen(events[0] if events else None, watch.drift[name], watch.scores[name], watch.kinds[name])


def _weekends() -> Array:
    days = np.arange(DAYS)
    return np.asarray((days >= SETTLED) & (days % 7 >= 5))
