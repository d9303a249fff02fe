"""The draws behind curation, simulated; near-copies; and what a round of a workspace looks at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core.arrays import Array
from core.near import mapped, near_any, units
from core.records.answers import Feedback
from core.state import CuratedUntil
from everloop.laws.windows import START, window
from flows.curate import curate, gather
from flows.session import Session, open_session
from pipelines.curation.draw import inclusion, pivotal, systematic
from pipelines.curation.order import apart
from pipelines.curation.pool import Pool
from pipelines.curation.random import Random
from pipelines.curation.round import Sizes, draw
from pipelines.datasets.contents import rows_here
from pipelines.triggers.betting import evidence
from pipelines.triggers.trigger import Round

Draw = Callable[[Array, Array, np.random.Generator], Array]


def clustered(rows: int = 200, seed: int = 0) -> tuple[Array, Array]:
    """Places (n, 2) in ten clusters, and which cluster each row is of."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 10, rows)
    return (rng.normal(size=(10, 2))[cluster] + 0.05 * rng.normal(size=(rows, 2))), cluster


def by_worth(rows: int = 200, size: float = 20, seed: int = 1) -> Array:
    return inclusion(np.random.default_rng(seed).random(rows) ** 3 + 0.05, size)


def in_random_order(chance: Array, order: Array, rng: np.random.Generator) -> Array:
    return systematic(chance, rng)


def test_chances_where_some_rows_cannot_be_taken() -> None:
    assert inclusion(np.array([0.0, 2.0, 1.0]), 1.5).tolist() == [0.0, 1.0, 0.5]
    assert inclusion(np.array([0.0, 2.0, 1.0]), 5).tolist() == [0.0, 1.0, 1.0]
    assert inclusion(np.zeros(2), 1).tolist() == [0.0, 0.0]
    assert inclusion(np.ones(4), 0.5).sum() == pytest.approx(0.5)


@pytest.mark.parametrize("take", [pivotal, in_random_order])
def test_a_draw_has_its_size_and_its_chances(take: Draw) -> None:
    chance, rng, rounds = by_worth(), np.random.default_rng(0), 2000
    order = apart(clustered()[0], chance)
    times = np.zeros(200)
    for _ in range(rounds):
        rows = take(chance, order, rng)
        assert len(rows) == len(set(rows.tolist())) == 20
        times[rows] += 1
    open_ = chance < 1
    z = (times / rounds - chance)[open_] / np.sqrt((chance * (1 - chance))[open_] / rounds)
    assert (times[~open_] == rounds).all()
    assert np.abs(z).max() < 4.5
    assert 0.7 < (z**2).mean() < 1.3


def test_no_two_rows_are_drawn_together_more_often_than_alone() -> None:
    """Negative association, pair by pair: that is what the bets of `error-budget` need."""
    places, chance = clustered(24)[0], by_worth(24, 6)
    rng, rounds = np.random.default_rng(0), 8000
    order = apart(places, chance)
    taken = np.zeros((rounds, 24))
    for i in range(rounds):
        taken[i, pivotal(chance, order, rng)] = 1
    covariance = np.cov(taken.T)
    np.fill_diagonal(covariance, 0)
    assert covariance.max() < 5 * 0.25 / rounds**0.5


def spread_of(take: Draw, value: Array, order: Array, chance: Array, rounds: int = 1500) -> float:
    """Variance of the Horvitz-Thompson sum of a value (n,)."""
    rng = np.random.default_rng(2)
    return float(np.var([(value / chance)[take(chance, order, rng)].sum() for _ in range(rounds)]))


def test_estimates_are_no_worse_than_from_a_draw_in_random_order_and_better_of_what_has_a_place() -> (
    None
):
    places, cluster = clustered()
    chance = by_worth()
    order = apart(places, chance)
    noise = np.random.default_rng(3).random(200) < 0.2
    topical = (cluster < 3).astype(float)

    def ratio(value: Array) -> float:
        apart_, plain = (spread_of(t, value, order, chance) for t in (pivotal, in_random_order))
        return apart_ / plain

    assert ratio(noise.astype(float)) < 1.2  # 1 within what 1,500 rounds can say
    assert ratio(topical * chance * 10) < 0.6


