"""The bundled calls: a function is renamed on day 6, and eight labels a day are enough to see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from core.arrays import Array
from everloop.sample import bundled
from pipelines.datasets.contradictions import Findings, look

LABELS, CHANGED, WITHIN = 8, 6, 2
RENAMED = {
    '"alarm_set" has become "alarm_create"',
    '"time" of "alarm_create" or "alarm_set" has become "at"',
}


@dataclass(frozen=True, eq=False)
class Calls:
    """All first rows, and those of the stream with the days they came on. A request lies where its words
    say: no model is needed."""

    rows: pd.DataFrame
    day: Array
    embeddings: Array

    def seen(self, until: int, seed: int, shuffled: bool = False) -> Findings:
        """What eight random labels a day show at the end of a day."""
        rng = np.random.default_rng(seed)
        drawn = [rng.choice(np.flatnonzero(self.day == d), LABELS, replace=False) for d in range(10)]
        known = np.sort(np.concatenate([np.flatnonzero(self.day < 0), *drawn[: until + 1]]))
        rows = self.rows.iloc[known]
        times = [t.to_pydatetime() for t in rows["timestamp"]]
        if shuffled:
            times = [times[i] for i in rng.permutation(len(times))]
        return look(rows["text"].tolist(), rows["answer"].tolist(), self.embeddings[known], times)


@pytest.fixture(scope="module")
def calls() -> Calls:
    first, stream = (pd.read_csv(bundled("generation") / f"{n}.csv") for n in ("train", "stream"))
    stream["timestamp"] = pd.to_datetime(stream["timestamp"])
    start = stream["timestamp"].min().normalize()
    rows = pd.concat([first.assign(timestamp=start), stream], ignore_index=True)
    day = np.array((rows["timestamp"] - start) // pd.Timedelta("1D"))
    day[: len(first)] = -1
    said = [set(text.split()) for text in rows["text"]]
    places = {word: i for i, word in enumerate(sorted(set().union(*said)))}
    having = np.zeros((len(rows), len(places)), np.float32)
    for row, spoken in zip(having, said, strict=True):
        row[[places[word] for word in spoken]] = 1
    return Calls(rows, day, having * np.log(len(rows) / having.sum(axis=0)))


def test_it_is_found_within_two_days_and_nothing_before(calls: Calls) -> None:
    assert calls.seen(CHANGED - 1, seed=0) == Findings()
    found = calls.seen(CHANGED + WITHIN - 1, seed=0)
    assert {change.title for change in found.changes} == RENAMED
    assert all(change.renames for change in found.changes)


@pytest.mark.parametrize("seed", range(3))
def test_in_another_order_the_same_labels_show_nothing(calls: Calls, seed: int) -> None:
    assert calls.seen(9, seed, shuffled=True).changes == []


def test_one_row_with_a_new_name_is_a_suspicion(calls: Calls) -> None:
    found = calls.seen(CHANGED, seed=2)
    assert [(s.old, s.new, len(s.near)) for s in found.suspicions] == [("alarm_set", "alarm_create", 4)]
    assert found.changes == []
