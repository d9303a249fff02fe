"""What every curation policy shares: a daily budget, an audit slice, floors, and the draw."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from datetime import datetime

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.params import Section
from core.records.labels import AnnotationTask
from core.records.windows import Window
from core.returned import shown, wrong
from pipelines.curation.draw import inclusion
from pipelines.curation.pacing.even import Even
from pipelines.curation.pacing.pacing import PacingPolicy
from pipelines.curation.pool import Pool
from pipelines.curation.round import Sizes, draw

TEST = "test"  # the policy of rows drawn for a trigger's test
AUDIT = "audit"
NEW_TOPICS = 0.1  # share of the picks that is drawn from open new topics, while there are any
SHARPNESS = 4.0  # how hard doubt counts: 0 draws like `random`, larger cuts off harder
NEW = "new-topics"  # of rows drawn for their topic, where the policy gave them little


class Curation(Section):
    """Chooses which logged requests are worth a label. A policy only says how much each is worth."""

    policy: str
    labels_per_day: int = Field(20, ge=0, description="annotation tasks a day, at most; see pacing")
    pacing: PacingPolicy = Field(
        default_factory=lambda: Even(policy="even"), description="when they are spent: even | need"
    )
    audit_share: float = Field(
        0.05, ge=0, le=1, description="share of the budget drawn uniformly, for evaluation only"
    )
    floor: float = Field(
        0.1, gt=0, le=1, description="share of the picks drawn as if every request were worth the same"
    )

    @abstractmethod
    def worth(self, pool: Pool) -> Array:
        """How much a label of each row is worth: (n,) numbers >= 0, any scale."""

    def most(self, pool: Pool) -> float:  # noqa: ARG002  `feedback` asks it
        """How many rows it can tell from the others; a mix asks for no more."""
        return np.inf

    def chances(self, pool: Pool, budget: float) -> Array:
        """(n,) chances to be picked, all positive, that sum to min(budget, near-duplicates apart).

        Rows that are near-copies share one chance evenly. A row of a log that keeps one in ten stands
        for ten requests and weighs ten times, so the draw is one from all traffic.
        """
        worth = pool.once(self, lambda: self._worth(pool))
        return shared(floored(worth, self.floor), pool, budget)

    def _worth(self, pool: Pool) -> Array:
        """What `worth` says. Raises PolicyError where it is not one number for each request."""
        said = self.worth(pool)
        expected = f"{len(pool)} numbers from 0 up, one for each request; NaN where it cannot say"
        try:
            found = np.asarray(said, dtype=np.float64)
        except (TypeError, ValueError):
            wrong(self, "worth", shown(said), expected)
        if found.shape != (len(pool),):
            wrong(self, "worth", f"an array of shape {found.shape}", expected)
        if np.isinf(found).any() or (len(found) and np.isnan(found).all()):
            wrong(self, "worth", "infinity" if np.isinf(found).any() else "NaN for all", expected)
        return found

    def space(self, pool: Pool) -> Array:
        """(n, k) where the rows lie: picks are kept apart here."""
        return pool.places

    def names(  # only `mix` needs to know more than the rows
        self,
        pool: Pool,  # noqa: ARG002
        budget: float,  # noqa: ARG002
        rows: Array,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> list[str]:
        """The policy that is stored with each of these picked rows (k,) of a draw of `budget`."""
        return [self.policy] * len(rows)

    def pick(
        self, pool: Pool, budget: int, round: str, now: datetime, *, for_test: int = 0
    ) -> list[AnnotationTask]:
        """Draw at most `budget` rows of a pool. The same round draws the same rows again.

        `round.py` has the three draws and the chance that is stored. The audit slice is drawn
        uniformly; `for_test` rows of the policy's part are, too: a trigger tests the champion on them.
        They may train the next one, which is tested on rows of its own.
        """
        budget = min(budget, len(pool))
        if budget <= 0:
            return []
        digest = hashlib.blake2b(f"{self.policy}/{round}".encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        sizes = Sizes.of(budget, self.audit_share, for_test)
        chance, new = self._chances(pool, sizes.policy)
        drawn = draw(pool, sizes, chance, self.space(pool), rng)
        names = np.array(self.names(pool, sizes.policy, drawn.rows, rng), dtype=object)
        names[rng.random(len(names)) < new[drawn.rows]] = NEW
        names[drawn.test], names[drawn.audit] = TEST, AUDIT
        rows = pool.window.rows.iloc[drawn.rows]
        return [
            AnnotationTask(
                prediction_id=str(prediction_id),
                timestamp=now,
                round=round,
                policy=str(name),
                propensity=float(chance),
                audit=name == AUDIT,
                text=str(text),
                predicted=str(label),
            )
            for prediction_id, text, label, name, chance in zip(
                rows["prediction_id"], rows["text"], rows["output"], names, drawn.chances, strict=True
            )
        ]

    def _chances(self, pool: Pool, size: int) -> tuple[Array, Array]:
        """(n,) chances with the share of new topics and without what is fenced, summing to `size` or
        the units there are; and (n,) how much of each is the new topics' share."""
        topic = pool.topics
        share = NEW_TOPICS if (topic >= 0).any() else 0.0
        by_policy = self.chances(pool, size * (1 - share))
        rows_of = np.bincount(topic + 1)[topic + 1]
        by_topic = shared(np.where(topic >= 0, 1 / rows_of, 0.0), pool, size * share)
        whole = by_policy + by_topic
        new = np.divide(by_topic, whole, out=np.zeros(len(pool)), where=whole > 0)
        of_unit = inclusion(np.bincount(pool.units, whole * ~pool.fenced), size)
        return of_unit[pool.units] / pool.sizes, new


def floored(worth: Array, floor: float) -> Array:
    """Worth (n,) on a scale where the mean is 1 and no row is below `floor`.

    What is no number, or negative, is worth nothing above the floor; where nothing is worth anything,
    all is worth the same.

    >>> floored(np.array([0.0, 1.0, np.nan, 3.0]), 0.5).tolist()
    [0.5, 1.0, 0.5, 2.0]
    """
    able = np.nan_to_num(np.asarray(worth, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    able = np.maximum(able, 0.0)
    mean = able.mean() if len(able) else 0.0
    return floor + (1 - floor) * (able / mean if mean > 0 else np.ones(len(able)))


def shared(weights: Array, pool: Pool, budget: float) -> Array:
    """Chances (n,) of rows from weights (n,): one a unit of near-copies, by its mean, shared evenly."""
    standing = weights / pool.window.kept / pool.sizes
    of_unit = inclusion(np.bincount(pool.units, standing), budget)
    return np.asarray(of_unit[pool.units] / pool.sizes)


def answered(window: Window) -> dict[str, float]:
    """Requests each model version answered, counting what the kept rows stand for."""
    versions = window.rows["model_version"].to_numpy(dtype=str)
    return {str(v): float((1 / window.kept[versions == v]).sum()) for v in np.unique(versions)}
