"""`mix`: several policies at once, each with its share of the picks.

A row's chance is the sum of its chances under the parts, each times the part's share; so the draw is
one, its chances are exact, and no row is picked twice. A pick stores the name of the part it is owed
to, drawn in proportion to what each part added. A part that finds fewer rows than the round has labels
(`feedback`, where few complain) leaves the rest of its share to the others.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from core.arrays import Array
from core.params import Section
from core.plugins import of
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

SinglePolicy = Annotated[Curation, of(Curation, without=["mix"])]
DEFAULT = ({"share": 1.0, "part": {"policy": "cover"}},)  # more parts cost accuracy: docs/dev/log.md
OF_THE_MIX = {"labels_per_day", "pacing", "audit_share"}


class Part(Section):
    share: float = Field(..., gt=0, description="of the mix's picks, beside the other parts' shares")
    part: SinglePolicy = Field(..., description="a policy and its own settings")

    @field_validator("part")
    @classmethod
    def _sets_only_its_own(cls, part: SinglePolicy) -> SinglePolicy:
        fields = Curation.model_fields
        plain = {k: fields[k].get_default(call_default_factory=True) for k in OF_THE_MIX}
        if wrong := sorted(k for k, value in plain.items() if getattr(part, k, value) != value):
            raise ValueError(f"{', '.join(wrong)}: set for the whole mix, not for a part of it")
        return part


class Mix(Curation):
    policy: Literal["mix"]
    floor: float = Field(0.1, description="of a mix is that of its parts, and is not set")
    of: list[Part] = Field(
        default_factory=lambda: [Part.model_validate(part) for part in DEFAULT],
        min_length=1,
        description="the policies and their shares",
    )

    @field_validator("floor")
    @classmethod
    def _parts_have_floors(cls, floor: float) -> float:
        if floor != cls.model_fields["floor"].default:
            raise ValueError("set for the parts of a mix, each its own")
        return floor

    @property
    def shares(self) -> Array:
        """(parts,) summing to 1."""
        given = np.array([p.share for p in self.of])
        return np.asarray(given / given.sum())

    def worth(self, pool: Pool) -> Array:
        return self.chances(pool, 1.0)

    def chances(self, pool: Pool, budget: float) -> Array:
        return np.asarray(self._by_part(pool, budget).sum(axis=0))

    def names(self, pool: Pool, budget: float, rows: Array, rng: np.random.Generator) -> list[str]:
        by_part = self._by_part(pool, budget)[:, rows]
        whole = by_part.sum(axis=0)
        steps = np.cumsum(by_part, axis=0) / np.where(whole > 0, whole, 1)
        last = len(self.of) - 1
        drawn = np.minimum((rng.random(len(rows)) >= steps).sum(axis=0), last)
        return [self.of[k].part.policy for k in drawn]

    def _by_part(self, pool: Pool, budget: float) -> Array:
        """(parts, n) what each part adds to the chance of each row."""
        shares = self._shares(pool, budget)
        return np.stack(
            [s * p.part.chances(pool, budget) for s, p in zip(shares, self.of, strict=True)]
        )

    def _shares(self, pool: Pool, budget: float) -> Array:
        """(parts,) summing to 1: what a part has no rows for is the others'."""
        most = np.array([p.part.most(pool) for p in self.of])
        wanted = self.shares * np.minimum(1, most / budget) if budget > 0 else self.shares
        free = most >= budget
        if not free.any() or free.all():
            return self.shares
        return np.where(free, wanted * (1 - wanted[~free].sum()) / wanted[free].sum(), wanted)
