"""Drift on seeded streams whose day of change is known exactly, and the laws of every distance."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from core.arrays import Array
from core.records.signals import TrafficSample
from core.records.windows import Window
from core.store import Store
from core.stored import plain, record
from monitoring.drift.distances import SHARES
from monitoring.drift.embeddings import EmbeddingDrift, History, embedding_drift
from monitoring.drift.features import IncomparableError
from monitoring.drift.shares import shares_drift
from monitoring.drift.threshold import DayVariation, Threshold, day_variation
from monitoring.drift.two_sample import classifier_drift
from monitoring.drift.types import DriftEpisode, DriftSettings

DIM, TOPICS, ROWS = 16, 6, 120
CENTRES = 1.5 * np.random.default_rng(99).normal(size=(TOPICS, DIM))
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = Threshold(3.5, 5e-4)


def embed(rows: int, rng: np.random.Generator, new: float = 0.0) -> Array:
    """Five topics in equal parts, and a share `new` of a sixth."""
    found = np.where(rng.random(rows) < new, TOPICS - 1, rng.integers(0, TOPICS - 1, rows))
    return (CENTRES[found] + rng.normal(size=(rows, DIM))).astype(np.float32)


def window(embeddings: Array, first: int, last: int | None = None) -> Window:
    end = MONDAY + (first + 1 if last is None else last) * DAY
    rows = pd.DataFrame({"encoder": ["minilm"] * len(embeddings)})
    return Window(MONDAY + first * DAY, end, rows, embeddings, [])


def watch(shares: list[float], seed: int, rows: int = ROWS) -> tuple[list[EmbeddingDrift], list[int]]:
    """A day for each share of the new topic, looked at from the third on; and the days that alarmed."""
    rng = np.random.default_rng(seed)
    days = [embed(rows, rng, share) for share in shares]
    history, seen, alarms = History(), [], []
    for day in range(2, len(days)):
        first = max(0, day - 7)
        before = np.concatenate(days[first:day])
        ages = np.repeat(np.arange(day - first, 0, -1), rows)
        found = embedding_drift(
            window(days[day], day), window(before, first, day), ages, DriftSettings(RULE), history
        )
        history = History((*history.samples, *found.drawn), found.episodes)
        seen.append(found)
        slow = not isinstance(found.week, str) and found.week.alarm
        alarms += [day] if found.day.alarm or slow else []
    return seen, alarms


def kinds(found: EmbeddingDrift) -> list[tuple[str, int, int | None]]:
    def day(time: datetime | None) -> int | None:
        return None if time is None else (time - MONDAY) // DAY

    return [(e.kind, (e.since - MONDAY) // DAY, day(e.until)) for e in found.episodes]


def test_a_new_topic_is_one_alarm_on_its_first_day_and_then_what_is_usual():
    seen, alarms = watch([0.0] * 9 + [0.3] * 10, seed=1)
    assert alarms == [9]
    assert kinds(seen[9 - 2]) == [("instantaneous", 9, None)]
    assert kinds(seen[-1]) == [("instantaneous", 9, 16)]
    assert "after 7 days it is what is usual" in seen[-1].episodes[0].reason


def test_a_burst_is_named_temporary_when_it_ends_and_its_end_is_no_alarm():
    seen, alarms = watch([0.0] * 10 + [0.3] * 3 + [0.0] * 8, seed=2)
    assert alarms == [10]
    assert kinds(seen[12 - 2]) == [("instantaneous", 10, None)]
    assert kinds(seen[13 - 2]) == [("temporary", 10, 13)]
    assert seen[-1].episodes[0].evidence["days"] == 3


def test_weekends_alarm_once_and_are_periodic_from_then_on():
    seen, alarms = watch([0.3 if d % 7 > 4 else 0.0 for d in range(28)], seed=3)
    assert alarms == [5]
    assert kinds(seen[-1])[0] == ("temporary", 5, 7)
    assert ("periodic", 12) in [(kind, since) for kind, since, _ in kinds(seen[-1])]


def test_what_grows_slowly_is_found_by_its_week_and_named_gradual():
    growing = [0.0] * 15 + [0.01 * k for k in range(1, 16)]
    seen, alarms = watch(growing, seed=4, rows=200)
    assert alarms
    assert 16 <= alarms[0] <= 15 + 7
    assert "gradual" in [kind for kind, _, _ in kinds(seen[-1])]


@pytest.mark.parametrize("seed", [4, 5])
def test_a_gradual_change_is_one_episode_and_over_when_traffic_has_stood_still(seed):
    stood = 45
    growing = [0.0] * 15 + [0.01 * k for k in range(1, 31)] + [0.3] * 20
    seen, _ = watch(growing, seed=seed, rows=200)
    [(since, until)] = [(since, until) for kind, since, until in kinds(seen[-1]) if kind == "gradual"]
    assert 12 <= since <= 25
    assert stood <= until <= stood + 20
    assert any("no week was unlike the one before it" in e.reason for e in seen[-1].episodes)
    bad = [d for d, s in enumerate(seen, 2) if not isinstance(s.week, str) and s.week.alarm]
    assert bad == list(range(bad[0], until))  # the signal stays bad to the end, and no longer


def test_false_alarms_of_stationary_traffic_are_rare():
    fired = [watch([0.0] * 16, seed, rows=60)[1] for seed in range(8)]
    assert sum(map(len, fired)) <= 1  # of 112 days


def test_what_days_differ_by_themselves_is_learnt_from_quiet_and_from_drifting_days():
    noise = np.full(28, 0.1)
    rng = np.random.default_rng(5)
    quiet, busy = rng.normal(0.0, 0.1, 28), rng.normal(0.6, 0.4, 28)
    drifting = np.where(np.arange(28) < 5, 9.0, quiet)
    assert day_variation(quiet, noise) == DayVariation(0.0, 0.0, 28)
    assert day_variation(drifting, noise) == DayVariation(0.0, 0.0, 28)
    found = day_variation(busy, noise)
    assert (found.mean, found.sd) == pytest.approx((0.6, 0.4), abs=0.15)
    assert day_variation(busy[:2], noise[:2]) == DayVariation()


def test_a_spread_learnt_of_few_days_counts_for_more():
    """By Student's t: 6 degrees of freedom at 3.5 standard deviations of normal noise are 6.9."""
    limits = [
        Threshold(3.5, 0.0).compare(0.0, 0.0, DayVariation(0.0, 1.0, d), 1).threshold
        for d in (7, 28, 1000)
    ]
    assert limits == pytest.approx([6.88, 3.98, 3.51], abs=0.01)


