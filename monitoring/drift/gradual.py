"""What comes too slowly for any one day: the last week against the weeks before it.

While a gradual change goes on it is one episode, held against the weeks before it began. It is over
when, for a week, no week was unlike the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from core.arrays import Array
from core.records.signals import TrafficSample
from core.records.windows import Window
from monitoring.drift.features import DAY_ROWS, feature_map, halves, spread_out
from monitoring.drift.mmd import WEEK, MeanEmbeddings
from monitoring.drift.threshold import DriftResult, Threshold
from monitoring.drift.types import DriftEpisode, usual_since

SLOW_WEEKS = 4  # that the last week is held against, at most
LEAST_DAYS = WEEK - 3  # of a week, of which samples are there
SCALE_DAYS = WEEK * SLOW_WEEKS + 0.5
DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class Weeks:
    """Samples of days, oldest first, and the window after them."""

    past: Sequence[TrafficSample]
    window: Window
    ages: Array  # (k,) of the samples, days before the window
    rule: Threshold
    episodes: Sequence[DriftEpisode]

    def age(self, since: datetime) -> float:
        return (self.window.start - since) / DAY

    def next(self) -> tuple[DriftResult | str, tuple[DriftEpisode, ...]]:
        """What the last week is, and the episodes as they stand after it."""
        told = tuple(self.episodes)
        slow = next((e for e in told if e.kind == "gradual" and e.until is None), None)
        if slow is None:
            found = self._since_last_change()
            return found, (*told, self._begun(found)) if _alarm(found) else told
        still, age = self._standing_still(slow), self.age(slow.since)
        if isinstance(still, str) or still.alarm:
            now = replace(slow, evidence={**slow.evidence, "moved": age})
        elif age - slow.evidence.get("moved", 0.0) < WEEK - 0.5:
            now = slow
        else:
            reason = f"over after {age:.0f} days: for a week no week was unlike the one before it"
            now = replace(slow, until=self.window.start, reason=reason)
        found = still if now.until else self._since(age, age + WEEK * SLOW_WEEKS, "the change")
        return found, tuple(now if e is slow else e for e in told)

    def _begun(self, found: DriftResult | str) -> DriftEpisode:
        assert isinstance(found, DriftResult)
        reason = "the last week is unlike the weeks before it, and no day of it was by itself"
        evidence = {"value": found.value, "threshold": found.threshold, "moved": WEEK - 1}
        since = self.window.start - (WEEK - 1) * DAY
        return DriftEpisode("gradual", since, None, reason, evidence)

    def _since_last_change(self) -> DriftResult | str:
        """Whole weeks of what has been usual since then."""
        since = usual_since(self.episodes)
        begun = self.age(since) if since else np.inf
        weeks = min(SLOW_WEEKS, int((min(begun, self.ages.max(initial=0.0)) + 1.5) // WEEK) - 1)
        if weeks < 1:
            return "not enough history: two weeks since the last change needed"
        return self._since(WEEK - 0.5, WEEK * (weeks + 1) - 0.5, "the last", weeks)

    def _standing_still(self, slow: DriftEpisode) -> DriftResult | str:
        changes = [self.age(e.since) for e in self.episodes if e.kind == "instantaneous"]
        if min(changes, default=np.inf) < 2 * WEEK - 1.5:
            return "not enough history: another change in the last two weeks"
        if self.age(slow.since) < 2 * WEEK - 1.5:
            return "not enough history: two weeks since the change began needed"
        return self._since(WEEK - 0.5, 2 * WEEK - 0.5, "the last", 1, still=True)

    def _since(
        self, young: float, old: float, what: str, weeks: int = SLOW_WEEKS, still: bool = False
    ) -> DriftResult | str:
        """The last week against days between two ages: their nearest mixture, days stretched; or, where
        it is asked whether it stands still, their mean, since a change goes on in its own direction."""
        recent, older = self.ages < WEEK - 0.5, (self.ages > young) & (self.ages < old)
        quiet = ~_burst_weekdays(self.past, self.episodes, recent | older)
        recent, older = recent & quiet, older & quiet
        if recent.sum() + 1 < LEAST_DAYS or older.sum() < LEAST_DAYS:
            return f"not enough history: {LEAST_DAYS:.0f} days of each week needed"
        days = self._mean_embeddings(recent, older, young)
        before_it = days.ages > WEEK - 0.5
        week = days.pooled(~before_it)
        if still:
            value, sd = days.between(week, days.weekday_matched(before_it, ~before_it))
            usual = days.variation(before_it)
        else:
            # a week has little noise: what days differ at all counts
            apart = days.outlying(before_it, 0.0)
            mixtures = days.stretched(before_it, apart)
            value, sd = days.between(week, days.nearest(week, mixtures) @ mixtures)
            usual = days.unexplained(before_it, apart)
        # half the share of rows: it has time to grow
        slow = Threshold(self.rule.sds, self.rule.floor / 4)
        nearest = f"{weeks} weeks before {what}" if weeks > 1 else f"the week before {what}"
        rows = int(days.rows[before_it].sum())
        return slow.compare(value, sd, usual.of(float(recent.sum() + 1)), rows, nearest)

    def _mean_embeddings(self, recent: Array, older: Array, young: float) -> MeanEmbeddings:
        """The older days, then those of the last week and the window. The scale is that of the
        older, so all rows of the last week are compared."""
        rows = [s.embeddings.astype(np.float32) for s in self.past]
        scale, compared = halves([r for r, chosen in zip(rows, older, strict=True) if chosen])
        before = (self.ages > young) & ~older & (self.ages < SCALE_DAYS)
        scale += [r for r, chosen in zip(rows, before, strict=True) if chosen]
        features = feature_map(np.concatenate(scale))
        ours = [r for r, chosen in zip(rows, recent, strict=True) if chosen]
        ours.append(spread_out(self.window.embeddings, DAY_ROWS).astype(np.float32))
        parts = [*compared, *ours]
        means, sizes = np.array([features.mean(p) for p in parts]), np.array([len(p) for p in parts])
        ages = np.concatenate([self.ages[older], self.ages[recent], [0.0]])
        return MeanEmbeddings(means, sizes, ages, features.noise(np.concatenate(compared)))


def _alarm(found: DriftResult | str) -> bool:
    return isinstance(found, DriftResult) and found.alarm


def in_burst(past: Sequence[TrafficSample], episodes: Sequence[DriftEpisode]) -> Array:
    """(k,) True for days of a burst that is over."""
    bursts = [(e.since, e.until) for e in episodes if e.kind == "temporary" and e.until]
    return np.array([any(a <= s.start < b for a, b in bursts) for s in past], dtype=bool)


def _burst_weekdays(
    past: Sequence[TrafficSample], episodes: Sequence[DriftEpisode], compared: Array
) -> Array:
    """(k,) True for days of a burst among those compared, and for the same weekdays of other weeks:
    both sides then lack them alike."""
    there = [past[i].start for i in np.flatnonzero(in_burst(past, episodes) & compared).tolist()]

    def same(one: datetime, other: datetime) -> bool:
        weeks = (one - other) / (WEEK * DAY)
        return abs(weeks - round(weeks)) * WEEK < 0.5

    return np.array([any(same(s.start, t) for t in there) for s in past], dtype=bool)