@pytest.mark.parametrize("where", ["anywhere", "in two clusters"])
def test_a_bet_on_rows_kept_apart_wins_nothing_within_the_budget(where: str) -> None:
    """The mean of the e-value is at most one at the edge of the null, for the draw of a round too."""
    pool = Pool(window(200))
    places, cluster = clustered()
    rng = np.random.default_rng(4)
    wrong = cluster < 2 if where == "in two clusters" else rng.random(200) < 0.2
    bound, sizes = float(wrong.mean()), Sizes.of(20, 0.13, 3)
    chance, won = by_worth(size=sizes.policy), []
    for _ in range(1000):
        found = draw(pool, sizes, chance, places, rng)
        seen = tuple(found.chances[wrong[found.rows]].tolist())
        labels = len(found.rows)
        round_ = Round(START, 200.0, 0.1, seen, labels=labels, picks=labels)
        won.append(evidence([round_], bound))
    assert np.mean(won) < 1 + 3 * np.std(won) / 1000**0.5


def test_a_rounds_chances_are_exact() -> None:
    """Three draws, near-copies, a log that does not keep all, an audit of 0.7 rows: 2,500 rounds."""
    w = window(24)
    rows = w.rows.assign(
        text=[f"t{max(0, i - 4)}" for i in range(24)], kept=np.where(np.arange(24) % 4 == 0, 0.25, 1.0)
    )
    pool = Pool(w.__class__(w.start, w.end, rows, w.embeddings, w.probabilities))
    assert pool.sizes[:6].tolist() == [5, 5, 5, 5, 5, 1]
    sizes = Sizes.of(7, 0.1, 2)
    assert sizes == Sizes(audit=0, more=0.7, test=2, policy=5)
    of_unit = inclusion(np.random.default_rng(0).random(len(pool.leaders)) + 0.1, sizes.policy)
    chance = of_unit[pool.units] / pool.sizes
    rng, rounds = np.random.default_rng(1), 2500
    times, given, audits = np.zeros(24), np.zeros(24), 0
    for _ in range(rounds):
        found = draw(pool, sizes, chance, pool.places, rng)
        times[found.rows] += 1
        given[found.rows] = found.chances
        audits += int(found.audit.sum())
    z = (times / rounds - given) / np.sqrt(given * (1 - given) / rounds)
    assert np.abs(z).max() < 4
    assert (z**2).mean() < 1.5
    assert abs(audits / rounds - 0.7) < 4 * (0.21 / rounds) ** 0.5


def test_one_label_an_hour_is_an_audit_label_one_time_in_ten() -> None:
    pool, policy = Pool(window(50)), Random(policy="random")
    rounds = [policy.pick(pool, 1, f"hour {i}", START) for i in range(500)]
    assert {len(tasks) for tasks in rounds} == {1}
    assert abs(sum(t.audit for tasks in rounds for t in tasks) - 50) < 4 * 45**0.5
    assert {round(tasks[0].propensity, 9) for tasks in rounds} == {1 / 50}


def test_neighbours_in_the_order_are_of_one_cluster() -> None:
    places, cluster = clustered(1000)
    order = apart(places, np.full(1000, 0.05))
    assert (cluster[order][1:] == cluster[order][:-1]).mean() > 0.9
    assert sorted(order) == list(range(1000))


def near(rows: Array, step: float, rng: np.random.Generator) -> Array:
    """A row beside each, at this distance from it on the sphere."""
    aside = rng.normal(size=rows.shape)
    moved = rows + step * aside / np.linalg.norm(aside, axis=1, keepdims=True)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def sphere(rows: int, dim: int, rng: np.random.Generator) -> Array:
    made = rng.normal(size=(rows, dim))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True))


def test_near_copies_are_found_and_nothing_else() -> None:
    """500 pairs among 3,000 rows, at a cosine of 0.99; and 500 pairs at 0.9, which are none."""
    rng = np.random.default_rng(0)
    first = sphere(2000, 64, rng)
    rows = np.concatenate([first, near(first[:500], 0.14, rng), near(first[500:1000], 0.5, rng)])
    rows = rows.astype(np.float16)
    map_ = mapped(rows)
    found = units([f"{i}" for i in range(3000)], rows, map_.places(rows), map_.close)
    assert (found[2000:2500] == found[:500]).mean() > 0.9
    assert len(np.unique(found)) == 3000 - (found[2000:2500] == found[:500]).sum()


