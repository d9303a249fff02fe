"""Would everybody sign this candidate off? The rule of the gate, and its reasons in words.

The fixed set stands for the traffic the first model was made for, the audit set for the traffic that
came since. A label set that grows from 75 to 150 costs a little on the first and gains much on the
second, so:

1. A set is *worse* when the candidate loses more than `max_drop` on it and the disputed rows say that
   this is not chance (exact McNemar, p < 0.1). A strict test of "not worse" would block most good
   retrains on a few hundred rows; the point estimate alone would block by luck.
2. A worse set may be paid for: the sets' differences, each set counting the same, sum to a gain,
   another set's gain is not chance either, and no set loses more than `max_loss`.
3. A named collection is a set like these that cannot pay: a candidate that is worse on it is stopped,
   unless the sets that stand for traffic pay for it.
4. Accuracy over all rows of those sets is at least `min_accuracy`, and no expectation failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from core.records import TestReport
from pipelines.testing.compare import Comparison
from pipelines.testing.expectations import Expectation
from pipelines.testing.sheet import COLLECTION, Sheet

if TYPE_CHECKING:
    from pipelines.testing import Testing

CHANCE = 0.1
NAMES = {"eval": "fixed set", "audit": "audit set", "recent": "recent set"}


def judge(
    names: tuple[str, str | None], sheet: Sheet, expectations: Sequence[Expectation], settings: Testing
) -> TestReport:
    """All comparisons and expectations as one report; `names` are the candidate and the champion."""
    against = {name: sheet.compare(mask) for name, mask in sheet.sets().items()}
    drawn = np.logical_or.reduce([m for n, m in sheet.sets().items() if not n.startswith(COLLECTION)])
    together = sheet.compare(drawn)  # collections were put together by hand: they say nothing of a mean
    slices = list(sheet.slices())
    blocks = [
        *_accuracy(against, together, settings),
        *(_words(e) for e in expectations if not e.passed),
    ]
    first = names[1] is None
    described = [_describe(name, c, first) for name, c in against.items()]
    paid = [] if blocks or first else _paid(against, settings)
    warnings = [f"warning: {_describe_slice(s)}" for s in slices if s["segment"] and s["warning"]]
    return TestReport(
        candidate=names[0],
        champion=names[1] or "",
        passed=not blocks,
        reasons=[*blocks, *described, *paid, *_kept(expectations), *warnings],
        metrics=_metrics(against, together, expectations, first),
        slices=slices,
        expectations=[asdict(e) for e in expectations],
    )


def _accuracy(against: dict[str, Comparison], together: Comparison, settings: Testing) -> list[str]:
    """Why accuracy alone would stop the candidate; empty when it would not."""
    if not together.rows:
        return ["there are no evaluation rows: nothing to judge by"]
    blocks = []
    if together.candidate < settings.min_accuracy:
        blocks.append(
            f"accuracy {together.candidate:.3f} over all rows, not {settings.min_accuracy:g} or more"
        )
    for name in _worse(against, settings):
        c = against[name]
        if c.difference < -settings.max_loss:
            blocks.append(
                f"{set_name(name)}: {-c.difference:.3f} lost, more than anything can pay for "
                f"(max_loss {settings.max_loss:g})"
            )
        elif not _is_paid(against):
            blocks.append(
                f"{set_name(name)}: {-c.difference:.3f} lost, more than max_drop {settings.max_drop:g} "
                f"and not by chance ({c.lost} rows lost, {c.gained} gained, p = {c.p_worse:.2g}); "
                "no gain pays for it"
            )
    return blocks


def _worse(against: dict[str, Comparison], settings: Testing) -> list[str]:
    return [name for name, c in against.items() if c.is_worse(settings.max_drop, CHANCE)]


def _drawn(against: dict[str, Comparison]) -> dict[str, Comparison]:
    """The sets that stand for traffic: what pays."""
    return {name: c for name, c in against.items() if not name.startswith(COLLECTION)}


def _is_paid(against: dict[str, Comparison]) -> bool:
    against = _drawn(against)
    gains = any(c.difference > 0 and c.p_better < CHANCE for c in against.values())
    return gains and sum(c.difference for c in against.values()) > 0


def _paid(against: dict[str, Comparison], settings: Testing) -> list[str]:
    return [
        f"the loss on the {set_name(name)} is paid for: over the sets, each counting the same, "
        f"the mean is {np.mean([c.difference for c in _drawn(against).values()]):+.3f}"
        for name in _worse(against, settings)
    ]


def _describe(name: str, c: Comparison, first: bool) -> str:
    if first:
        return (
            f"{set_name(name)}: {c.candidate:.3f} right of {c.rows} rows; there is no champion to beat"
        )
    low, high = c.interval
    if not c.lost + c.gained:
        return f"{set_name(name)}: {c.candidate:.3f} on {c.rows} rows, the same rows right as before"
    word = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    return (
        f"{set_name(name)}: {c.candidate:.3f} against {c.champion:.3f} on {c.rows} rows, "
        f"{c.difference:+.3f} (95 % CI {low:+.3f}..{high:+.3f}): {word}"
    )


def _describe_slice(s: dict[str, Any]) -> str:
    return (
        f"{set_name(s['set'])}, {s['segment']}: {s['candidate']:.3f} against {s['champion']:.3f} "
        f"on {s['rows']} rows"
    )


def _words(e: Expectation) -> str:
    before = "" if e.champion_failed is None else f", the champion {e.champion_failed}"
    return f"{e.name}: {e.failed} of {e.rows} rows do otherwise{before} ({e.claim})"


def _kept(expectations: Sequence[Expectation]) -> list[str]:
    kept = sum(e.passed for e in expectations)
    return [f"{kept} of {len(expectations)} expectations hold"] if expectations else []


def set_name(of_set: str) -> str:
    """The name of an evaluation set in words."""
    if of_set.startswith(COLLECTION):
        return f"collection {of_set.removeprefix(COLLECTION)}"
    return NAMES.get(of_set, of_set)


def _metrics(
    against: dict[str, Comparison],
    together: Comparison,
    expectations: Sequence[Expectation],
    first: bool,
) -> dict[str, float]:
    """Flat numbers for tracking: the same rows and models always give the same ones."""
    metrics: dict[str, float] = {}
    for name, c in {**against, "all": together}.items():
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
