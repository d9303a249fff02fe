"""`mix` and `cover`: what the laws over all policies do not say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from everloop.laws.windows import START, window
from pipelines.curation import CurationPolicy
from pipelines.curation.cover import Cover, covering, wants
from pipelines.curation.margin import Margin
from pipelines.curation.mix import Mix
from pipelines.curation.pool import KnownRows, Pool
from pipelines.curation.random import Random


def mix(**shares: float) -> Mix:
    parts = [{"share": s, "part": {"policy": name}} for name, s in shares.items()]
    made = TypeAdapter(CurationPolicy).validate_python({"policy": "mix", "of": parts})
    assert isinstance(made, Mix)
    return made


def in_groups() -> Pool:
    """Nine groups of new rows, 20 to 4 large, among 200 rows of which the model is sure."""
    sizes = [20, 18, 16, 14, 12, 10, 8, 6, 4]
    group = np.repeat(np.arange(10), [200, *sizes])
    w = window(len(group), labels=2)
    rng = np.random.default_rng(0)
    embeddings = np.eye(12)[group] + 0.05 * rng.normal(size=(len(group), 12))
    sure = np.where(group == 0, 0.99, 0.6)
    shares = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    known = KnownRows(np.eye(12)[[0] * 30], np.array(["a", "b"] * 15, dtype=object))
    rows = w.rows.assign(segment_group=group)
    return Pool(
        replace(w, rows=rows, embeddings=embeddings.astype(np.float32), probabilities=list(shares)),
        known=known,
    )


def test_chances_are_the_shares_of_the_parts() -> None:
    pool = Pool(window(100))
    by_margin, by_chance = Margin(policy="margin"), Random(policy="random")
    whole = 0.75 * by_margin.chances(pool, 10) + 0.25 * by_chance.chances(pool, 10)
    assert mix(margin=3, random=1).chances(pool, 10) == pytest.approx(whole)


def test_a_pick_is_named_after_the_part_it_is_owed_to() -> None:
    pool, policy = Pool(window(300)), mix(margin=0.5, random=0.5)
    names = [t.policy for i in range(60) for t in policy.pick(pool, 20, f"{i}", START) if not t.audit]
    assert set(names) == {"margin", "random"}
    assert np.mean([n == "margin" for n in names]) == pytest.approx(0.5, abs=0.05)


def test_settings_of_the_whole_mix_are_no_settings_of_a_part() -> None:
    part = {"share": 1.0, "part": {"policy": "margin", "labels_per_day": 5, "audit_share": 0.2}}
    with pytest.raises(ValidationError, match="audit_share, labels_per_day: set for the whole mix"):
        TypeAdapter(CurationPolicy).validate_python({"policy": "mix", "of": [part]})


def test_a_mix_has_the_floors_of_its_parts() -> None:
    with pytest.raises(ValidationError, match="set for the parts of a mix"):
        TypeAdapter(CurationPolicy).validate_python({"policy": "mix", "floor": 0.2})


def test_cover_asks_once_for_each_new_thing_the_largest_first() -> None:
    pool, policy = in_groups(), Cover(policy="cover", audit_share=0.0, floor=1e-6)
    group = dict(zip(pool.window.rows["prediction_id"], pool.window.rows["segment_group"], strict=True))
    for budget in (4, 9):
        tasks = policy.pick(pool, budget, "r", START)
        assert sorted(group[t.prediction_id] for t in tasks) == list(range(1, budget + 1))


def test_cover_keeps_its_floor() -> None:
    pool = in_groups()
    chances = Cover(policy="cover", floor=0.2).chances(pool, 10)
    assert (np.bincount(pool.units, chances) > 1 - 1e-9).sum() == 8
    assert chances.sum() == pytest.approx(10)
    assert chances[:200].sum() > 1


def test_what_is_known_well_is_wanted_less() -> None:
    w = window(40)
    doubtful = [np.array([0.5, 0.5], np.float32)] * 40
    known = KnownRows(np.repeat(w.embeddings[:1], 50, axis=0), np.array(["a"] * 50, dtype=object))
    wanted = wants(Pool(replace(w, probabilities=doubtful), known=known))
    assert wanted.argmin() == 0
    assert wants(Pool(replace(w, probabilities=doubtful))) == pytest.approx(0.5)


def test_covering_stops_when_nothing_is_left_to_cover() -> None:
    rows = np.eye(3)[[0, 0, 1, 1]]
    assert covering(rows, np.array([1.0, 1.0, 3.0, 0.0]), 4).tolist() == [2, 0]
    assert covering(rows, np.zeros(4), 4).tolist() == []