def one(rows: int, new: float, seed: int = 0) -> EmbeddingDrift:
    rng = np.random.default_rng([rows, seed])
    before, ages = embed(2 * rows, rng), np.repeat([2, 1], rows)
    return embedding_drift(
        window(embed(rows, rng, new), 2), window(before, 0, 2), ages, DriftSettings(RULE)
    )


@pytest.mark.parametrize("new", [0.0, 0.01, 0.15])
def test_the_verdict_is_the_same_from_a_thousand_rows_and_from_a_hundred_thousand(new):
    assert [one(rows, new).day.alarm for rows in (1_000, 10_000, 100_000)] == [new > 0.1] * 3


def test_the_distance_of_the_same_traffic_is_zero_at_any_size():
    for rows in (50, 500, 5_000):
        found = [one(rows, 0.0, seed).day for seed in range(12)]
        assert abs(np.mean([d.value / d.sd for d in found])) < 1.0
        assert 0.5 < np.std([d.value / d.sd for d in found]) < 2.0


def test_the_order_of_rows_is_nothing():
    rng = np.random.default_rng(6)
    now, before, ages = embed(90, rng, 0.3), embed(180, rng), np.repeat([2, 1], 90)
    mixed = rng.permutation(180)
    straight = embedding_drift(window(now, 2), window(before, 0, 2), ages, DriftSettings(RULE))
    copies = now.copy(), before.copy()
    other = embedding_drift(
        window(now[::-1], 2), window(before[mixed], 0, 2), ages[mixed], DriftSettings(RULE)
    )
    assert other.day.value == pytest.approx(straight.day.value, rel=1e-4)
    assert np.array_equal(copies[0], now)
    assert np.array_equal(copies[1], before)


def test_no_distance_is_said_in_words():
    some, ages = (
        np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32),
        np.arange(40) // 20 + 1,
    )
    holes = some.copy()
    holes[[3, 7], 1] = np.nan
    for now, before, why in (
        (some, some[:, :3], r"^not comparable: 4 dimensions in the window, 3 in the reference$"),
        (
            some,
            np.ones_like(some),
            r"^not comparable: the embeddings of the reference are all the same$",
        ),
        (holes, some, r"^not comparable: 2 of 40 embeddings of the window are not finite numbers$"),
    ):
        with pytest.raises(IncomparableError, match=why):
            embedding_drift(window(now, 2), window(before, 0, 2), ages, DriftSettings(RULE))


def test_samples_of_another_size_or_time_are_left_out():
    rng = np.random.default_rng(7)
    odd = TrafficSample("minilm", MONDAY - DAY, MONDAY, 50, np.zeros((50, 3), np.float16))
    late = TrafficSample(
        "minilm", MONDAY + 2 * DAY, MONDAY + 3 * DAY, 50, embed(50, rng).astype(np.float16)
    )
    now, before, ages = embed(90, rng), embed(180, rng), np.repeat([2, 1], 90)
    plain = embedding_drift(window(now, 2), window(before, 0, 2), ages, DriftSettings(RULE))
    other = embedding_drift(
        window(now, 2), window(before, 0, 2), ages, DriftSettings(RULE), History((odd, late))
    )
    assert other.day == plain.day


