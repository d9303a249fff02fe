"""A stream of past requests through the real serving path, logger and stages, on a simulated clock.

    everloop replay STREAM.csv --initial TRAIN.csv --eval EVAL.csv --json result.json

The truth in the stream scores the model that served each request and answers annotation tasks;
nothing else sees it. Killed and run again, a replay goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from core.errors import WorkspaceError
from core.evidence import AlertEvidence
from core.records.answers import Request
from core.state import Champion, ReplayPosition, Retrains
from everloop.people import People
from everloop.score import accuracies, daily_scores
from flows.first import first_model
from flows.session import Session
from flows.stages import loop, roll_out
from flows.strategy import Strategy
from pipelines.labeling.oracle import Oracle
from pipelines.logging import requests
from pipelines.rollout.shadow_canary import ShadowCanary
from pipelines.triggers.periodic import Periodic
from serving.service import Service


@dataclass(frozen=True)
class Replay:
    """What to replay. Frames have request_id, timestamp, user, text, label, segments."""

    stream: pd.DataFrame
    train: pd.DataFrame
    evaluation: pd.DataFrame
    people: People = field(default_factory=People)
    frozen: bool = False  # never retrain

    @property
    def start(self) -> datetime:
        """The day of the first request begins."""
        first: datetime = self.stream["timestamp"].min().to_pydatetime()
        return first.replace(hour=0, minute=0, second=0, microsecond=0)

    def name(self) -> str:
        """The same inputs have the same name: what a workspace remembers it is replaying."""
        digest = hashlib.blake2b(digest_size=8)
        for frame in (self.stream, self.train, self.evaluation):
            digest.update(
                pd.util.hash_pandas_object(frame[["text", "label"]], index=False).to_numpy().tobytes()
            )
        digest.update(f"{self.people.label_delay}{self.frozen}{len(self.stream)}".encode())
        if any(users := (self.people.thumbs, self.people.corrections)):
            digest.update(str(users).encode())
        return digest.hexdigest()


def label_everything(strategy: Strategy) -> Strategy:
    """The upper line: every request labelled, retrained daily, promoted at once."""
    everything = {"policy": "random", "labels_per_day": 10**9, "audit_share": 0.0}
    return strategy.model_copy(
        update={
            "curation": type(strategy)
            .model_validate({**strategy.model_dump(), "curation": everything})
            .curation,
            "triggers": Periodic(policy="periodic", every_days=1),
            "testing": strategy.testing.model_copy(update={"max_drop": 1.0, "max_failed": 1.0}),
            "rollout": ShadowCanary(policy="shadow-canary", shares=[], min_requests=1),
        }
    )


def run(
    session: Session, job: Replay, advance: Callable[[datetime, int], None] | None = None
) -> dict[str, Any]:
    """Replay a job in a workspace and return its result. `advance(time, requests)` follows progress."""
    began = time.perf_counter()
    claim(session, job)
    step = timedelta(hours=session.strategy.schedule.rollout_hours)
    start = job.start
    first_model(session, job.train, job.evaluation, start)
    logging = session.strategy.logging
    service = Service(
        session.store,
        session.registry.load,
        logging.max_text_characters,
        policy=logging,
    )
    truth = dict(zip(job.stream["request_id"], job.stream["label"], strict=True))
    oracle = Oracle(truth, job.people.label_delay, session.task.kind)
    progress = session.store.state.read(ReplayPosition)
    for number, chunk in enumerate(_chunks(requests(job.stream), start, step)):
        end = start + (number + 1) * step
        if number >= progress.position:
            with session.timed("serving"):
                job.people.speak(service, service.predict(chunk), truth)
            if not job.frozen:
                _turn(session, oracle, end, start)
            session.store.state.write(replace(progress, position=number + 1))
        if advance:
            advance(end, len(chunk))
    return {**result(session, job, start), "seconds": time.perf_counter() - began}


def _turn(session: Session, oracle: Oracle, end: datetime, start: datetime) -> None:
    roll_out(session, end)
    hours = session.strategy.schedule.loop_hours
    if (end - start) % timedelta(hours=hours) == timedelta(0):
        loop(session, end, lambda tasks, now: oracle.answer(tasks, now))


def _chunks(stream: list[Request], start: datetime, step: timedelta) -> list[list[Request]]:
    """Requests by the clock step they fall into, empty steps included."""
    steps = int((stream[-1].timestamp - start) / step) + 1
    steps += -steps % max(1, int(timedelta(days=1) / step))  # the last day ends too
    chunks: list[list[Request]] = [[] for _ in range(steps)]
    for request in stream:
        chunks[int((request.timestamp - start) / step)].append(request)
    return chunks


def claim(session: Session, job: Replay) -> None:
    """Make the workspace this job's, or refuse because it is another's. Again does nothing."""
    known = session.store.state.read(ReplayPosition).name
    if not known and session.store.state.read(Champion).version is None:
        session.store.state.write(ReplayPosition(job.name()))
    elif known != job.name():
        raise WorkspaceError(
            "this workspace already holds another stream",
            where=str(session.workspace.root),
            got=f"replay {known}" if known else "a workspace in use",
            expected=f"replay {job.name()}, of the same files and options",
            do="choose another --workspace",
        )


def result(session: Session, job: Replay, start: datetime) -> dict[str, Any]:
    """What a replay reports; all but the seconds is the same on every run."""
    truth = dict(zip(job.stream["request_id"], job.stream["label"], strict=True))
    day = timedelta(days=1)
    days = int((job.stream["timestamp"].max().to_pydatetime() - start) / day) + 1
    picked = [
        session.store.queue.picked(start + d * day, start + (d + 1) * day) for d in range(days + 1)
    ]
    stages = [r.stage for r in session.store.decisions.rollouts()]
    told = [d for d in session.store.decisions.read("monitoring") if d.verdict == "alert"]
    alerts = [d for d in told if d.read(AlertEvidence).kind == "drift"]
    counters = session.store.state.counters()
    passes = sum(v for k, v in counters.items() if k.startswith("encoder_passes."))
    passes += sum(
        int(c.metrics.get("texts_read", 0)) for c in session.registry.versions()
    )  # in training
    texts = sum(v for k, v in counters.items() if k.startswith("texts."))
    return {
        "days": days,
        **accuracies(daily_scores(session, truth, start, days)),
        "labels": session.store.labels.count(),
        "feedback": session.store.feedback.count(),
        "truth": session.task.truth,
        "most_labels_in_a_day": max(picked),
        "retrains": session.store.state.read(Retrains).done - 1,
        "promotions": stages.count("promoted"),
        "rollbacks": stages.count("rolled_back"),
        "drift_alerts": len(alerts),
        "encoder_passes_per_text": passes / max(texts, 1),
        "seconds_per_stage": dict(session.seconds),
    }
