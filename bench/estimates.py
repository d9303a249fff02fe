"""Accuracy without labels, and with few, against the truth of the real streams.

    python -m bench.estimates --data ../shared/data --seeds 10

A model answers 60 days; each day 20 answers get a label, drawn by the `margin` policy, 4 of them for
audit (of the single days, as is the default: 2, with twice the seeds). The truth of the rest is seen by
nobody but the score at the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from scipy.stats import beta

from bench.form import Row, report
from bench.streams import Stream, read_stream
from core.models.head import Head, fit_head
from core.records import Array, Window
from monitoring.accuracy import plain, weighted, wilson
from monitoring.estimates.answers import Answers, answers_of, joined
from monitoring.estimates.calibration import fit
from monitoring.estimates.powered import Powered, chained, rectified
from monitoring.estimates.weighted import spread_of
from monitoring.estimates.window import Accuracies, Asked, accuracies, drawn
from monitoring.signals.window import FEWEST
from pipelines.curation.margin import Margin

LABELS = Margin(policy="margin", labels_per_day=20, audit_share=0.2)
USUAL = Margin(policy="margin", labels_per_day=20)  # for the estimates of single days
WEEK, PERIOD = 7, 14
FIRST_SEED = 1000  # none that anything was tried out on


@dataclass(frozen=True)
class Run:
    """A served stream: what was seen of it, and what only the score may see."""

    answers: Answers  # (n,), `right` only where a label was drawn
    right: Array  # (n,) bool, of all
    day: Array  # (n,) from 0
    fresh: Array  # (n,) bool: of a label never seen before its day
    segment: Array  # (n,) str: the domain of the request, or which quarter of the users asked


def rows(data: Path, seeds: int) -> list[Row]:
    """Every number of this bench."""
    clinc, banking = read_stream("clinc", data), read_stream("banking77", data)
    found: list[Row] = []
    for name, stream, refit in (
        ("clinc, frozen", clinc, False),
        ("clinc, refitted daily", clinc, True),
        ("banking77, frozen", banking, False),
    ):
        runs = [serve(stream, FIRST_SEED + seed, refit) for seed in range(seeds)]
        found += [*_blind(name, runs), *_corrected(name, runs)]
    for name, stream, refit in (
        ("clinc, refitted daily", clinc, True),
        ("banking77, frozen", banking, False),
    ):
        runs = [serve(stream, FIRST_SEED + seed, refit, USUAL) for seed in range(2 * seeds)]
        found += [
            *daily(f"{name}: a day", runs),
            *daily(f"{name}: a day of a segment", runs, apart=True),
        ]
    return found


def serve(stream: Stream, seed: int, refit: bool, labels: Margin = LABELS) -> Run:
    """The stream answered day by day, by a frozen head or by one refitted each night on the picks."""
    head, parts, right = stream.head, [], []
    truth = stream.frame["truth"].to_numpy(dtype=str)
    embeddings, learnt = stream.training.embeddings, list(stream.training.labels)
    for day in range(stream.days):
        where = np.flatnonzero(stream.day == day)
        window = _answered(stream.window(day), head)
        tasks = labels.pick(window, 20, f"{seed}/{day}", window.end)
        place = {p: i for i, p in enumerate(window.rows["prediction_id"])}
        at = np.array([place[t.prediction_id] for t in tasks], dtype=int)
        audit = np.array([t.audit for t in tasks])
        window.rows.loc[at, "truth"] = truth[where[at]]
        window.rows.loc[at, "propensity"] = [t.propensity for t in tasks]
        window.rows.loc[at[audit], "audit"] = True
        parts.append(answers_of(window))
        right.append(window.rows["label"].to_numpy(dtype=str) == truth[where])
        if refit:
            embeddings = np.concatenate([embeddings, window.embeddings[at[~audit]]])
            learnt += truth[where[at[~audit]]].tolist()
            head = fit_head(embeddings, learnt, start=head)
    fresh = _fresh(stream, truth)
    return Run(joined(*parts), np.concatenate(right), stream.day, fresh, _segment(stream))


def _answered(window: Window, head: Head) -> Window:
    shares = head.probabilities(window.embeddings).astype(np.float16).astype(np.float32)
    label = np.array(head.labels, dtype=object)[shares.argmax(axis=1)]
    rows = window.rows.assign(label=label, score=shares.max(axis=1).astype(float))
    return replace(window, rows=rows, probabilities=shares)


def _fresh(stream: Stream, truth: Array) -> Array:
    first = dict.fromkeys(stream.training.labels.tolist(), -1)
    for label, day in zip(truth, stream.day, strict=True):
        first.setdefault(label, int(day))
    return np.asarray(np.array([first[t] for t in truth]) == stream.day)


def _segment(stream: Stream) -> Array:
    domain = stream.frame["domain"].to_numpy(dtype=str)
    quarter = stream.frame["user_key"].map(lambda key: str(crc32(key.encode()) % 4)).to_numpy(dtype=str)
    return np.asarray(np.where(domain == "", quarter, domain))


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
        plain, exact = wilson(share, n), _clopper_pearson(int(right.sum()), n)
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


def daily(name: str, runs: list[Run], apart: bool = False) -> Iterator[Row]:
    """Single days as `accuracy.window.*` sees them once their labels are there, beside the picks as they
    are and Wilson's interval on as many labels that were drawn evenly. The bars on widths are only to keep
    an interval of 0..1 from passing: they were set when the widths were known."""
    days = [d for seed, run in enumerate(runs) for d in _days(seed, run, apart)]
    table = pd.DataFrame(days)
    mean, worst = table.mean(), table.groupby("seed").mean().min()
    for kind, widest in (("weighted", "<= 2"), ("powered", "<= 1.5")):
        covered, width = mean[f"{kind}_covered"], mean[f"{kind}_width"]
        low = f"worst seed {worst[f'{kind}_covered']:.2f}, Wilson on even labels {mean.wilson_covered:.3f}"
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


def _powered(run: Run, chances: Array, period: Array, labels: Array) -> Powered:
    """Audit labels alone were drawn evenly."""
    audit_only = bool(run.answers.audit[labels].all())
    evenly = np.full(int(labels.sum()), labels.sum() / period.sum())
    chance = evenly if audit_only else run.answers.chance[labels]
    return rectified(chances[period], run.right[labels].astype(float), chances[labels], chance)


def _clopper_pearson(right: int, n: int) -> tuple[float, float]:
    low = float(beta.ppf(0.025, right, n - right + 1)) if right else 0.0
    return low, float(beta.ppf(0.975, right + 1, n - right)) if right < n else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report("estimates", rows(given.data, given.seeds), given.json)


if __name__ == "__main__":
    main()
