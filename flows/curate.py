"""Curation: which requests since the last round get a label.

Everything a policy looks at is read from what is stored: no text is read by an encoder but those of
named collections, once each.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from core import collections
from core.arrays import Array, stacked
from core.errors import DataError
from core.evidence import CurationEvidence
from core.records.decisions import Decision
from core.records.labels import AnnotationTask
from core.records.windows import Window
from core.state import CuratedUntil
from core.store import Store
from flows.labels import waiting_words, words_due
from flows.session import Session
from flows.situation import situation
from flows.topics import candidates
from pipelines.curation.cover import wants
from pipelines.curation.pacing.need import USUAL
from pipelines.curation.pacing.pacing import Account, RoundNeed, paced
from pipelines.curation.picking import TEST, answered
from pipelines.curation.pool import HeldOut, KnownRows, Pool
from pipelines.datasets.contents import TESTED, TRAIN, newest_rows
from pipelines.triggers.trigger import labels_wanted

NO_TEXTS = "logging.policy is profile: no text is kept, so nothing can be picked for labels"
DAY = timedelta(days=1)
MOST_KNOWN = 20_000  # rows the model learnt from that are read
MOST_HELD_OUT = 5_000  # embeddings of held-out rows, the newest, whose near-copies are not picked


def curate(session: Session, now: datetime) -> None:
    """Pick this round's labels from the requests since the last round, within the daily budget."""
    if not session.strategy.logging.texts:
        session.record(Decision(f"curation/{now.isoformat()}", "curation", now, "0 picked", NO_TEXTS))
        return
    with session.timed("curation"):
        session.store.state.once(f"curation/{now.isoformat()}", lambda: _pick(session, now))
        session.store.state.write(CuratedUntil(now))


def _pick(session: Session, now: datetime) -> dict[str, Any]:
    policy, store = session.strategy.curation, session.store
    since = store.state.read(CuratedUntil).time
    last = min(now, since) if since else now - DAY
    pool = gather(session, max(last, now - 7 * DAY), now)
    account, looks = _paced(session, now)
    looks.append(RoundNeed(now, len(pool), float(wants(pool).sum())))
    asked = _asked(session, last, now)
    days, left = _elapsed_days(pool, last, now), account.less(asked)
    budget, account = paced(policy.pacing, policy.labels_per_day, days, left, looks)
    wanted = labels_wanted(session.strategy.triggers, situation(session, now))
    tasks = policy.pick(pool, budget, f"{now:%Y-%m-%dT%H:%M}", now, for_test=wanted)
    store.queue.add(tasks)
    left = account.less(len(tasks) - budget)
    evidence = CurationEvidence(
        requests=len(pool),
        near_copies=len(pool) - len(pool.leaders),
        budget=budget,
        need=looks[-1].need,
        saved=left.saved,
        due=left.due,
        picked=len(tasks),
        by_policy=dict(Counter(t.policy for t in tasks)),
        answered=answered(pool.window),
    )
    session.record(_decision(policy.policy, tasks, evidence, now))
    return {"picked": len(tasks)}


def _asked(session: Session, last: datetime, now: datetime) -> int:
    """Tasks since the last round that people asked for. Where an answer takes long to write, so do the
    checks of what users wrote, which this turn will make."""
    by_people = session.store.queue.picked(last + timedelta(microseconds=1), now)
    if not session.task.costly or not words_due(session, now):
        return by_people
    return by_people + sum(r.fate == "asked" for r in waiting_words(session, now))


