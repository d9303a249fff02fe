"""Laws of the formation policies: every policy, every property."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.datasets.all import All
from pipelines.datasets.mixed import Mixed
from pipelines.datasets.policy import Formation
from pipelines.datasets.reservoir import first_rows
from pipelines.datasets.window import Window

START = datetime(2026, 1, 5, tzinfo=UTC)
POLICIES = [
    All(policy="all"),
    Window(policy="window", days=3),
    Mixed(policy="mixed", days=3, replay_share=0.5),
    Mixed(policy="mixed", days=3, replay_share=0.0),
]


def rows(texts: list[str], day: float) -> pd.DataFrame:
    times = [START + timedelta(days=day, minutes=i) for i in range(len(texts))]
    table = pd.DataFrame({"text": texts, "label": "card", "timestamp": times})
    return first_rows(table, np.ones((len(texts), 4)), "train", "tiny", START)


def many(days: int = 9) -> pd.DataFrame:
    parts = [rows([f"{d} {i}" for i in range(10)], day=d) for d in range(days)]
    return pd.concat(parts, ignore_index=True)


AS_OF = START + timedelta(days=9)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_laws_of_formation(policy: Formation) -> None:
    """A subset, in order, of unchanged rows; the same for the same seed, whatever the order of the
    rows; empty from empty; the input is left alone; what is newest always trains."""
    given = many()
    before = given.copy(deep=True)
    kept = policy.form(given, AS_OF, 3)
    pd.testing.assert_frame_equal(given, before)
    pd.testing.assert_frame_equal(kept, given.loc[kept.index])
    assert kept.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(policy.form(given, AS_OF, 3), kept)
    shuffled = given.sample(frac=1, random_state=0).reset_index(drop=True)
    assert set(policy.form(shuffled, AS_OF, 3)["row_id"]) == set(kept["row_id"])
    assert policy.form(given.iloc[:0], AS_OF, 3).empty
    newest = given.iloc[[-1]]
    pd.testing.assert_frame_equal(policy.form(newest, AS_OF, 3), newest)
    assert set(given["row_id"].iloc[-29:]) <= set(kept["row_id"])


def test_all_keeps_all() -> None:
    assert len(All(policy="all").form(many(), AS_OF, 0)) == 90


def test_window_forgets() -> None:
    kept = Window(policy="window", days=3).form(many(), AS_OF, 0)
    assert kept["text"].iloc[0] == "6 1"  # "6 0", of midnight, is three days old already
    assert len(kept) == 29


@pytest.mark.parametrize(("share", "old"), [(0.0, 0), (0.2, 7), (0.5, 29), (0.99, 61)])
def test_mixed_replays_a_share_of_the_result(share: float, old: int) -> None:
    kept = Mixed(policy="mixed", days=3, replay_share=share).form(many(), AS_OF, 0)
    assert (kept["timestamp"] <= AS_OF - timedelta(days=3)).sum() == old
    assert len(kept) == 29 + old


def test_mixed_draws_anew_with_each_seed_and_uniformly() -> None:
    policy = Mixed(policy="mixed", days=3, replay_share=0.5)
    times, given = np.zeros(90), many()
    for seed in range(100):
        times[policy.form(given, AS_OF, seed).index] += 1
    drawn = times[:61] / 100
    assert abs(drawn.mean() - 29 / 61) < 1e-9
    assert drawn.min() > 0.25
    assert drawn.max() < 0.7


def test_mixed_without_news_keeps_what_there_is() -> None:
    kept = Mixed(policy="mixed", days=1, replay_share=0.2).form(many(), AS_OF + timedelta(days=30), 0)
    assert len(kept) == 90