def test_likeness_does_not_wander_along_a_chain() -> None:
    """Each row is near the next one, and the last is nothing like the first."""
    angle = np.linspace(0, np.pi, 60)
    chain = np.stack([np.cos(angle), np.sin(angle), *np.zeros((2, 60))], axis=1)
    others = sphere(500, 4, np.random.default_rng(0))
    rows = np.concatenate([chain, others]).astype(np.float32)
    map_ = mapped(rows)
    found = units([f"{i}" for i in range(560)], rows, map_.places(rows), map_.close)
    for number in np.unique(found):
        group = rows[found == number]
        assert ((group - group[0]) ** 2).sum(axis=1).max() <= map_.close + 1e-5


def test_what_is_near_held_out_rows_is_found_exactly() -> None:
    rng = np.random.default_rng(1)
    rows, held = sphere(300, 64, rng), sphere(40, 64, rng)
    rows[:40] = near(held, 0.19, rng)
    rows[40:80] = near(held, 0.3, rng)
    rows[80] = np.nan
    map_ = mapped(rows)
    full = ((rows[:, None] - held) ** 2).sum(axis=2).min(axis=1) <= map_.close
    found = near_any(rows, held, (map_.places(rows), map_.places(held)), map_.close)
    assert found.tolist() == full.tolist()
    assert 30 < full.sum() <= 80


@pytest.fixture
def looped(own: Path) -> Session:
    return open_session(own)


def days(session: Session) -> tuple[datetime, datetime]:
    """The last day that the loop has seen."""
    end = session.store.state.read(CuratedUntil).time
    return end - timedelta(days=1), end


def test_a_round_looks_at_what_is_stored(looped: Session) -> None:
    session, (start, end) = looped, days(looped)
    rows = session.store.answers.window(start, end).rows
    said = [
        ("thumbs", "down"),
        ("thumbs", "up"),
        ("correction", "other"),
        ("correction", rows["output"][3]),
    ]
    session.store.feedback.add(
        [
            Feedback(f"f{i}", rows["prediction_id"][i], end - timedelta(hours=1), *kind)  # type: ignore[arg-type]
            for i, kind in enumerate(said)
        ]
    )
    folder = session.workspace.root / "data" / "collections"
    folder.mkdir(parents=True)
    (folder / "odd.csv").write_text("text,label\nwhere is it,a\nwhere was it,a\n")
    (folder / "broken.csv").write_text("words\nno\n")
    pool = gather(session, start, end)
    assert np.flatnonzero(pool.complaints).tolist() == [0, 2]
    train = rows_here(session.workspace)
    same = train["encoder"] == rows["encoder"][0]
    assert len(pool.known) == same.sum() > 0
    assert pool.known.labels.tolist() == train.loc[same, "target"].tolist()
    assert {k: v.shape for k, v in pool.collections.items()} == {"odd": (2, pool.places.shape[1])}
    audited = rows.loc[rows["audit"], "text"]
    assert len(audited)
    assert pool.fenced[rows["audit"].to_numpy()].all()
    assert set(audited) <= set(pool.held_out.texts)
    session.store.close()


def test_a_round_again_reads_no_text_and_changes_nothing(looped: Session) -> None:
    session, (_, end) = looped, days(looped)
    before = (
        session.store.state.counters(),
        session.store.queue.picked(end - timedelta(days=9), end + timedelta(days=1)),
    )
    curate(session, end)
    assert (
        session.store.state.counters(),
        session.store.queue.picked(end - timedelta(days=9), end + timedelta(days=1)),
    ) == before
    session.store.close()


def test_topics_are_those_that_are_open(looped: Session) -> None:
    from flows.topics import Topics

    session, (start, end) = looped, days(looped)
    ids = session.store.answers.window(start, end).rows["prediction_id"].tolist()
    made = {
        "name": "odd", "opened": end.isoformat(), "seen": end.isoformat(), "since": start.isoformat(),
        "rows": 2, "share": 0.1, "confidence": 0.2, "novelty": 0.5, "encoder": "e", "centroid": "",
        "examples": [], "asked": {},
    }  # fmt: skip
    states = [("gone", ids[:2]), ("open", ids[3:5]), ("open", ids[7:8])]
    session.store.state.write(Topics.of([{**made, "status": s, "members": m} for s, m in states]))
    topics = gather(session, start, end).topics
    assert topics[[0, 1, 3, 4, 7]].tolist() == [-1, -1, 0, 0, 1]
    assert (topics >= 0).sum() == 3
    session.store.close()
