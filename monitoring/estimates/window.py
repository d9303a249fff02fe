"""The accuracy of one window of answers, from the labels that were picked of it.

Three numbers side by side: the picks as they come (off: they were picked for being doubtful), the
picks weighed, and the picks correcting the predicted chances of all answers. Only the last two are
right on average; the last is the narrower, as far as the chances are worth something.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.records import Array
from monitoring.accuracy import Estimate
from monitoring.estimates.answers import Answers
from monitoring.estimates.calibration import Calibrator
from monitoring.estimates.powered import Powered, rectified
from monitoring.estimates.weighted import balanced


@dataclass(frozen=True)
class Accuracies:
    """Of the same picks."""

    picks: float
    weighted: Estimate
    powered: Powered


@dataclass(frozen=True)
class Asked:
    """What is asked about: a window's answers, or an even draw of them; how many they were; and what an
    average one adds to the variance of a weighted mean (`spread_of` the picks of many days)."""

    answers: Answers
    requests: float
    spread: float


def accuracies(asked: Asked, picked: Answers, calibrator: Calibrator) -> Accuracies:
    """picked: the answers with a label, at least one; calibrator: learnt from labels before these."""
    right, chance = picked.right, picked.chance
    return Accuracies(
        float(right.mean()),
        balanced(right, chance, asked.requests, asked.spread),
        rectified(calibrator.chances(asked.answers), right, calibrator.chances(picked), chance),
    )


def drawn(answers: Answers) -> Array:
    """(n,) those with a label that they were picked for, with a known chance."""
    return np.asarray((answers.chance > 0) & (answers.chance <= 1) & np.isfinite(answers.right))
