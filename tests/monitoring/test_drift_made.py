"""The rule on made streams that it was not shaped on: topics that change their shares, and new ones.

bench/synthetic.py makes them; `python -m bench.monitoring --only synthetic` runs more of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.synthetic import DAYS, KINDS, TRAFFIC, judged, made

SMALL = 1  # the seed whose days have 60 rows of 16 dimensions
every = pytest.mark.parametrize("traffic", TRAFFIC)


@every
@pytest.mark.parametrize("kind", KINDS)
def test_a_made_stream_is_the_same_again_and_has_its_drift_where_it_is_said(kind, traffic):
    (stream, events), (again, _) = (made(kind, traffic, SMALL) for _ in range(2))
    assert np.array_equal(stream.embeddings, again.embeddings)
    assert stream.days == DAYS
    new = np.unique(stream.day[(stream.frame["truth"] == "new").to_numpy()])
    if not events:
        assert len(new) == 0
    elif events[0].start is None:
        assert set(new % 7) == {5, 6}
    else:
        assert events[0].start <= new[0] <= events[0].start + 5  # a gradual one begins with few
        assert new[-1] == (events[0].end or DAYS) - 1 or kind == "gradual"


@pytest.mark.slow
@every
def test_shares_that_change_from_day_to_day_are_no_drift(traffic):
    """Three streams of 31 days that are judged; the promise of one alarm in 60 days is not quite kept
    where shares change (docs/limits.md)."""
    seen = [judged("none", traffic, seed) for seed in (0, SMALL, 2)]
    assert [s.alarms.sum() <= 3 for s in seen] == [True] * 3
    assert sum(s.alarms.sum() for s in seen) <= 5


@pytest.mark.slow
@every
def test_a_new_topic_is_noticed_in_any_traffic(traffic):
    seen = [judged("instantaneous", traffic, seed) for seed in (0, SMALL, 2)]
    assert sum(s.in_time for s in seen) >= 2
