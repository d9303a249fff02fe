"""Behaviour tests of other packages: more families of expectations beside ours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from core.params import Section
from core.plugins import of

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.testing.expectations import Family


class Suite(Section):
    """Says what is expected of every candidate."""

    policy: str

    @abstractmethod
    def families(self, fixed: pd.DataFrame, probes: int) -> Sequence[Family]:
        """What is expected, each with at most `probes` texts; `fixed` has columns text and label."""


SuitePolicy = Annotated[Suite, of(Suite)]
