"""Our own rule, as the bench runs it: over streams day by day, and once at a size.

python -m bench.ours --rows 100000     one judgement of n rows of 384 against as many, as JSON
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from bench.curves import Named, Watch
from bench.streams import Stream
from core.arrays import Array
from core.records.windows import Window
from monitoring import Monitoring
from monitoring.drift.embeddings import History, embedding_drift
from monitoring.drift.threshold import Threshold
from monitoring.drift.types import DriftSettings
from monitoring.limits import EMBEDDING_SHIFT
from monitoring.signals import drift
from monitoring.signals.confidence import fall
from monitoring.view import Spec, View

DIM = 384
WARM = 400  # rows of a first judgement that does not count
START = datetime(2026, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = 60  # samples of days that are remembered


@dataclass(frozen=True)
class Policy:
    """Which rows a day is held against: `sliding`, the days before it; `fixed`, the first days."""

    name: str
    days: int
    null_days: int  # on the streams without drift, which begin with no drift to come

    def size(self, stream: Stream, real: str) -> int:
        return self.days if stream.name == real else self.null_days


def ours(streams: Sequence[Stream], policy: Policy, settings: Monitoring) -> Watch:
    """Everything of ours that alarms without a label, as the monitoring stage has it at the end of each
    day: drift of embeddings (the day, the week) and of labels, and lost confidence."""
    settings = settings.model_copy(update={"metrics": ["mmd", "l1"]})  # the others never alarm
    scores, alarms, kinds, began, windows = {}, {}, {}, time.perf_counter(), 0
    for stream in streams:
        first = policy.size(stream, streams[0].name)
        if policy.name == "fixed":
            score = fixed(stream, first, settings)
        else:
            score, kinds[stream.name] = sliding(stream, settings)
        score[:first] = np.nan
        scores[stream.name], alarms[stream.name] = score, score > 1
        windows += stream.days - first
    seconds = (time.perf_counter() - began) / max(1, windows)
    return Watch("everloop", scores, alarms, "its defaults", seconds, kinds=kinds)


def sliding(stream: Stream, settings: Monitoring) -> tuple[Array, list[Named]]:
    """(days,) strength of each day, and the kinds that drift was given; everything before a day is
    remembered as the monitoring stage does."""
    score, history = np.full(stream.days, np.nan), History()
    named: dict[datetime, Named] = {}
    for day in range(1, stream.days):
        view = replace(stream.view(day, settings), history=history)
        score[day] = strength(view)
        seen = view.embedding_drift
        if isinstance(seen, str):
            continue
        history = History([*history.samples, *seen.drawn][-KEPT:], seen.episodes)
        for e in seen.episodes:
            since, until = ((t - stream.start) // DAY if t else None for t in (e.since, e.until))
            named[e.since] = Named(e.kind, since or 0, until, day)
    return score, list(named.values())


def fixed(stream: Stream, first: int, settings: Monitoring) -> Array:
    """(days,) strength of each day against the `first` days and nothing else."""
    settings = settings.model_copy(update={"reference": "since-promotion"})
    score = np.full(stream.days, np.nan)
    for day in range(first, stream.days):
        score[day] = strength(stream.view(day, settings, first))
    return score


def strength(view: View) -> float:
    """The largest of all that alarms, how far it is from what the traffic does by itself in units
    of its limit; above 1 is an alarm. One number is swept for the curve: it multiplies every limit.

    While a gradual change goes on `drift.week` stays bad, which is no news, and does not count.
    """
    found = [d for spec, d in drift.held(view) if spec.bad and not _stands(view, spec)]
    lost = fall(view)
    found += [] if isinstance(lost, str) else [lost[1]]
    return max((d.strength for d in found if not isinstance(d, str)), default=float("nan"))


def _stands(view: View, spec: Spec) -> bool:
    episodes = view.history.episodes if view.history else ()
    return spec is drift.WEEK and any(e.kind == "gradual" and e.until is None for e in episodes)


def main() -> None:
    parser = argparse.ArgumentParser(description="One judgement: seconds, and MiB above the rows.")
    parser.add_argument("--rows", type=int, required=True)
    rows = parser.parse_args().rows
    window, reference = made(rows, 0), made(rows, 1)
    once(window[:WARM], reference[:WARM])
    before, began = peak(), time.perf_counter()
    once(window, reference)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mebibytes": max(0.0, peak() - before)}))


def once(window: Array, reference: Array) -> None:
    """The whole verdict on embeddings, with what this traffic does by itself."""
    settings = Monitoring()
    length = timedelta(days=1)
    ages = np.arange(len(reference)) * settings.reference_days // len(reference) + 1
    past = as_window(reference, START - settings.reference_days * length, START)
    rule = Threshold(settings.drift_sd, EMBEDDING_SHIFT)
    embedding_drift(as_window(window, START, START + length), past, ages, DriftSettings(rule))


def as_window(embeddings: Array, start: datetime, end: datetime) -> Window:
    return Window(start, end, pd.DataFrame({"encoder": ["e"] * len(embeddings)}), embeddings, [])


def made(rows: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    embeddings = rng.standard_normal((rows, DIM), dtype=np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings


def peak() -> float:
    """MiB of resident memory, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
