"""Candidate against champion on the traffic of a rollout.

What both models scored is compared in pairs; what users said of the answers they got is compared
between the two arms, user by user, since it is users that were drawn into an arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.arrays import Frame, Series
from core.intervals import Interval, paired_difference
from core.records.rollouts import Rollout


@dataclass(frozen=True)
class LiveComparison:
    """Candidate against champion on the requests of a stage. Shares in 0..1, NaN where nothing is."""

    requests: int  # that anyone answered
    pairs: int  # that both scored
    agree: float  # share of equal outputs
    confidence: tuple[float, float]  # mean of each one: candidate, champion
    top_share: tuple[float, float]  # of each one's commonest output
    labels: int  # pairs with a score
    accuracy: tuple[float, float]
    difference: Interval  # of accuracy, candidate - champion


@dataclass(frozen=True)
class Arm:
    """The requests that one model answered in a stage, and the users who sent them."""

    requests: int
    users: int  # a request that names no user is a user of its own
    complained: int  # users with a thumbs-down or a correction

    @property
    def share(self) -> float:
        return self.complained / self.users if self.users else math.nan


def compare(answers: Frame, candidate: str, champion: str) -> LiveComparison:
    """The two models on the requests that both scored."""
    once = answers.drop_duplicates(["request_id", "model_version"]).set_index("request_id")
    new, old = (once[once["model_version"] == version] for version in (candidate, champion))
    pairs = new.join(old, how="inner", lsuffix="_new", rsuffix="_old")
    known = pairs[pairs["score_new"].notna() & pairs["score_old"].notna()]
    better = known["score_new"] > known["score_old"]
    worse = known["score_new"] < known["score_old"]
    return LiveComparison(
        requests=int(answers["request_id"].nunique()),
        pairs=len(pairs),
        agree=_mean(pairs["output_new"] == pairs["output_old"]),
        confidence=(_mean(pairs["confidence_new"]), _mean(pairs["confidence_old"])),
        top_share=(_top_share(pairs["output_new"]), _top_share(pairs["output_old"])),
        labels=len(known),
        accuracy=(_mean(known["score_new"]), _mean(known["score_old"])),
        difference=paired_difference(int(better.sum()), int(worse.sum()), len(known)),
    )


def arms(answers: Frame, rollout: Rollout) -> tuple[Arm, Arm]:
    """Who was answered by the candidate and who by the champion, as the rollout drew them.

    Left out: a request that only one model scored (its server did not know of the rollout yet), and
    one whose caller asked for the other model by its version.
    """
    names = frozenset((rollout.candidate, rollout.champion))
    versions = answers.groupby("request_id")["model_version"].agg(frozenset)
    both = versions.index[versions == names]
    sent = answers[answers["request_id"].isin(both) & (answers["variant"] != "shadow")]
    user = sent["user_key"].where(sent["user_key"] != "", sent["request_id"])
    drawn = user.map({key: rollout.draws(key) for key in user.unique()})
    as_drawn = sent.assign(user=user)[(sent["model_version"] == rollout.candidate) == drawn]
    return _arm(as_drawn, rollout.candidate), _arm(as_drawn, rollout.champion)


def _arm(sent: Frame, version: str) -> Arm:
    own = sent[sent["model_version"] == version]
    users = own.groupby("user")["complained"].any()
    return Arm(len(own), len(users), int(users.sum()))


def _mean(values: Series) -> float:
    return float(values.astype(float).mean())


def _top_share(labels: Series) -> float:
    return float(labels.value_counts(normalize=True).max()) if len(labels) else math.nan