def test_an_episode_survives_being_stored():
    episode = DriftEpisode("temporary", MONDAY, MONDAY + DAY, "over", {"value": 0.1})
    assert record(DriftEpisode, json.loads(json.dumps(plain(episode)))) == episode
    still = DriftEpisode("gradual", MONDAY, None, "slow", {})
    assert record(DriftEpisode, json.loads(json.dumps(plain(still)))) == still


@pytest.mark.parametrize("name", SHARES)
def test_a_distance_of_shares_is_zero_on_the_same_and_positive_on_others(name):
    a, b = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.2, 0.3, 0.4, 0.1])
    distance = SHARES[name]
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a, b) > 0
    if name != "kl":
        assert distance(a, b) == pytest.approx(distance(b, a))
    assert np.allclose(distance(np.stack([a, b]), b), [distance(a, b), distance(b, b)])


def test_distances_of_shares_are_these_numbers():
    a, b = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    found = {n: float(SHARES[n](a, b)) for n in ("l1", "linf", "emd", "ks")}
    assert found == pytest.approx({"l1": 1.0, "linf": 0.5, "emd": 0.375, "ks": 0.5})


def counts(shares: list[float], rows: int, days: int, seed: int) -> Array:
    return np.random.default_rng(seed).multinomial(rows, shares, days)


@pytest.mark.parametrize("moved", [0.0, 0.2])
def test_a_verdict_on_labels_does_not_depend_on_the_number_of_rows(moved):
    usual, new = [0.4, 0.3, 0.2, 0.1], [0.4 - moved, 0.3, 0.2, 0.1 + moved]
    alarms = []
    for rows in (1_000, 100_000):
        before, now = counts(usual, rows, 7, 1), counts(new, rows, 1, 2)[0]
        drift = shares_drift(now, before, np.arange(1, 8), SHARES["l1"], Threshold(3.5, 0.1))
        alarms.append(drift.alarm)
    assert alarms == [moved > 0] * 2


def test_labels_of_the_same_weekday_are_no_drift():
    usual, weekend = [0.5, 0.5, 0.0], [0.3, 0.3, 0.4]
    before = np.concatenate([counts(usual, 200, 6, 1), counts(weekend, 200, 1, 2)])
    ages, now = np.array([1, 2, 3, 4, 5, 6, 7]), counts(weekend, 200, 1, 3)[0]
    seen = shares_drift(now, before, ages, SHARES["l1"], RULE)
    assert (seen.alarm, seen.nearest) == (False, "the same weekday")
    assert shares_drift(now, before[:6], ages[:6], SHARES["l1"], RULE).alarm


def test_a_classifier_guesses_on_the_same_traffic_and_knows_other():
    rng = np.random.default_rng(8)
    reference = embed(1_000, rng)
    same = classifier_drift(embed(500, rng), reference, Threshold(3.5, 0.05))
    other = classifier_drift(embed(500, rng, 0.5), reference, Threshold(3.5, 0.05))
    assert same.value == pytest.approx(0.5, abs=0.06)
    assert (same.alarm, other.alarm) == (False, True)


def test_the_store_keeps_samples_apart_and_gives_them_back(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    rng = np.random.default_rng(9)
    day, half = (
        TrafficSample("minilm", MONDAY, MONDAY + k * DAY, 300, embed(20, rng).astype(np.float16))
        for k in (1, 2)
    )
    late = TrafficSample("minilm", MONDAY + DAY, MONDAY + 2 * DAY, 9, embed(9, rng).astype(np.float16))
    store.embeddings.put_samples([day])
    store.embeddings.put_samples([half])  # overlaps
    store.embeddings.put_samples([late])
    store.embeddings.put_samples([late])
    found = store.embeddings.samples("minilm", MONDAY + 2 * DAY)
    assert [(s.start, s.end, s.rows) for s in found] == [(x.start, x.end, x.rows) for x in (day, late)]
    assert np.array_equal(found[0].embeddings, day.embeddings)
    assert store.embeddings.samples("minilm", MONDAY + DAY)[0].end == MONDAY + DAY
    assert store.embeddings.samples("other", MONDAY + 9 * DAY) == []
    assert store.erasure.retire(MONDAY + DAY, "turn") == 0
    assert [s.start for s in store.embeddings.samples("minilm", MONDAY + 9 * DAY)] == [late.start]
    store.close()
