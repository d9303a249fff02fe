"""Accuracy of single days from 20 picks, 2 of them for audit: rows of bench/estimates.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bench.form import Row
from bench.served import FIRST_SEED, Run, serve
from bench.streams import read_stream
from core.records import Array
from monitoring.accuracy import plain
from monitoring.estimates.calibration import fit
from monitoring.estimates.weighted import spread_of
from monitoring.estimates.window import Accuracies, Asked, accuracies, drawn
from monitoring.signals.last import FEWEST
from pipelines.curation.margin import Margin

LABELS = Margin(policy="margin", labels_per_day=20)
PERIOD = 14


def rows(data: Path, seeds: int) -> list[Row]:
    """Of a model that learns each night from its picks, and of one that does not."""
    found: list[Row] = []
    for name, refit in (("clinc", True), ("banking77", False)):
        stream = read_stream(name, data)
        runs = [serve(stream, FIRST_SEED + seed, refit, LABELS) for seed in range(seeds)]
        found += [*daily(f"{name}: a day", runs), *daily(f"{name}: a segment's day", runs, apart=True)]
    return found


def daily(name: str, runs: list[Run], apart: bool = False) -> Iterator[Row]:
    """Single days as `accuracy.last.*` sees them once their labels are there, beside the picks as
    they are and Wilson's interval on as many labels that were drawn evenly. The bars on widths only
    keep an interval of 0..1 from passing: they were set when the widths were known."""
    table = pd.DataFrame([d for seed, run in enumerate(runs) for d in _days(seed, run, apart)])
    mean, worst = table.mean(), table.groupby("seed").mean().min()
    for kind, widest in (("weighted", "<= 2.5"), ("powered", "<= 2")):
        covered, width = mean[f"{kind}_covered"], mean[f"{kind}_width"]
        low = f"worst seed {worst[f'{kind}_covered']:.2f}; even labels {mean.wilson_covered:.3f}"
        yield Row(f"{name}, {kind}: covered", covered, "share", ">= 0.93", low)
        yield Row(
            f"{name}, {kind}: width", width / mean.wilson_width, "x Wilson", widest, f"{width:.3f}"
        )
        yield Row(f"{name}, {kind}: off", mean[f"{kind}_off"], "MAE")
    about = f"{mean.labels:.1f} labels, {len(table) // len(runs)} a seed, truth {mean.truth:.3f}"
    yield Row(f"{name}, picks as they are: off", mean.picks_off, "MAE", "", about)
    yield Row(f"{name}, as many even labels: off", mean.wilson_off, "MAE")


def _days(seed: int, run: Run, apart: bool) -> Iterator[dict[str, float]]:
    rng = np.random.default_rng(seed)
    for name in np.unique(run.segment) if apart else [""]:
        here = (run.segment == name) | (not apart)
        known = here & drawn(run.answers)
        for day in range(int(run.day.max()) + 1):
            at, before = here & (run.day == day), known & (run.day < day)
            if (at & known).sum() < FEWEST:
                continue
            late = (run.day > day - PERIOD) & (run.day <= day)
            spread = spread_of(run.answers.chance[late & known], float((late & here).sum()))
            asked = Asked(run.answers.take(at), float(at.sum()), spread)
            learnt = fit(run.answers.take(before))
            found = accuracies(asked, run.answers.take(at & known), learnt)
            even = rng.choice(np.flatnonzero(at), int((at & known).sum()), replace=False)
            yield {"seed": seed, "labels": len(even), **_scored(found, run.right[at], run.right[even])}


def _scored(found: Accuracies, right: Array, even: Array) -> dict[str, float]:
    truth, plainly = float(right.mean()), plain(even)
    scored = {"truth": truth, "picks_off": abs(found.picks - truth)}
    powered, weighted = found.powered, found.weighted
    for kind, value, (low, high) in (
        ("weighted", weighted.value, (weighted.low, weighted.high)),
        ("powered", powered.value, powered.once),
        ("wilson", plainly.value, (plainly.low, plainly.high)),
    ):
        covered, width = low - 1e-9 <= truth <= high + 1e-9, high - low
        scored |= {
            f"{kind}_covered": covered,
            f"{kind}_width": width,
            f"{kind}_off": abs(value - truth),
        }
    return scored
