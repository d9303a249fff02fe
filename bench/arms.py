"""A stream under one trigger: traffic, signals, picks, its word, and a new head at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from bench.labelled import Stream
from core.arrays import Array
from core.evidence import AlertEvidence
from core.ids import uuid7
from core.models.classifier.head import Head, fit_head
from core.records.decisions import Decision
from core.records.labels import AnnotationTask
from core.records.signals import Signal
from core.records.windows import Window
from everloop.laws.windows import scored
from monitoring import Monitoring
from monitoring.alerts.findings import findings, spec_of
from monitoring.signals import accuracy, confidence, drift
from monitoring.view import ServedModel, View
from pipelines.curation.picking import Curation, answered
from pipelines.curation.pool import Pool
from pipelines.triggers.trigger import PromisedAccuracy, Round, Situation, Trigger

ENCODER = "the default"
WATCHED = (drift, confidence, accuracy)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Outcome:
    """What a stream gave under a trigger."""

    right: Array  # (n,) each request as it was answered
    retrains: list[datetime]
    labels: int
    alerts: int
    decisions: list[Decision]

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


@dataclass
class Arm:
    """One stream, one trigger, the real curation policy."""

    stream: Stream
    trigger: Trigger
    curation: Curation
    seed: int = 0  # of the picks
    settings: Monitoring = field(default_factory=Monitoring)

    def __post_init__(self) -> None:
        self.train = self.stream.train
        self.head = fit_head(self.train.embeddings, self.train.labels.tolist())
        self.version, self.fresh = 1, 0
        self.past: list[Window] = []
        self.alerts: list[Decision] = []
        self.bad: set[str] = set()
        self.rounds: list[Round] = []
        self.asked: Decision | None = None

    def run(self) -> Outcome:
        days = self.stream.days()
        last = days[0][0] - DAY
        right, retrains, said, labels, raised = [], [], [], 0, 0
        for now, where in days:
            window = _window(now, self.stream, where, self.head, self.version)
            truth = self.stream.requests.labels[where]
            right.append(window.rows["output"].to_numpy() == truth)
            signals = self._watch(window)
            raised += self._raise(signals, now)
            seen = self._situation(now, last, signals)
            budget = self.curation.labels_per_day
            wanted = self.trigger.labels_wanted(seen)
            picks = self.curation.pick(Pool(window), budget, f"{now}/{self.seed}", now, for_test=wanted)
            labels += len(picks)
            self._label(window, truth, picks, where, budget)
            decision = self.trigger.decide(self._situation(now, last, signals))
            said.append(decision)
            if decision.verdict == "retrain" and self.fresh:
                self._retrain()
                self.asked = decision
                retrains.append(now)
                last = now
        return Outcome(np.concatenate(right), retrains, labels, raised, said)

    def _watch(self, window: Window) -> list[Signal]:
        before = self.past[-self.settings.reference_days :]
        start = window.start - self.settings.reference_days * DAY
        reference = _joined(before, start, window.start) if before else window.take(np.arange(0))
        head, version = self.head, str(self.version)
        model = ServedModel(version, head.labels, frozenset(head.labels), ENCODER, head.probabilities)
        view = View(window, reference, model, self.settings)
        self.past = [*before, window]
        return [s for subject in WATCHED for s in subject.measure(view)]

    def _raise(self, signals: list[Signal], now: datetime) -> int:
        """One alert for each signal that was not bad the day before."""
        bad = {f.signal.name: f for f in findings(signals, (), lambda _rule, _signal: ())}
        new = [f for name, f in bad.items() if name not in self.bad]
        self.bad = set(bad)
        self.alerts += [
            Decision(
                f"alert/{f.signal.name}/{now:%Y-%m-%d}",
                "monitoring",
                now,
                "alert",
                "; ".join(f.words),
                AlertEvidence(kind=spec_of(f.signal.name).kind, signal=f.signal.name),
            )
            for f in new
        ]
        return len(new)

    def _situation(self, now: datetime, last: datetime, signals: list[Signal]) -> Situation:
        test = self.stream.evaluation
        guesses = np.asarray(self.head.labels)[self.head.probabilities(test.embeddings).argmax(axis=1)]
        return Situation(
            now=now,
            last_retrain=last,
            new_labels=self.fresh,
            alerts=self.alerts,
            signals=signals,
            promise=PromisedAccuracy(int((guesses != test.labels).sum()), len(test.labels)),
            rounds=self.rounds,
            asked=self.asked,
            requests_per_day=float(np.mean([len(w) for w in self.past])) if self.past else 0.0,
        )

    def _label(
        self, window: Window, truth: Array, picks: list[AnnotationTask], where: Array, budget: int
    ) -> None:
        place = {p: i for i, p in enumerate(window.rows["prediction_id"])}
        at = np.array([place[t.prediction_id] for t in picks], dtype=int)
        window.rows.loc[at, "truth"] = truth[at]
        window.rows.loc[at, "audit"] = [t.audit for t in picks]
        window.rows["score"] = scored(window.rows)["score"]
        window.rows.loc[at, "propensity"] = [t.propensity for t in picks]
        wrong = [t.propensity for t, i in zip(picks, at, strict=True) if t.predicted != truth[i]]
        share = budget / len(window)
        heard = answered(window)[str(self.version)]
        self.rounds.append(
            Round(window.end, heard, share, tuple(wrong), labels=len(picks), picks=len(picks))
        )
        learn = at[[not t.audit for t in picks]]
        self.fresh += len(learn)
        self.train = self.train + self.stream.requests.take(where[learn])

    def _retrain(self) -> None:
        self.head = fit_head(self.train.embeddings, self.train.labels.tolist(), start=self.head)
        self.version += 1
        self.fresh, self.alerts, self.rounds = 0, [], []


def _window(now: datetime, stream: Stream, where: Array, head: Head, version: int) -> Window:
    """A day's answers, as the store gives them."""
    shares = head.probabilities(stream.requests.embeddings[where]).astype(np.float16).astype(np.float32)
    ids = [f"{stream.name}/{i}" for i in where]
    rows = pd.DataFrame(
        {
            "prediction_id": [uuid7(now, i) for i in ids],
            "request_id": ids,
            "timestamp": pd.to_datetime(stream.times[where], utc=True),
            "model_version": str(version),
            "variant": "champion",
            "text": ids,  # different, and nobody reads them
            "output": np.asarray(head.labels, dtype=object)[shares.argmax(axis=1)],
            "confidence": shares.max(axis=1),
            "encoder": ENCODER,
            "user_key": "",
            "truth": pd.Series([None] * len(where), dtype=object),
            "score": np.nan,
            "audit": False,
            "kept": 1.0,
            "propensity": np.nan,
        }
    )
    return Window(now - DAY, now, rows, stream.requests.embeddings[where], list(shares))


def _joined(windows: list[Window], start: datetime, end: datetime) -> Window:
    rows = pd.concat([w.rows for w in windows], ignore_index=True)
    embeddings = np.vstack([w.embeddings for w in windows])
    return Window(start, end, rows, embeddings, [p for w in windows for p in w.probabilities])
