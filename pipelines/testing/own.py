"""Behaviour tests of other packages: more families of expectations beside ours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from core.arrays import Frame
from core.params import Section
from core.plugins import of
from core.returned import shown, wrong
from pipelines.testing.probes import Probe

if TYPE_CHECKING:
    from pipelines.testing.expectations import ContenderAnswers, Family


class Suite(Section):
    """Says what is expected of every candidate."""

    policy: str

    @abstractmethod
    def families(self, fixed: Frame, probes: int) -> Sequence[Family]:
        """What is expected, each with at most `probes` texts; `fixed` has columns input and target."""


SuitePolicy = Annotated[Suite, of(Suite)]


def families_of(own: Suite, fixed: Frame, probes: int) -> list[Family]:
    """What a suite expects. Raises PolicyError where it is no list of families; and later, when a
    family is asked, where it says neither True nor False of an answer."""
    from pipelines.testing.expectations import Family

    found: Any = own.families(fixed, probes)
    expected = f"a list of Family, each of a name of its own and with {probes} probes at most"
    if not isinstance(found, Sequence) or isinstance(found, str):
        wrong(own, "families", shown(found), expected)
    names = [f.name if isinstance(f, Family) else None for f in found]
    for family, name in zip(found, names, strict=True):
        if name is None or names.count(name) > 1:
            wrong(own, "families", shown(family), expected)
        if not all(isinstance(p, Probe) for p in family.probes) or len(family.probes) > probes:
            wrong(own, "families", f"{name} with {len(family.probes)} probes", expected)
    return [replace(f, breaks=partial(_broken, own, f)) for f in found]


def _broken(own: Suite, family: Family, probe: Probe, answers: ContenderAnswers) -> bool:
    said: Any = family.breaks(probe, answers)
    if not isinstance(said, bool | np.bool_):
        wrong(own, f"breaks of {family.name}", shown(said), "True or False")
    return bool(said)
