"""The bench of triggers does what it says, on a stream small enough to check."""

from __future__ import annotations

import numpy as np
import pytest

from bench.arms import Arm
from bench.labelled import Rows, Stream
from pipelines.curation.random import Random
from pipelines.triggers.labels import Labels
from pipelines.triggers.periodic import Periodic

EACH_DAY, DAYS = 24, 4


def rows(count: int, labels: tuple[str, ...], seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(labels), size=count)
    centres = np.eye(8, dtype=np.float32)[which] * 3
    embeddings = centres + rng.normal(size=(count, 8)).astype(np.float32) * 0.3
    return Rows(embeddings, np.array(labels)[which])


@pytest.fixture
def stream() -> Stream:
    """Hourly requests; from the third day on a label comes that nobody trained on."""
    start = np.datetime64("2026-01-05T00:30:00", "us")
    times = start + np.arange(EACH_DAY * DAYS) * np.timedelta64(1, "h")
    before, after = rows(48, ("a", "b"), 0), rows(48, ("a", "b", "c"), 1)
    return Stream("small", times, before + after, rows(40, ("a", "b"), 2), rows(20, ("a", "b"), 3))


def test_a_new_label_is_learnt_by_whoever_retrains(stream: Stream) -> None:
    curation = Random(policy="random", labels_per_day=12)
    daily = Arm(stream, Periodic(policy="periodic", every_days=1), curation).run()
    never = Arm(stream, Labels(policy="labels", at_least=1000), curation).run()
    assert [d.day for d in daily.retrains] == [6, 7, 8, 9]
    assert (never.retrains, len(never.decisions)) == ([], DAYS)
    assert daily.labels == never.labels <= 12 * DAYS
    new = stream.requests.labels == "c"
    assert not never.right[new].any()
    assert never.right[~new].all()
    assert daily.right[-EACH_DAY:].all()
    assert not daily.right[48:72][new[48:72]].any()  # a model serves only after its labels came


def test_a_shuffled_copy_is_the_same_requests_cut_after_its_first_days(stream: Stream) -> None:
    copy = stream.shuffled(1, days=1)
    parts = [copy.train.labels, copy.evaluation.labels, copy.requests.labels]
    assert [len(p) for p in parts] == [18, 6, 72]
    assert sorted(np.concatenate(parts)) == sorted(stream.requests.labels)
    assert (copy.times == stream.times[24:]).all()
    assert not np.array_equal(parts[2], stream.requests.labels[24:])
