"""Would everybody sign this candidate off? The rule of the gate, and its reasons in words.

The fixed set stands for the traffic the first model was made for, the audit set for the traffic that
came since. A label set that grows from 75 to 150 costs a little on the first and gains much on the
second, so:

1. A set is *worse* when the candidate loses more than `max_drop` on it and the disputed rows say that
   this is not chance (exact McNemar, p < 0.1). A strict test of "not worse" would block most good
   retrains on a few hundred rows; the point estimate alone would block by luck.
2. A worse set may be paid for: the sets' differences, each set counting the same, sum to a gain,
   another set's gain is not chance either, and no set loses more than five times `max_drop`.
3. A named collection is a set like these that cannot pay: a candidate that is worse on it is stopped,
   unless the sets that stand for traffic pay for it.
4. Accuracy over all rows of those sets is at least `min_accuracy`, and no expectation failed.
5. A set of fewer than `min_rows` rows is shown and not counted: what a handful of rows says is chance.
   A collection was put together by hand and can only stop, so it counts however small it is. Where no
   set is left that stands for traffic, and nothing stops the candidate, the verdict is `cannot judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from core.records.versions import Judgement, TestReport
from pipelines.testing.compare import PairedComparison
from pipelines.testing.expectations import Expectation
from pipelines.testing.labels import Scarce
from pipelines.testing.sheet import COLLECTION, Sheet

if TYPE_CHECKING:
    from pipelines.testing import Testing

CHANCE = 0.1
LOSS = 5  # times `max_drop`: lost on one set, no gain on another can pay for it
NAMES = {"eval": "fixed set", "audit": "audit set", "recent": "recent set"}


@dataclass(frozen=True)
class MoreResults:
    """What a report says beside the accuracies."""

    expectations: Sequence[Expectation] = ()
    labels: Scarce = field(default_factory=Scarce)


def judge(
    names: tuple[str, str | None], sheet: Sheet, asked: MoreResults, settings: Testing
) -> TestReport:
    """All comparisons and expectations as one report; `names` are the candidate and the champion."""
    against = {name: sheet.compare(mask) for name, mask in sheet.sets().items()}
    counted = {name: c for name, c in against.items() if counts(name, c.rows, settings.min_rows)}
    drawn = [m for n, m in sheet.sets().items() if n in _drawn(counted)]
    # collections were put together by hand: they say nothing of a mean
    together = sheet.compare(np.logical_or.reduce(drawn)) if drawn else None
    slices = [{**s, "counted": s["set"] in counted} for s in sheet.slices()]
    blocks = [
        *_accuracy(counted, together, settings),
        *(_words(e) for e in asked.expectations if e.stops),
    ]
    first = names[1] is None
    rows = {name: c.rows for name, c in _drawn(against).items()}
    open_ = [] if together else [f"nothing to judge by: {too_few(rows, settings.min_rows)}"]
    few = f"shown, not counted: fewer than {settings.min_rows} rows"
    sets = [_describe(n, c, first, "" if n in counted else few) for n, c in against.items()]
    warned = [s for s in slices if s["segment"] and s["warning"] and s["counted"]]
    paid = [] if blocks or first else _paid(counted, settings)
    verdict: Judgement = "fail" if blocks else "cannot judge" if open_ else "pass"
    return TestReport(
        candidate=names[0],
        champion=names[1] or "",
        verdict=verdict,
        reasons=[
            *blocks,
            *open_,
            *asked.labels.words(),
            *sets,
            *paid,
            *_kept(asked.expectations),
            *(f"warning: {_describe_slice(s)}" for s in warned),
        ],
        metrics=_metrics(against, together, asked.expectations, first),
        slices=slices,
        expectations=[asdict(e) for e in asked.expectations],
        labels=[asdict(x) for x in asked.labels.rows],
    )


def counts(name: str, rows: int, needed: int) -> bool:
    """Whether an evaluation set judges, or is only shown."""
    return name.startswith(COLLECTION) or rows >= needed


def too_few(rows: Mapping[str, int], needed: int) -> str:
    """No evaluation set (name -> rows) has the rows that are needed: which there are, and what to do.

    >>> too_few({"eval": 1}, 20).partition(". ")[0]
    'an evaluation set needs 20 rows (testing.min_rows), and there are: fixed set 1'
    """
    there = ", ".join(f"{set_name(n)} {k}" for n, k in rows.items() if k) or "none"
    more = needed - rows.get("audit", 0)
    return (
        f"an evaluation set needs {needed} rows (testing.min_rows), and there are: {there}. "
        f"The champion stays. Next: label {more} more audit rows (curation.audit_share says how many "
        "are drawn), or start with more: everloop train TRAIN.csv --eval EVAL.csv"
    )


def _accuracy(
    against: dict[str, PairedComparison], together: PairedComparison | None, settings: Testing
) -> list[str]:
    """Why accuracy alone would stop the candidate; empty when it would not."""
    blocks = []
    if together and together.candidate < settings.min_accuracy:
        blocks.append(
            f"accuracy {together.candidate:.3f} over all rows, not {settings.min_accuracy:g} or more"
        )
    for name in _worse(against, settings):
        c = against[name]
        most = LOSS * settings.max_drop
        if c.difference < -most:
            blocks.append(
                f"{set_name(name)}: {-c.difference:.3f} lost, more than anything can pay for "
                f"({LOSS} x max_drop, {most:g})"
            )
        elif not _is_paid(against):
            blocks.append(
                f"{set_name(name)}: {-c.difference:.3f} lost, more than max_drop {settings.max_drop:g} "
                f"and not by chance ({c.lost} rows lost, {c.gained} gained, p = {c.p_worse:.2g}); "
                "no gain pays for it"
            )
    return blocks


def _worse(against: dict[str, PairedComparison], settings: Testing) -> list[str]:
    return [name for name, c in against.items() if c.is_worse(settings.max_drop, CHANCE)]


def _drawn(against: dict[str, PairedComparison]) -> dict[str, PairedComparison]:
    """The sets that stand for traffic: what pays."""
    return {name: c for name, c in against.items() if not name.startswith(COLLECTION)}


def _is_paid(against: dict[str, PairedComparison]) -> bool:
    against = _drawn(against)
    gains = any(c.difference > 0 and c.p_better < CHANCE for c in against.values())
    return gains and sum(c.difference for c in against.values()) > 0


def _paid(against: dict[str, PairedComparison], settings: Testing) -> list[str]:
    return [
        f"the loss on the {set_name(name)} is paid for: over the sets, each counting the same, "
        f"the mean is {np.mean([c.difference for c in _drawn(against).values()]):+.3f}"
        for name in _worse(against, settings)
    ]


def _describe(name: str, c: PairedComparison, first: bool, only_shown: str) -> str:
    """A set in words; `only_shown`: why it does not count, where it does not."""
    if first:
        word = only_shown or "there is no champion to beat"
        return f"{set_name(name)}: {c.candidate:.3f} right of {c.rows} rows; {word}"
    if not c.lost + c.gained:
        word = only_shown or "the same rows right as before"
        return f"{set_name(name)}: {c.candidate:.3f} on {c.rows} rows, {word}"
    low, high = c.interval
    word = only_shown or ("better" if low > 0 else "worse" if high < 0 else "no clear difference")
    return (
        f"{set_name(name)}: {c.candidate:.3f} against {c.champion:.3f} on {c.rows} rows, "
        f"{c.difference:+.3f} (95 % CI {low:+.3f}..{high:+.3f}): {word}"
    )


def _describe_slice(s: dict[str, Any]) -> str:
    both = f"{s['candidate']:.3f} against {s['champion']:.3f} on {s['rows']} rows"
    return f"{set_name(s['set'])}, {s['segment']}: {both}"


def _words(e: Expectation) -> str:
    before = "" if e.champion_failed is None else f", the champion {e.champion_failed}"
    return f"{e.name}: {e.failed} of {e.rows} rows do otherwise{before} ({e.claim})"


def _kept(expectations: Sequence[Expectation]) -> list[str]:
    asked = [e for e in expectations if e.counted]
    shown = len(expectations) - len(asked)
    more = f"; {shown} on too few rows are only shown" if shown else ""
    return [f"{sum(e.passed for e in asked)} of {len(asked)} expectations hold{more}"] if asked else []


def set_name(of_set: str) -> str:
    """The name of an evaluation set in words."""
    if of_set.startswith(COLLECTION):
        return f"collection {of_set.removeprefix(COLLECTION)}"
    return NAMES.get(of_set, of_set)


def _metrics(
    against: dict[str, PairedComparison],
    together: PairedComparison | None,
    expectations: Sequence[Expectation],
    first: bool,
) -> dict[str, float]:
    """Flat numbers for tracking: the same rows and models always give the same ones."""
    metrics: dict[str, float] = {}
    for name, c in {**against, **({"all": together} if together else {})}.items():
        metrics |= {f"{name}_rows": float(c.rows), f"{name}_accuracy": c.candidate}
        if not first:
            metrics |= {f"champion_{name}_accuracy": c.champion, f"{name}_difference": c.difference}
            metrics |= {
                f"{name}_difference_low": c.interval[0],
                f"{name}_difference_high": c.interval[1],
            }
    for e in expectations:
        metrics[f"{e.name.lower().replace('-', '_')}_failed"] = e.rate
    return metrics
