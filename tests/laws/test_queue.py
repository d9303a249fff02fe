"""Laws of the annotation queue, over random days of several annotators who change their minds.

Whatever is said in whatever order: each task is in exactly one state; an annotation stands on as many
equal votes as were needed, or on an adjudicator; a leased task is nobody else's; nothing said is lost.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import LabelError
from core.store import Store
from tests.core.store.test_queue import DAY, IDS, NOW, SOON, asked, says

PEOPLE, TASKS, LABELS = ("ana", "bob", "cy"), 8, ("a", "b")


class Day:
    """Somebody does something, over and over, and what must hold is looked at each time."""

    def __init__(self, store: Store, needed: int, seed: int) -> None:
        self.store, self.needed = asked(store, TASKS), needed
        self.rng = np.random.default_rng(seed)
        self.minute = 0
        self.held: dict[int, tuple[str, int]] = {}  # task -> who may be the only one, until when
        self.said: dict[tuple[int, str], str | None] = {}  # what was acknowledged last
        self.judged: dict[int, str] = {}
        self.claims = 0

    def step(self) -> None:
        self.minute += int(self.rng.integers(0, 9))
        acts = [self.lease] * 4 + [self.vote] * 8 + [self.unvote] * 2 + [self.judge, self.claim]
        acts[int(self.rng.integers(len(acts)))](str(self.rng.choice(PEOPLE)))

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def lease(self, who: str) -> None:
        now = NOW + 2 * DAY + timedelta(minutes=self.minute)
        known = self.store.labels.of(IDS)
        for task in self.store.queue.lease(who, now, now + SOON, n=2, votes_needed=self.needed):
            i = IDS.index(task.prediction_id)
            holder, until = self.held.get(i, (who, 0))
            assert self.needed > 1 or holder == who or until <= self.minute, "a task of two annotators"
            assert (i, who) not in self.said, "a task that was answered"
            assert task.prediction_id not in known, "a task that is settled"
            self.held[i] = (who, self.minute + 15)

    def vote(self, who: str) -> None:
        i, label = int(self.rng.integers(TASKS)), self.pick([*LABELS, "a", "a", None])
        try:
            self.store.queue.vote(says(i, who, label, self.minute), self.needed)
        except LabelError:
            assert IDS[i] in self.store.labels.of(IDS), "refused before it was settled"
            return
        self.said[i, who] = label
        if self.held.get(i, ("", 0))[0] == who:
            del self.held[i]

    def unvote(self, who: str) -> None:
        i = int(self.rng.integers(TASKS))
        try:
            now = NOW + 2 * DAY + timedelta(minutes=self.minute)
            self.store.queue.unvote(IDS[i], who, now, now + SOON, self.needed)
        except LabelError:
            return
        if (i, who) not in self.said:
            return
        del self.said[i, who]
        holder, until = self.held.get(i, (who, 0))
        if IDS[i] not in self.store.labels.of(IDS) and (holder == who or until <= self.minute):
            self.held[i] = (who, self.minute + 15)  # it is theirs again

    def judge(self, who: str) -> None:
        i, label = int(self.rng.integers(TASKS)), self.pick(LABELS)
        self.store.reviews.adjudicate(
            IDS[i], label, "eve", NOW + 3 * DAY + timedelta(minutes=self.minute)
        )
        self.judged[i] = label
        self.held.pop(i, None)

    def claim(self, who: str) -> None:
        if self.rng.random() < 0.3:
            self.claims += 1
            self.store.labels.claim(f"v{self.claims:04d}", NOW + 9 * DAY)

    def check(self) -> None:
        votes = {
            (IDS.index(v.prediction_id), v.annotator): v.label for v in self.store.queue.all_votes()
        }
        assert votes == self.said, "what was acknowledged is not what is stored"
        truths = {IDS.index(k): v for k, v in self.store.labels.of(IDS).items()}
        counts = self.store.queue.state(NOW + 2 * DAY + timedelta(minutes=self.minute))
        assert sum(counts.values()) == TASKS
        assert counts["done"] == len(truths)
        for i in range(TASKS):
            labels = [x for (j, _), x in votes.items() if j == i and x is not None]
            if i in truths and i not in self.judged:
                assert labels.count(truths[i]) >= self.needed, "settled by too few"
                assert set(labels) == {truths[i]}
            elif i in self.judged:
                assert truths[i] == self.judged[i]
            else:
                assert len(set(labels)) > 1 or len(labels) < self.needed, "enough, and not settled"
        disputed = {i for i in range(TASKS) if i not in truths and len(self._labels(votes, i)) > 1}
        assert {IDS.index(d.task.prediction_id) for d in self.store.reviews.disputed()} == disputed
        assert counts["disputed"] == len(disputed)

    def _labels(self, votes: dict[tuple[int, str], str | None], i: int) -> set[str | None]:
        return {x for (j, _), x in votes.items() if j == i} - {None}


@pytest.mark.parametrize("needed", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_said_in_whatever_order(tmp_path: Path, needed: int, seed: int) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    day = Day(store, needed, seed)
    for _ in range(60):
        day.step()
        day.check()
    store.close()
