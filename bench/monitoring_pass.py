"""What one look at a day of 100,000 answers costs: every signal of it and of its segments, from the
store to the stored signals, on two cores. The seven days before hold as many each; no report is made.

python -m bench.monitoring_pass --json bench/out/monitoring_pass.json
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.form import Row, report
from bench.material import make_workspace
from core.arrays import Array
from core.ids import uuid7
from core.kept import Kept
from core.models.classifier.model import TextClassifier
from core.records.answers import ClassificationDetail, Prediction
from everloop.sample import bundled
from flows.monitor import monitor
from flows.session import Session, open_session
from monitoring.limits import REFERENCE_ROWS

DAYS = 8  # the window's, and its reference's
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
COUNTRIES = ("at", "ch", "de", "dk", "es", "fr", "it", "nl", "pl", "se")
APPS = ("ios", "android", "web")
PART = 5000


def rows(a_day: int = 100_000) -> list[Row]:
    """Seconds and memory of a pass in a fresh process, and the seconds of the next one in it."""
    with tempfile.TemporaryDirectory() as folder:
        place = make_workspace(Path(folder) / "shop")
        _child("fill", place, a_day)
        found = json.loads(_child("look", place, a_day))
    named = f"monitoring pass, {a_day:,} answers"
    note = f"{found['signals']} signals, {found['segments']} segments, reference {DAYS - 1} x {a_day:,}"
    return [
        Row(named, found["first"], "s", "<= 10", note),
        Row(f"{named}, again in the process", found["again"], "s"),
        Row(f"{named}, of it reading the store", found["reading"], "s"),
        Row(f"{named}, peak memory", found["memory"], "GiB", "<= 2"),
    ]


def _child(what: str, place: Path, a_day: int) -> str:
    command = [sys.executable, "-m", "bench.monitoring_pass", what, str(place), "--rows", str(a_day)]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1] if done.stdout else ""


def fill(session: Session, a_day: int) -> None:
    """Answers of the champion to the sample's texts, each with a word of its own and some noise."""
    model = TextClassifier.load(session.registry.path(session.store.state.champion()))
    with (bundled() / "stream.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:2000]
    read = model.embed(texts).astype(np.float32)
    rng = np.random.default_rng(0)
    for start in range(0, DAYS * a_day, PART):
        chosen = rng.integers(0, len(texts), PART)
        noisy = read[chosen] + rng.normal(0, 0.02, (PART, read.shape[1])).astype(np.float32)
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        times = [START + DAY * ((start + i) / a_day) for i in range(PART)]
        made = _answers(model, session.store.state.champion(), times, [texts[c] for c in chosen], noisy)
        session.store.answers.append([Kept(list(made), PART)])


def _answers(
    model: TextClassifier, version: str, times: list[datetime], texts: list[str], embeddings: Array
) -> Iterator[Prediction]:
    rng = np.random.default_rng(int(times[0].timestamp()))
    shares, draws = model.trained.probabilities(embeddings), rng.random((len(times), 3))
    best = shares.argmax(axis=1)
    for i, when in enumerate(times):
        request = uuid7(when, str(i), "request")
        yield Prediction(
            prediction_id=uuid7(when, request, "champion"),
            request_id=request,
            timestamp=when,
            model_version=version,
            variant="champion",
            text=f"{texts[i]} {int(draws[i, 0] * 500)}",
            output=model.trained.labels[best[i]],
            confidence=float(shares[i, best[i]]),
            detail=ClassificationDetail(shares[i].astype(np.float16)),
            embedding=embeddings[i].astype(np.float16),
            encoder=model.encoder.identity,
            segments={
                "app": APPS[int(draws[i, 1] * len(APPS))],
                "country": COUNTRIES[int(draws[i, 2] ** 2 * len(COUNTRIES))],
            },
            user_key="",
            latency_ms=2 + 5 * float(draws[i, 1]),
        )


def look(session: Session) -> dict[str, float]:
    """The passes of a process that has opened the workspace and loaded its model, and nothing more."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    session.registry.load(session.store.state.champion())
    now = START + DAY * DAYS
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        signals = monitor(session, now)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    session.store.answers.window(now - DAY, now)
    session.store.answers.window(START, now - DAY, most=REFERENCE_ROWS)
    return {
        "first": seconds[0],
        "again": seconds[1],
        "reading": time.perf_counter() - began,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "signals": len(signals),
        "segments": len({s.segment for s in signals}) - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("fill", "look"), help="what a child process does")
    parser.add_argument("place", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=100_000, help="answers a day")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.part == "fill":
        fill(open_session(options.place), options.rows)
    elif options.part == "look":
        print(json.dumps(look(open_session(options.place))))
    else:
        report("monitoring_pass", rows(options.rows), options.json)


if __name__ == "__main__":
    main()
