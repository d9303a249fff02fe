"""Drift on seeded streams whose day of change is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from core.records import Array
from monitoring.drift import Drift, IncomparableError, embedding_drift, label_drift

DIM, TOPICS, ROWS, CHANGE = 16, 6, 120, 9
CENTRES = np.random.default_rng(99).normal(size=(TOPICS, DIM))


def topics(rows: int, rng: np.random.Generator, new: float = 0.0) -> Array:
    """Topic numbers: five in equal parts, and a share `new` of a sixth."""
    return np.where(rng.random(rows) < new, TOPICS - 1, rng.integers(0, TOPICS - 1, rows))


def embed(found: Array, rng: np.random.Generator) -> Array:
    return (CENTRES[found] + rng.normal(size=(len(found), DIM))).astype(np.float32)


def stream(rows: int, days: int, seed: int, new: float = 0.0) -> tuple[Array, Array, Array]:
    """Topics, embeddings and day of each row; from day CHANGE on a share `new` is of a new topic."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    found = np.concatenate([topics(rows, rng, new if d >= CHANGE else 0.0) for d in range(days)])
    return found, embed(found, rng), day


def judge(day: int, days: Array, embeddings: Array, seed: int = 0) -> Drift:
    usual = (days >= day - 7) & (days < day)
    return embedding_drift(embeddings[days == day], embeddings[usual], days[usual], 3.0, 2e-4, seed)


def alarms(found: Drift) -> bool:
    return found.value > found.threshold


def test_a_new_topic_alarms_on_its_first_day_and_not_before():
    _, embeddings, days = stream(ROWS, 12, seed=1, new=0.3)
    assert [d for d in range(3, CHANGE + 1) if alarms(judge(d, days, embeddings))] == [CHANGE]


def test_new_predicted_labels_alarm_on_their_first_day_and_not_before():
    found, _, days = stream(ROWS, 12, seed=1, new=0.3)
    labels = np.char.mod("topic%d", found)
    verdicts = {}
    for day in range(3, CHANGE + 1):
        usual = (days >= day - 7) & (days < day)
        verdicts[day] = label_drift(
            list(labels[days == day]), list(labels[usual]), days[usual], 3.0, 0.1
        )
    assert [d for d, v in verdicts.items() if alarms(v)] == [CHANGE]
    assert verdicts[CHANGE].value == pytest.approx(0.6, abs=0.2)  # 2 * 0.3: what came and what went


def test_false_alarms_of_stationary_traffic_are_rare():
    fired = []
    for seed in range(100):
        found, embeddings, days = stream(60, 8, seed)
        labels, before = [str(t) for t in found], 7 * 60
        fired.append(
            alarms(label_drift(labels[before:], labels[:before], days[:before], 3.0, 0.1, seed))
        )
        if seed < 25:
            fired.append(alarms(judge(7, days, embeddings, seed)))
    assert sum(fired) <= 2  # of 125


@pytest.mark.parametrize("new", [0.01, 0.15])
def test_the_verdict_is_the_same_from_a_thousand_rows_and_from_ten_thousand(new):
    verdicts = []
    for rows in (1_000, 10_000):
        rng = np.random.default_rng(rows)
        reference, days = topics(2 * rows, rng), np.repeat([0, 1], rows)
        window = topics(rows, rng, new)
        drift = embedding_drift(embed(window, rng), embed(reference, rng), days, 3.0, 2e-4)
        verdicts.append(alarms(drift))
    assert verdicts == [new > 0.1] * 2


def test_days_that_always_differ_are_ordinary():
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(7), 400)
    found = np.concatenate([topics(400, rng, 0.3 if d >= 5 else 0.0) for d in range(7)])  # a weekend
    reference, weekend = embed(found, rng), embed(topics(400, rng, 0.3), rng)
    usual = embedding_drift(weekend, reference, days, 3.0, 2e-4)
    shuffled = embedding_drift(weekend, reference, rng.permutation(days), 3.0, 2e-4)
    assert usual.value == shuffled.value
    assert not alarms(usual)
    assert alarms(shuffled)


def test_a_seed_repeats_everything():
    _, embeddings, days = stream(ROWS, 8, seed=5)
    assert judge(7, days, embeddings, 1) == judge(7, days, embeddings, 1)
    assert judge(7, days, embeddings, 1) != judge(7, days, embeddings, 2)


def test_no_distance_is_said_in_words():
    some, days = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), np.arange(40) // 20
    with pytest.raises(IncomparableError, match=r"^4 dimensions in the window, 3 in the reference$"):
        embedding_drift(some, some[:, :3], days, 3.0, 0.0)
    with pytest.raises(IncomparableError, match=r"^the embeddings of the reference are all the same$"):
        embedding_drift(some, np.ones_like(some), days, 3.0, 0.0)
    holes = some.copy()
    holes[[3, 7], 1] = np.nan
    with pytest.raises(
        IncomparableError, match=r"^2 of 40 embeddings of the window are not finite numbers$"
    ):
        embedding_drift(holes, some, days, 3.0, 0.0)


def test_one_class_is_no_drift_and_another_class_is_all_of_it():
    days = np.repeat([0, 1], 20)
    same = label_drift(["a"] * 20, ["a"] * 40, days, 3.0, 0.1)
    other = label_drift(["b"] * 20, ["a"] * 40, days, 3.0, 0.1)
    assert (same.value, same.threshold, other.value, other.threshold) == (0.0, 0.1, 2.0, 0.1)


def test_inputs_are_not_changed():
    _, embeddings, days = stream(ROWS, 8, seed=5)
    before, days_before = embeddings.copy(), days.copy()
    judge(7, days, embeddings)
    assert np.array_equal(before, embeddings)
    assert np.array_equal(days_before, days)
