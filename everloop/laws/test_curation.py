"""Laws that hold for every curation policy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from core.arrays import Array
from core.records.windows import Window
from core.tasks import Classification, fits
from everloop.laws.members import under_law
from everloop.laws.pools import ODD, of_copies, rich
from everloop.laws.windows import START, window
from flows.fits import sections
from pipelines.curation import CurationPolicy
from pipelines.curation.picking import Curation
from pipelines.curation.pool import HeldOut, Pool
from pipelines.datasets.fence import cosines, least
from pipelines.datasets.rows import word_hashes

POLICIES = [p.model_copy(update={"audit_share": 0.1}) for p in under_law(CurationPolicy)]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.policy)


@every_policy
def test_same_round_same_picks_and_another_round_others(policy: Curation) -> None:
    for pool, same in ((Pool(window(200)), Pool(window(200))), (rich(200), rich(200))):
        first = policy.pick(pool, 20, "2026-01-06", START)
        assert policy.pick(same, 20, "2026-01-06", START) == first
        assert policy.pick(pool, 20, "2026-01-07", START) != first


@every_policy
def test_never_over_budget_never_twice_and_audit_slice_is_there(policy: Curation) -> None:
    for size in (0, 1, 3, 19, 20, 21, 500):
        tasks = policy.pick(Pool(window(size)), 20, "r", START)
        ids = [t.prediction_id for t in tasks]
        assert len(ids) == len(set(ids)) <= min(20, size)
        assert len(ids) >= min(20, size) - 2  # a row both draws take is one label
    assert sum(t.audit for t in tasks) == 2


@every_policy
@pytest.mark.parametrize("name", ODD)
def test_works_on_odd_pools(policy: Curation, name: str) -> None:
    pool = ODD[name]
    chances = policy.chances(pool, 5)
    assert (chances > 0).all()
    assert (chances <= 1 + 1e-9).all()
    assert chances.sum() == pytest.approx(min(5, len(pool.leaders)))
    for i in range(5):
        tasks = policy.pick(pool, 10, f"round {i}", START, for_test=2)
        assert len(tasks) <= min(10, len(pool))
        assert all(0 < t.propensity <= 1 for t in tasks)
        assert tasks or not len(pool)


@every_policy
def test_does_not_mutate_its_input(policy: Curation) -> None:
    pool, same = rich(50), rich(50)
    policy.pick(pool, 10, "r", START, for_test=1)
    assert pool.window.rows.equals(same.window.rows)
    assert np.array_equal(pool.window.embeddings, same.window.embeddings)
    assert all(map(np.array_equal, pool.window.probabilities, same.window.probabilities))
    assert np.array_equal(pool.known.embeddings, same.known.embeddings)
    assert np.array_equal(pool.topics, same.topics)


@every_policy
def test_probabilities_as_a_matrix_are_those_of_a_list(policy: Curation) -> None:
    pool = rich(60)
    matrix = replace(pool.window, probabilities=np.stack(list(pool.window.probabilities)))
    again = replace(pool, window=matrix)
    assert policy.pick(again, 12, "r", START) == policy.pick(pool, 12, "r", START)


class Doubted(Classification):
    """Another task: of its answers only the doubt is known."""

    policy: Literal["another"] = "another"  # type: ignore[assignment]
    shares: Any

    def doubt(self, answers: Window, /) -> Array:  # noqa: ARG002  # they say nothing here
        return np.asarray(self.shares)


@every_policy
def test_a_policy_that_needs_probabilities_says_so(policy: Curation) -> None:
    """One that names no `tasks` picks the same from doubt alone, so it serves a model of any family."""
    pool = rich(60)
    other = Doubted(shares=pool.doubt)
    if all(fits(section, other) for _, section in sections(policy)):
        bare = replace(pool.window, probabilities=np.zeros((60, 0), np.float32))
        again = replace(pool, window=bare, task=other)
        assert policy.pick(again, 12, "r", START) == policy.pick(pool, 12, "r", START)


@every_policy
def test_stored_propensity_is_the_frequency_of_being_picked(policy: Curation) -> None:
    """Whatever is drawn: near-copies, what is held out, topics, a log that does not keep all, rows for
    a test, and an audit slice of 0.7 rows. And so the picks give an unbiased mean of all traffic
    (Horvitz-Thompson: sum(value / propensity) over the picks is the sum over all rows)."""
    pool, rounds = rich(), 300
    times: Counter[str] = Counter()
    chance: dict[str, float] = {}
    value = dict(zip(pool.window.rows["prediction_id"], pool.window.rows["confidence"], strict=True))
    sums, audits = [], 0
    for i in range(rounds):
        tasks = policy.pick(pool, 7, f"round {i}", START, for_test=1)
        assert len(tasks) <= 7
        assert all(t.audit == (t.policy == "audit") for t in tasks)
        times.update(t.prediction_id for t in tasks)
        chance |= {t.prediction_id: t.propensity for t in tasks}
        sums.append(sum(value[t.prediction_id] / t.propensity for t in tasks))
        audits += sum(t.audit for t in tasks)
    assert len(chance) == 40, "every row has a positive chance"
    given = np.array(list(chance.values()))
    off = np.array([times[key] for key in chance]) / rounds - given
    z = off / np.sqrt(given * (1 - given) / rounds)
    assert np.abs(z).max() < 4.5
    assert (z**2).mean() < 2
    assert abs(np.mean(sums) - sum(value.values())) < 4 * np.std(sums) / rounds**0.5
    assert abs(audits / rounds - 0.7) < 4 * (0.7 * 0.3 / rounds) ** 0.5


@every_policy
def test_copies_of_every_row_change_nothing(policy: Curation) -> None:
    """Chances hang on no count of rows: two that are one share what it would have alone."""
    w, whole = window(40), rich()
    pool, twice = (Pool(x, known=whole.known, collections=whole.collections) for x in (w, of_copies(w)))
    both = policy.chances(twice, 6).reshape(2, -1)
    assert both[0] == pytest.approx(both[1])
    assert both.sum(axis=0) == pytest.approx(policy.chances(pool, 6), rel=0.02)


@every_policy
def test_no_pick_is_a_near_copy_of_another_or_of_an_audit_row(policy: Curation) -> None:
    w = window(60)
    threes = replace(w, rows=w.rows.assign(text=[f"Text {i // 3}" for i in range(60)]))
    pool = Pool(threes, held_out=HeldOut(["text 0"], w.embeddings[:0]))
    unit = dict(zip(w.rows["prediction_id"], pool.units, strict=True))
    for i in range(20):
        tasks = policy.pick(pool, 12, f"round {i}", START)
        training = [unit[t.prediction_id] for t in tasks if not t.audit]
        audit = {unit[t.prediction_id] for t in tasks if t.audit}
        assert len(set(training)) == len(training)
        assert not set(training) & (audit | {0})


@every_policy
def test_nothing_is_picked_to_train_that_a_dataset_would_fence(policy: Curation) -> None:
    """Curation and formation have one fence: 60 rows at growing distances from held-out ones, three
    with the words of one; what formation keeps out of training is never labelled for it."""
    held, rng = window(60, seed=7), np.random.default_rng(8)
    w = window(200)
    aside = rng.normal(size=(60, 8))
    step = np.linspace(0.02, 0.6, 60) * np.linalg.norm(held.embeddings, axis=1)
    aside *= (step / np.linalg.norm(aside, axis=1))[:, None]
    embeddings = w.embeddings.copy()
    embeddings[:60] = held.embeddings + aside
    texts = [f"candidate {i}" for i in range(197)] + [f"«TEXT, {i}»!" for i in range(3)]
    w = replace(w, embeddings=embeddings.astype(np.float16), rows=w.rows.assign(text=texts))
    stored = held.embeddings.astype(np.float16)
    fenced = cosines(w.embeddings, stored) >= least(stored)
    fenced |= np.isin(word_hashes(texts), word_hashes(held.rows["text"]))
    assert 20 < fenced.sum() < 60
    pool = Pool(w, held_out=HeldOut(held.rows["text"].tolist(), stored))
    assert pool.fenced[fenced].all()
    wasted = set(w.rows["prediction_id"][fenced])
    for i in range(20):
        tasks = policy.pick(pool, 40, f"round {i}", START)
        assert not wasted & {t.prediction_id for t in tasks if not t.audit}


@every_policy
def test_picks_keep_apart(policy: Curation) -> None:
    """Of 20 clusters of 15 rows, 20 picks see more than as many draws without regard to place would,
    given the same chances."""
    w = window(300)
    middle = np.random.default_rng(5).normal(size=(20, 8))[np.arange(300) % 20]
    pool = Pool(replace(w, embeddings=(middle + 0.15 * w.embeddings).astype(np.float32)))
    alone = policy.model_copy(update={"audit_share": 0.0})
    place = {p: i % 20 for i, p in enumerate(w.rows["prediction_id"])}
    seen = [
        len({place[t.prediction_id] for t in alone.pick(pool, 20, f"round {i}", START)})
        for i in range(40)
    ]
    chances = alone.chances(pool, 20)
    of_cluster = np.array([1 - np.prod(1 - chances[c::20]) for c in range(20)])
    assert np.mean(seen) > of_cluster.sum()


@every_policy
def test_rows_for_a_test_are_uniform_within_the_budget_and_audit_rows_stay(policy: Curation) -> None:
    pool = Pool(window(40))
    assert policy.pick(pool, 10, "r", START, for_test=0) == policy.pick(pool, 10, "r", START)
    for i in range(20):
        tasks = policy.pick(pool, 10, f"round-{i}", START, for_test=4)
        assert len(tasks) <= 10
        assert sum(t.policy == "test" for t in tasks) <= 4
        assert min(t.propensity for t in tasks) >= 1 - (1 - 1 / 40) * (1 - 4 / 40) - 1e-9


@every_policy
def test_a_test_never_takes_more_than_the_policys_part(policy: Curation) -> None:
    tasks = policy.pick(Pool(window(200)), 20, "r", START, for_test=50)
    assert len(tasks) <= 20
    assert sum(t.audit for t in tasks) == 2
    assert {t.policy for t in tasks} == {"audit", "test"}


@every_policy
def test_a_new_topic_has_a_floor(policy: Curation) -> None:
    """A tenth of the picks for new topics is four of forty, though they are three of 300 rows."""
    topics = np.full(300, -1)
    topics[[7, 70, 170]] = [0, 0, 1]
    pool = Pool(window(300), topics=topics)
    new = set(pool.window.rows["prediction_id"][[7, 70, 170]])
    whole = policy.model_copy(update={"audit_share": 0.0})
    found = [{t.prediction_id for t in whole.pick(pool, 40, f"{i}", START)} >= new for i in range(5)]
    assert all(found)
