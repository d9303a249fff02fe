"""Accuracy without labels, and with few, against the truth of the real streams.

    python -m bench.estimates --data ../shared/data --seeds 10

A model answers 60 days; each day 20 answers get a label, drawn by the `margin` policy, 4 of them for
audit. The truth of the rest is seen by nobody but the score at the end. Single days (days.py) have
twice the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bench import days
from bench.form import Row, report
from bench.served import FIRST_SEED, Run, serve
from bench.streams import read_stream
from core import intervals
from core.records import Array
from monitoring.accuracy import weighted
from monitoring.estimates.calibration import fit
from monitoring.estimates.powered import Powered, chained, rectified
from pipelines.curation.margin import Margin

LABELS = Margin(policy="margin", labels_per_day=20, audit_share=0.2)
WEEK, PERIOD = 7, 14


def rows(data: Path, seeds: int) -> list[Row]:
    """Weeks and fortnights."""
    clinc, banking = read_stream("clinc", data), read_stream("banking77", data)
    found: list[Row] = []
    for name, stream, refit in (
        ("clinc, frozen", clinc, False),
        ("clinc, refitted daily", clinc, True),
        ("banking77, frozen", banking, False),
    ):
        runs = [serve(stream, FIRST_SEED + seed, refit, LABELS) for seed in range(seeds)]
        found += [*_blind(name, runs), *_corrected(name, runs)]
    return found


def _blind(name: str, runs: list[Run]) -> Iterator[Row]:
    """Weeks as their last day's monitoring sees them: labels up to then calibrate the confidences."""
    off, calm, naive = [], [], []
    for run in runs:
        for end in range(WEEK, int(run.day.max()) + 2):
            week = (run.day >= end - WEEK) & (run.day < end)
            known = run.answers.take((run.day < end) & np.isfinite(run.answers.right))
            answers, truth = run.answers.take(week), run.right[week].mean()
            off.append(abs(float(fit(known).chances(answers).mean()) - truth))
            naive.append(abs(float(answers.shares[:, 0].mean()) - truth))
            calm.append(not run.fresh[week].any())
    quiet = np.array(off)[calm]
    weeks = f"{len(quiet) // len(runs)} of {len(off) // len(runs)} weeks"
    yield Row(f"{name}: estimated, no new class", float(quiet.mean()), "MAE", "<= 0.03", weeks)
    yield Row(f"{name}: estimated, all weeks", float(np.mean(off)), "MAE", "", f"worst {max(off):.3f}")
    yield Row(f"{name}: mean confidence, all weeks", float(np.mean(naive)), "MAE")


def _corrected(name: str, runs: list[Run]) -> Iterator[Row]:
    """Fourteen days as their last day's monitoring sees them: with all labels, as `accuracy.powered`
    does and for all looks at once, and with the four audit labels a day alone, for one look."""
    table = pd.DataFrame([look for seed, run in enumerate(runs) for look in _looks(seed, run)])
    mean = table.mean()
    worst = table.groupby("seed").mean().min()
    yield Row(
        f"{name}: powered, days covered", mean.covered, "share", ">= 0.95", f"worst {worst.covered:.2f}"
    )
    yield Row(
        f"{name}: powered, width", mean.width / mean.wilson, "x Wilson", "<= 0.8",
        f"{mean.width / mean.exact:.2f} x Clopper-Pearson, {mean.width / mean.kish:.2f} x all weighted",
    )  # fmt: skip
    yield Row(f"{name}: powered, off", mean.off, "MAE", "", f"audit labels alone {mean.plain_off:.4f}")
    yield Row(
        f"{name}: on audit labels, days covered", mean.few_covered, "share", ">= 0.95",
        f"worst {worst.few_covered:.2f}; Wilson {mean.wilson_covered:.3f}, {worst.wilson_covered:.2f}",
    )  # fmt: skip
    yield Row(
        f"{name}: on audit labels, width", mean.few_width / mean.wilson, "x Wilson", "<= 0.8",
        f"{mean.few_width / mean.exact:.2f} x Clopper-Pearson; for all looks "
        f"{mean.few_always / mean.wilson:.2f}, covers {mean.few_always_covered:.3f}",
    )  # fmt: skip


def _looks(seed: int, run: Run) -> Iterator[dict[str, float]]:
    """Each day from the 14th: how wide the intervals were, and whether the truth was in them."""
    labelled = np.isfinite(run.answers.right)
    chances = chained(run.answers.take(labelled), run.answers)[1]
    for end in range(PERIOD, int(run.day.max()) + 2):
        period = (run.day >= end - PERIOD) & (run.day < end)
        truth = float(run.right[period].mean())
        every, audit = period & labelled, period & run.answers.audit
        ours = _powered(run, chances, period, every)
        few = _powered(run, chances, period, audit)
        right = run.right[audit]
        share, n = float(right.mean()), len(right)
        plain, exact = intervals.share(right.sum(), n), intervals.exact(int(right.sum()), n)
        kish = weighted(run.right[every], run.answers.chance[every])
        yield {
            "seed": seed,
            "covered": ours.low <= truth <= ours.high,
            "width": ours.high - ours.low,
            "off": abs(ours.value - truth),
            "few_covered": few.once[0] <= truth <= few.once[1],
            "few_width": few.once[1] - few.once[0],
            "few_always": few.high - few.low,
            "few_always_covered": few.low <= truth <= few.high,
            "wilson": plain[1] - plain[0],
            "wilson_covered": plain[0] <= truth <= plain[1],
            "exact": exact[1] - exact[0],
            "kish": kish.high - kish.low,
            "plain_off": abs(share - truth),
        }


def _powered(run: Run, chances: Array, period: Array, labels: Array) -> Powered:
    """Audit labels alone were drawn evenly."""
    audit_only = bool(run.answers.audit[labels].all())
    evenly = np.full(int(labels.sum()), labels.sum() / period.sum())
    chance = evenly if audit_only else run.answers.chance[labels]
    return rectified(chances[period], run.right[labels].astype(float), chances[labels], chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = [*rows(given.data, given.seeds), *days.rows(given.data, 2 * given.seeds)]
    report("estimates", found, given.json)


if __name__ == "__main__":
    main()
