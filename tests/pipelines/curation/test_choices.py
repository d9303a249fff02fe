"""What each curation policy prefers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from core.arrays import Array
from everloop.laws.pools import rich
from everloop.laws.windows import START, window
from pipelines.curation import CurationPolicy
from pipelines.curation.picking import Curation
from pipelines.curation.pool import KnownRows, Pool


def one(name: str, **settings: object) -> Curation:
    """The policy of a name."""
    made: Curation = TypeAdapter(CurationPolicy).validate_python({"policy": name, **settings})
    return made


def share_of(policy: Curation, pool: Pool, wanted: Array) -> float:
    """Share of a policy's chances that rows (n,) bool have."""
    chances = policy.chances(pool, 10)
    return float(chances[wanted].sum() / chances.sum())


@pytest.mark.parametrize("name", ["margin", "least-confidence", "entropy"])
def test_uncertainty_prefers_hesitation(name: str) -> None:
    pool = Pool(window(300))
    unsure = pool.window.rows["confidence"].to_numpy() < 0.5
    assert share_of(one(name), pool, unsure) > 2 * unsure.mean()


def test_stratified_gives_a_rare_stratum_its_share() -> None:
    pool = Pool(window(400))
    paid = (pool.window.rows["segment.plan"] == "paid").to_numpy()
    assert share_of(one("stratified", by="plan", floor=1e-9), pool, paid) == pytest.approx(0.5)
    assert share_of(one("stratified", by="nobody sent it"), pool, paid) == pytest.approx(0.1)


def in_two_places(rows: int = 200, rare: int = 20) -> tuple[Pool, Array]:
    """A pool in which the first rows lie elsewhere; what is known lies with the others."""
    w = window(rows)
    new = np.arange(rows) < rare
    middles = np.where(new[:, None], np.eye(8)[0], np.eye(8)[1]) * 3
    embeddings = (middles + 0.3 * w.embeddings).astype(np.float32)
    known = KnownRows(embeddings[100:130], np.array(["a", "b"] * 15, dtype=object))
    return Pool(replace(w, embeddings=embeddings), known=known), new


@pytest.mark.parametrize(
    "policy",
    [
        one("novelty"),
        one("representative"),
        one("representative", by="k-center"),
        one("stratified", by="cluster", clusters=2),
    ],
    ids=["novelty", "facility-location", "k-center", "clusters"],
)
def test_diversity_prefers_what_is_not_known(policy: Curation) -> None:
    pool, new = in_two_places()
    assert share_of(policy, pool, new) > 4 * new.mean()


def test_facility_location_prefers_what_stands_for_many_where_nothing_is_known() -> None:
    pool, rare = in_two_places()
    assert (
        share_of(one("representative"), replace(pool, known=Pool(window(0)).known), rare) < rare.mean()
    )


def test_disagreement_and_predicted_loss_find_where_the_labels_are_mixed() -> None:
    """In one place each label is clear, in the other it is chance."""
    rng = np.random.default_rng(3)
    mixed = rng.random(240) < 0.5
    label = rng.integers(0, 2, 240)
    clear = np.eye(8)[2 + label] * 4
    embeddings = np.where(mixed[:, None], np.eye(8)[0] * 4, clear) + 0.3 * rng.normal(size=(240, 8))
    w = replace(window(120, labels=2), embeddings=embeddings[120:].astype(np.float32))
    pool = Pool(w, known=KnownRows(embeddings[:120], np.array(["a", "b"], dtype=object)[label[:120]]))
    for name in ("disagreement", "predicted-loss"):
        assert share_of(one(name), pool, mixed[120:]) > 1.3 * mixed[120:].mean()


def test_feedback_takes_complaints_first() -> None:
    complaints = np.arange(200) % 20 == 0
    pool = Pool(window(200), complaints=complaints)
    assert share_of(one("feedback"), pool, complaints) > 0.9
    assert share_of(one("feedback"), Pool(window(200)), complaints) == pytest.approx(0.05)


def test_feedback_takes_the_surest_answers_first() -> None:
    complaints = np.arange(200) % 4 == 0
    pool = Pool(window(200), complaints=complaints)
    sure = complaints & (pool.doubt < np.median(pool.doubt[complaints]))
    alike, surest = (share_of(one("feedback", sureness=s), pool, sure) for s in (0.0, 8.0))
    assert surest > 1.3 * alike


@pytest.mark.parametrize("complain", [0, 3, 150])
def test_in_a_mix_feedback_takes_no_more_than_there_is(complain: int) -> None:
    parts = [{"share": 0.5, "part": {"policy": p}} for p in ("novelty", "feedback")]
    pool, budget = Pool(window(200), complaints=np.arange(200) < complain), 20.0
    mixed = one("mix", of=parts)
    assert mixed.chances(pool, budget).sum() == pytest.approx(budget)
    shares = mixed._shares(pool, budget)
    assert shares == pytest.approx([1 - 0.5 * min(1, complain / 20), 0.5 * min(1, complain / 20)])


@pytest.mark.parametrize("by", ["nearest", "classifier"])
def test_like_these_finds_what_is_like_a_collection(by: str) -> None:
    pool, new = in_two_places()
    filled = replace(pool, collections={"odd": pool.window.embeddings[:5], "even": np.eye(8)[1:2]})
    assert share_of(one("like-these", by=by, collection="odd"), filled, new) > 5 * new.mean()


def test_like_these_says_which_collections_there_are() -> None:
    from core.errors import DataError

    policy = one("like-these", collection="refund")
    with pytest.raises(
        DataError, match=r"no collection of this name[\s\S]*refund[\s\S]*one of refunds"
    ):
        policy.pick(rich(), 5, "r", START)


def test_impact_is_the_norm_of_the_gradient() -> None:
    w = window(20)
    p = np.stack(list(w.probabilities))
    best = np.eye(4)[p.argmax(axis=1)]
    whole = np.einsum("ni,nj->nij", p - best, w.embeddings)
    assert one("impact").worth(Pool(w)) == pytest.approx((whole**2).sum(axis=(1, 2)), rel=1e-4)
