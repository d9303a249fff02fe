"""How far annotators agree beyond chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from core.records.labels import Vote


@dataclass(frozen=True)
class AnnotatorPair:
    """Two annotators on the tasks that both labelled."""

    one: str
    other: str
    tasks: int
    agreed: float  # share of them with the same label
    kappa: float | None  # Cohen's; None where both only ever said one label


@dataclass(frozen=True)
class AnnotatorAgreement:
    """Of all annotators, and of each two of them."""

    tasks: int  # with at least two labels
    alpha: float | None  # Krippendorff's, nominal; None where there is only one label
    pairs: list[AnnotatorPair]


def agreement(votes: Sequence[Vote]) -> AnnotatorAgreement:
    """How far the votes agree; skips say nothing."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for vote in votes:
        if vote.label is not None:
            said[vote.prediction_id][vote.annotator] = vote.label
    several = [by for by in said.values() if len(by) > 1]
    people = sorted({who for by in several for who in by})
    pairs = [_pair(several, one, other) for one, other in combinations(people, 2)]
    units = [list(by.values()) for by in several]
    return AnnotatorAgreement(len(several), alpha(units), [p for p in pairs if p.tasks])


def alpha(units: Sequence[Collection[str]]) -> float | None:
    """Krippendorff's alpha for nominal data (Krippendorff, Computing Krippendorff's Alpha-Reliability,
    2011, section C): 1 - observed / expected disagreement. A unit is the labels of one task.

    None where no two labels can be paired, or all are the same: then chance cannot disagree.

    >>> round(alpha([["a", "a"], ["b", "b"], ["a", "b"], ["a", "a"]]), 3)
    0.533
    """
    counts = [Counter(unit) for unit in units if len(unit) > 1]
    whole = sum(counts, Counter[str]())
    n = whole.total()
    expected = (n * n - sum(c * c for c in whole.values())) / (n - 1) if n else 0.0
    if not expected:
        return None
    observed = sum((c.total() ** 2 - sum(v * v for v in c.values())) / (c.total() - 1) for c in counts)
    return 1 - observed / expected


def _pair(several: Sequence[dict[str, str]], one: str, other: str) -> AnnotatorPair:
    from sklearn.metrics import cohen_kappa_score

    both = [(by[one], by[other]) for by in several if one in by and other in by]
    agreed = sum(a == b for a, b in both) / len(both) if both else 0.0
    labels = {label for pair in both for label in pair}
    kappa = float(cohen_kappa_score(*zip(*both, strict=True))) if len(labels) > 1 else None
    return AnnotatorPair(one, other, len(both), agreed, kappa)
