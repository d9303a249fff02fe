"""Would every stakeholder sign this candidate off? Candidate against champion on rows neither has seen.

fixed set: 0.993 against 0.990 on 300 rows, +0.003 (95 % CI -0.003..+0.010): no clear difference
audit set: 0.972 against 0.944 on 36 rows, +0.028 (95 % CI -0.026..+0.081): no clear difference
6 of 6 expectations hold
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from core.arrays import Frame
from core.params import Section
from core.records.versions import TestReport
from core.tasks import Classification, Task
from pipelines.testing import writing
from pipelines.testing.expectations import (
    Answered,
    Contender,
    ContenderAnswers,
    Expectation,
    Family,
    suite,
    typical,
)
from pipelines.testing.labels import Scarce
from pipelines.testing.own import SuitePolicy, families_of
from pipelines.testing.sheet import Sheet
from pipelines.testing.verdict import MoreResults, judge
from pipelines.testing.writing import WritingContender

__all__ = ["Contender", "Testing", "WritingContender", "run_tests"]
A_LABEL: Task = Classification()
MAX_PROBES = 100  # new texts the encoder reads to test behaviour
MORE_FAILED = 0.1  # share of an expectation's rows that may fail beyond the champion's


class Testing(Section):
    """How much a candidate may lose, and how much it must keep."""

    __test__ = False  # not a pytest class

    min_rows: int = Field(
        10,
        ge=1,
        description="rows that an evaluation set needs to be judged by; a smaller one is only shown",
    )
    max_drop: float = Field(
        0.02,
        ge=0,
        le=1,
        description="accuracy a candidate may lose on an evaluation set, beyond chance",
    )
    min_accuracy: float = Field(
        0.0, ge=0, le=1, description="accuracy over all evaluation rows, at least"
    )
    max_failed: float = Field(
        0.3,
        ge=0,
        le=1,
        description="share of an expectation's rows that may fail, unless the champion fails as many; "
        "1 refuses nothing",
    )
    suites: list[SuitePolicy] = Field(
        [], description="behaviour tests of other packages: policy: package.module:Class"
    )


def run_tests(
    candidate: Contender | WritingContender,
    champion: Contender | WritingContender | None,
    evaluation: Frame,
    settings: Testing,
    more: Sequence[Expectation] = (),
    labels: Scarce | None = None,
    task: Task = A_LABEL,
) -> TestReport:
    """The candidate against the champion (None for the first model).

    `evaluation` has columns input, target, set ("eval" is the fixed set, "audit" grows, "recent" lies
    ahead in time, "regression" has the named collections), round (which collection) and segments (JSON
    text). Probes are made from the fixed set only, and count where that set does. `more` are results
    made elsewhere (memorization); `labels` are those of which there is little.
    """
    fixed = evaluation[evaluation["set"] == "eval"]
    families = suite(fixed, MAX_PROBES) if task.labelled else writing.suite(fixed, task)
    families += [f for own in settings.suites for f in families_of(own, fixed, MAX_PROBES)]
    texts, probes = list(evaluation["input"]), [p.text for family in families for p in family.probes]
    now = candidate.answers(texts, probes)
    before = None if champion is None else champion.answers(texts, probes)
    most = settings.max_failed, 1.0 if settings.max_failed == 1 else MORE_FAILED
    enough = len(fixed) >= settings.min_rows
    probed = [
        replace(family.check(now, before, *most), counted=enough)
        for family in [*_typical(fixed, now), *families]
    ]
    names = (candidate.version, None if champion is None else champion.version)
    asked = MoreResults([*probed, *more], labels or Scarce())
    return judge(names, Sheet(evaluation, now, before, task), asked, settings)


def _typical(fixed: Frame, now: Answered) -> list[Family]:
    return [typical(fixed, now)] if isinstance(now, ContenderAnswers) else []
