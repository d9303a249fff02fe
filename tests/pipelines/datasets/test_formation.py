"""What each formation policy chooses."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from everloop.laws.reservoirs import AS_OF, many
from pipelines.datasets.all import AllFormation
from pipelines.datasets.class_balanced import ClassBalancedFormation
from pipelines.datasets.formation import Formation
from pipelines.datasets.mixed import MixedFormation
from pipelines.datasets.sample import SampleFormation
from pipelines.datasets.window import WindowFormation

NEWEST = [  # whatever they drop, it is not what is newest
    AllFormation(policy="all"),
    WindowFormation(policy="window", days=3),
    MixedFormation(policy="mixed", days=3, replay_share=0.5),
    MixedFormation(policy="mixed", days=3, replay_share=0.0),
]


@pytest.mark.parametrize("policy", NEWEST, ids=repr)
def test_what_is_newest_trains(policy: Formation) -> None:
    given = many()
    assert set(given["row_id"].iloc[-29:]) <= set(policy.form(given, AS_OF, 3)["row_id"])


@pytest.mark.parametrize("size", [1, 40, 90, 91])
def test_sample_has_its_size_and_smaller_ones_are_inside_larger_ones(size: int) -> None:
    kept = SampleFormation(policy="sample", rows=size).form(many(), AS_OF, 5)
    assert len(kept) == min(size, 90)
    assert set(kept.index) <= set(
        SampleFormation(policy="sample", rows=size + 3).form(many(), AS_OF, 5).index
    )


def test_class_balanced_levels_what_is_common_and_keeps_what_is_rare() -> None:
    given = many()
    given["target"] = ["rare"] * 4 + ["some"] * 20 + ["common"] * 66
    policy = ClassBalancedFormation(policy="class-balanced", per_label=10)
    kept = policy.form(given, AS_OF, 2)
    assert kept["target"].value_counts().to_dict() == {"some": 10, "common": 10, "rare": 4}
    # what one label has does not change what is drawn of another
    alone = policy.form(given[given["target"] == "common"], AS_OF, 2)
    assert set(alone["row_id"]) == set(kept.loc[kept["target"] == "common", "row_id"])


@pytest.mark.parametrize(
    ("policy", "share"),
    [
        (SampleFormation(policy="sample", rows=30), 30 / 90),
        (ClassBalancedFormation(policy="class-balanced", per_label=30), 30 / 90),
    ],
    ids=repr,
)
def test_draws_are_uniform_and_new_with_each_seed(policy: Formation, share: float) -> None:
    given, times = many(), np.zeros(90)
    for seed in range(200):
        times[policy.form(given, AS_OF, seed).index] += 1
    assert times.mean() / 200 == pytest.approx(share)
    spread = (share * (1 - share) / 200) ** 0.5
    assert (abs(times / 200 - share) < 4 * spread).all()


def test_all_keeps_all() -> None:
    assert len(AllFormation(policy="all").form(many(), AS_OF, 0)) == 90


def test_window_forgets() -> None:
    kept = WindowFormation(policy="window", days=3).form(many(), AS_OF, 0)
    assert kept["input"].iloc[0] == "6 1"  # "6 0", of midnight, is three days old already
    assert len(kept) == 29


@pytest.mark.parametrize(("share", "old"), [(0.0, 0), (0.2, 7), (0.5, 29), (0.99, 61)])
def test_mixed_replays_a_share_of_the_result(share: float, old: int) -> None:
    kept = MixedFormation(policy="mixed", days=3, replay_share=share).form(many(), AS_OF, 0)
    assert (kept["timestamp"] <= AS_OF - timedelta(days=3)).sum() == old
    assert len(kept) == 29 + old


def test_mixed_draws_anew_with_each_seed_and_uniformly() -> None:
    policy = MixedFormation(policy="mixed", days=3, replay_share=0.5)
    times, given = np.zeros(90), many()
    for seed in range(100):
        times[policy.form(given, AS_OF, seed).index] += 1
    drawn = times[:61] / 100
    assert abs(drawn.mean() - 29 / 61) < 1e-9
    assert drawn.min() > 0.25
    assert drawn.max() < 0.7


def test_mixed_without_news_keeps_what_there_is() -> None:
    kept = MixedFormation(policy="mixed", days=1, replay_share=0.2).form(
        many(), AS_OF + timedelta(days=30), 0
    )
    assert len(kept) == 90