def _elapsed_days(pool: Pool, last: datetime, now: datetime) -> float:
    """Days that earned labels since the last round: of a stretch of several, those with requests."""
    gap = (now - last) / DAY
    if gap <= 1 or not len(pool):
        return min(gap, 1.0)
    with_requests = {(now - time) // DAY for time in pool.window.rows["timestamp"]}
    return min(gap, float(len(with_requests)))


def _paced(session: Session, now: datetime) -> tuple[Account, list[RoundNeed]]:
    """What the rounds before this one left, and what they saw."""
    past = session.store.decisions.read("curation", since=now - USUAL - DAY)
    seen = [(d.timestamp, d.read(CurationEvidence)) for d in past if d.timestamp < now]
    seen = [(when, e) for when, e in seen if e.need is not None]
    looks = [RoundNeed(when, e.requests, e.need or 0.0) for when, e in seen]
    last = seen[-1][1] if seen else CurationEvidence()
    return Account(last.saved, last.due), looks


def _decision(
    name: str, tasks: list[AnnotationTask], evidence: CurationEvidence, now: datetime
) -> Decision:
    tested = evidence.by_policy.get(TEST, 0)
    return Decision(
        key=f"curation/{now.isoformat()}",
        stage="curation",
        timestamp=now,
        verdict=f"{len(tasks)} picked",
        reason=f"{name}: {len(tasks)} of {evidence.requests} requests, "
        f"{sum(t.audit for t in tasks)} of them for audit"
        + (f", {tested} for the trigger's test" if tested else ""),
        evidence=evidence,
    )


def gather(session: Session, start: datetime, end: datetime) -> Pool:
    """The candidates of [start, end) and what is known beside them, all of one encoder."""
    store = session.store.at(end)
    window, encoder = _one_encoder(_sound(session, store.answers.window(start, end)))
    if len(window) == 0:
        return Pool(window, task=session.task)
    ids = window.rows["prediction_id"]
    return Pool(
        window,
        known=_known(session, encoder, store),
        complaints=ids.isin(store.feedback.complained(start, end)).to_numpy(dtype=bool),
        topics=_topics(session, ids.tolist()),
        collections=_collections(session, encoder),
        held_out=_held_out(session, encoder, end),
        task=session.task,
    )


def _sound(session: Session, window: Window) -> Window:
    """Without the rows that failed a data quality check, and answers that nobody finished: they are
    not worth a label."""
    window = window.take(session.task.finished(window.rows))
    ids = window.rows["request_id"]
    failed = session.store.signals.quarantined(ids.tolist())
    return window.take(~ids.isin(failed).to_numpy(dtype=bool)) if failed else window


def _one_encoder(window: Window) -> tuple[Window, str]:
    """The window with the embeddings of its commonest encoder alone, and who that is: those of
    another encoder lie in another space. Their rows stay, at no place."""
    encoders = window.rows["encoder"]
    if encoders.nunique() < 2:
        return window, str(encoders.iloc[0]) if len(window) else ""
    common = str(encoders.mode().iloc[0])
    embeddings = window.embeddings.copy()
    embeddings[(encoders != common).to_numpy(dtype=bool)] = np.nan
    return replace(window, embeddings=embeddings), common


def _known(session: Session, encoder: str, store: Store) -> KnownRows:
    """Rows that the next model learns from and that have an embedding by this encoder: of the newest
    dataset, evenly drawn if many, and those labelled since. What has a label that is gone since is
    learnt from no more."""
    rows = newest_rows(session.workspace, TRAIN, ["target", "encoder", "embedding"])
    rows["target"] = rows["target"].map(store.label_set.now)
    rows = rows[(rows["encoder"] == encoder) & rows["target"].notna()]
    rows = rows.iloc[:: -(-len(rows) // MOST_KNOWN) or 1]
    since = [(label, found) for label, name, found in store.labels.untrained() if name == encoder]
    embeddings = [*rows["embedding"], *(found for _, found in since)]
    labels = [*rows["target"], *(label for label, _ in since)]
    return KnownRows(stacked(embeddings), np.array(labels, dtype=object))


def _held_out(session: Session, encoder: str, now: datetime) -> HeldOut:
    """Rows that evaluate: those of the newest dataset, and earlier audit picks that no dataset has."""
    rows = newest_rows(session.workspace, TESTED, ["input", "encoder", "embedding"])
    waiting = session.store.labels.audited(now, MOST_HELD_OUT)
    found = [*rows.loc[rows["encoder"] == encoder, "embedding"]][::-1]
    found = [embedding for _, name, embedding in waiting if name == encoder] + found
    texts = [*session.texts(rows), *(text for text, _, _ in waiting)]
    return HeldOut(texts, stacked(found[:MOST_HELD_OUT]))


def _topics(session: Session, prediction_ids: list[str]) -> Array:
    """(n,) the number of the open new topic that each row is in, -1 where in none."""
    open_ = [c for c in candidates(session) if c.status == "open"]
    number = {member: i for i, c in enumerate(open_) for member in c.members}
    return np.array([number.get(p, -1) for p in prediction_ids], dtype=int)


def _collections(session: Session, encoder: str) -> dict[str, Array]:
    """(k, dim) embeddings of each named collection that can be read; monitoring says which cannot."""
    found: dict[str, Array] = {}
    files = collections.files(session.workspace.root)
    champion = session.registry.load(session.store.state.champion()) if files else None
    if champion is None or champion.identity != encoder:
        return found
    for name, path in files.items():
        with suppress(DataError):
            texts = collections.read(path)["text"].tolist()
            found[name] = session.store.embeddings.of(texts, encoder, champion.embed, "testing")
    return found
