"""Live accuracy from a few labels a day, against the truth of the real streams.

    python -m bench.estimates --data ../shared/data --seeds 10

A model answers 60 days, with the shipped strategy: 20 labels a day, one of them for audit. At the end
of each day monitoring says how accurate the answers of the last 14 days were (the signal `accuracy`),
when the labels of all days but the last are there. The truth of the other answers is seen by nobody
but the score at the end. Beside it: Wilson's interval on the audit labels alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.form import Row, report
from bench.served import FIRST_SEED, SHIPPED, Run, serve
from bench.streams import DAY, Stream, read_stream, shuffled
from core.arrays import Array
from core.intervals import share
from core.records.signals import Signal
from monitoring.limits import ACCURACY_DAYS
from monitoring.signals.accuracy import measure
from monitoring.view import ServedModel, View, having
from pipelines.triggers.accuracy import Accuracy
from pipelines.triggers.trigger import Situation

MEMORY = 60  # days of labels that calibrate
SEGMENTS_EVERY = 7  # days
FIRST_WEEK = 7  # days
SETTINGS = SHIPPED.monitoring.model_copy(update={"min_rows": 20})  # segments are small
TRIGGER = Accuracy(policy="accuracy")


def rows(data: Path, seeds: int) -> Iterator[Row]:
    clinc, banking = read_stream("clinc", data), read_stream("banking77", data)
    yield from _of("clinc", clinc, seeds, refit=True)
    yield from _of("banking77", banking, seeds, refit=True)
    yield from _of("clinc, frozen", clinc, seeds, refit=False)
    yield from _of("clinc, shuffled", shuffled(clinc, 1), seeds, refit=True)
    yield from _of("banking77, shuffled", shuffled(banking, 1), seeds, refit=True)


def _of(name: str, stream: Stream, seeds: int, refit: bool) -> Iterator[Row]:
    found = []
    for seed in range(seeds):
        run = serve(stream, FIRST_SEED + seed, refit)
        found += [{"seed": seed, **seen} for seen in _seen(run)]
    yield from _rows(name, pd.DataFrame(found), seeds)


def _rows(name: str, table: pd.DataFrame, seeds: int) -> Iterator[Row]:
    whole = table[table.part == ""]
    said = whole[whole.value.notna()]
    mean, covered = said.mean(numeric_only=True), said.groupby("seed").covered.mean()
    spread = f"worst seed {covered.min():.3f}; audit labels alone {mean.alone_covered:.3f}"
    yield Row(f"{name}: days covered", float(covered.mean()), "share", ">= 0.93", spread)
    days = f"of {len(said)} days"
    yield Row(f"{name}: wider than audit labels alone", mean.wider, "share", "<= 0", days)
    width, both = float((said.width / said.alone).mean()), f"{mean.width:.3f} against {mean.alone:.3f}"
    yield Row(f"{name}: width", width, "x audit", "", both)
    first = float(said.groupby("seed").day.min().max())
    labels = said[said.day == first]
    spread = f"{labels.labels.mean():.0f} labels, {labels.audits.mean():.1f} of them audit"
    yield Row(f"{name}: first day, latest seed", first, "day", "<= 7", spread)
    silent = float(whole[whole.day >= FIRST_WEEK].value.isna().mean())
    yield Row(f"{name}: later days without a value", silent, "share", "<= 0")
    off = f"audit labels alone {mean.alone_off:.4f}; without labels, one day {mean.blind_off:.4f}"
    yield Row(f"{name}: off", mean.off, "MAE", "", off)
    yield _fired(name, whole, seeds)
    parts = table[(table.part != "") & table.value.notna()]
    if len(parts):
        spread = f"{len(parts) / seeds:.0f} a seed, {float(parts.wider.mean()):.3f} of them wider"
        share_covered = float(parts.covered.mean())
        yield Row(f"{name}: segments, covered", share_covered, "share", ">= 0.93", spread)


def _fired(name: str, whole: pd.DataFrame, seeds: int) -> Row:
    """No trigger may fire where accuracy was never below the floor."""
    fired = whole[whole.fires.astype(bool)].groupby("seed").day.min()
    lowest = whole.truth.min()
    spread = f"truth at least {lowest:.3f}; " + (f"days {sorted(fired)}" if len(fired) else "never")
    bar = "<= 0" if lowest >= SETTINGS.accuracy_floor else ""
    return Row(f"{name}: the trigger fires", float(len(fired)), f"of {seeds}", bar, spread)


def _seen(run: Run) -> Iterator[dict[str, Any]]:
    """Each day as monitoring and the trigger see it, beside the truth."""
    for day in range(int(run.day[-1]) + 1):
        right, view = run.right[run.last(day, ACCURACY_DAYS)], _view(run, day)
        signals = list(measure(view))
        said = {s.name: s.value for s in signals}
        yield {
            **_scored(signals[0], view, right),
            "day": day + 1,
            "blind_off": abs((said["accuracy.estimated"] or 0.0) - run.right[run.day == day].mean()),
            "fires": _fires(view, signals),
        }
        if day % SEGMENTS_EVERY == SEGMENTS_EVERY - 1:
            for part in view.segments():
                assert view.recent
                here = having(view.recent, *part.where)
                yield {
                    **_scored(next(iter(measure(part))), part, right[here]),
                    "day": day + 1,
                    "fires": False,
                }


def _view(run: Run, day: int) -> View:
    recent, memory = run.until(day, ACCURACY_DAYS), run.until(day, MEMORY)
    labelled = memory.take(memory.rows["truth"].notna().to_numpy(dtype=bool))
    end = run.answers.start + (day + 1) * DAY
    today = recent.take((recent.rows["timestamp"] >= end - DAY).to_numpy(dtype=bool))
    window, nobody = replace(today, start=end - DAY, end=end), recent.take(np.zeros(0, dtype=int))
    model = ServedModel(today.rows["model_version"].iloc[-1], [], frozenset())
    return View(window, nobody, model, SETTINGS, labelled=labelled, recent=recent)


def _fires(view: View, signals: list[Signal]) -> bool:
    now = view.whole.end
    situation = Situation(now, now - MEMORY * DAY, 0, [], signals)
    return TRIGGER.decide(situation).verdict == "retrain"


def _scored(signal: Signal, view: View, right: Array) -> dict[str, Any]:
    assert view.recent
    recent = view.recent
    audit = recent.rows["audit"].to_numpy(dtype=bool)
    hits, n, truth = float(right[audit].sum()), int(audit.sum()), float(right.mean())
    low, high = share(hits, n)
    width = (signal.high or 0) - (signal.low or 0)
    return {
        "part": signal.segment,
        "value": signal.value,
        "truth": truth,
        "covered": signal.value is not None
        and (signal.low or 0) - 1e-9 <= truth <= (signal.high or 0) + 1e-9,
        "width": width,
        "alone": high - low,
        "alone_covered": low <= truth <= high,
        "wider": signal.value is not None and width > high - low + 1e-9,
        "off": abs((signal.value or 0.0) - truth),
        "alone_off": abs(hits / n - truth) if n else np.nan,
        "labels": int(recent.rows["truth"].notna().sum()),
        "audits": n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report("estimates", list(rows(given.data, given.seeds)), given.json)


if __name__ == "__main__":
    main()
