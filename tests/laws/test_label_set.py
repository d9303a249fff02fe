"""Laws of the label set: whatever is done to it, in whatever order."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import LabelError
from core.label_set import FILE, LabelSet, Operation
from core.models.classifier.head import Head
from core.models.classifier.migrated import Migrated

NAMES = ("a", "b", "c", "d")
OPERATIONS = st.builds(
    Operation,
    st.sampled_from(["add", "merge", "split", "retire"]),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from("abcdefgh"), max_size=2).map(tuple),
)


def grown(changes: list[Operation]) -> list[LabelSet]:
    """The label set after each change that was taken."""
    found = [LabelSet()]
    for change in changes:
        into = change.into if change.op == "split" else change.into[:1] if change.op == "merge" else ()
        if change.op == "merge" and not into:
            continue
        with contextlib.suppress(LabelError):
            found.append(found[-1].after(Operation(change.op, change.labels, into), NAMES))
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATIONS, max_size=12))
def test_laws_of_the_label_set(changes: list[Operation]) -> None:
    """There is always a label. Today's labels are called what they are called; what is gone stays gone,
    and leads to one of today's, or nowhere. Reading forward by stages or at once is the same."""
    stages = grown(changes)
    last = stages[-1]
    assert last.version == len(stages) - 1
    today = last.current(NAMES)
    assert today
    assert all(last.now(x) == x and not last.refusal(x) for x in today)
    for stage in stages:
        assert last.at(stage.fingerprint).operations == stage.operations
        for name in stage.current(NAMES):
            now = last.now(name)
            assert now in today if now is not None else last.refusal(name)
        for name in "abcdefgh":
            between = stage.now(name)
            assert last.now(name) == (None if between is None else last.now(between))
    assert all(new in today for new in last.renamed.values())
    for name in "abcdefgh":
        assert (last.now(name) is None) == bool(last.refusal(name)) == (last.ended(name) is not None)
        assert last.now(name) in (last.last(name), None)
        assert last.last(name) == name or name in last.gone
        assert name not in NAMES or set(last.choices(name)) <= set(today)


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATIONS, max_size=8), st.lists(st.integers(0, 5), min_size=8, max_size=8))
def test_a_time_sees_what_was_decided_by_then(changes: list[Operation], days: list[int]) -> None:
    """And goes on seeing it whatever is decided later. What is dated back counts with what came before
    it, so every past is a past that the list had."""
    times = [datetime(2026, 1, 1 + d, tzinfo=UTC) for d in days]
    dated = [
        replace(o, at=t.isoformat()) for o, t in zip(grown(changes)[-1].operations, times, strict=False)
    ]
    whole = LabelSet(tuple(dated))
    for now in sorted(times):
        seen = whole.as_of(now)
        assert whole.at(seen.fingerprint) == seen
        assert all(o.since(now) for o in seen.operations)
        for n in range(whole.version + 1):
            part = LabelSet(whole.operations[:n])
            assert part.as_of(now) == (seen if n >= seen.version else part)
    assert whole.as_of(max(times)) == whole


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATIONS, max_size=8), st.integers(0, 9))
def test_an_older_head_answers_in_todays_labels(changes: list[Operation], seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = Head(list(NAMES), rng.standard_normal((4, 3)).astype(np.float32), np.zeros(4, np.float32))
    rows = rng.standard_normal((5, 3))
    labels = grown(changes)[-1]
    asked = Migrated(head, labels)
    p = asked.probabilities(rows)
    assert p.shape == (5, len(asked.labels))
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-5)
    if all(labels.now(x) for x in NAMES):  # only merged: each is as likely as its parts together
        for i, name in enumerate(asked.labels):
            parts = [j for j, x in enumerate(NAMES) if labels.now(x) == name]
            assert p[:, i] == pytest.approx(head.probabilities(rows)[:, parts].sum(axis=1), abs=1e-5)


REFUSED = [
    (Operation("add", ("a",)), "this label is there"),
    (Operation("add", ("x",)), "never used again"),
    (Operation("add", ("",)), "a label is a name"),
    (Operation("add", (" n",)), "a label is a name"),
    (Operation("add", ("n", "n")), "a label twice"),
    (Operation("merge", ("nope", "a"), ("b",)), "there is no such label"),
    (Operation("merge", ("a",), ("a",)), "nothing is merged"),
    (Operation("merge", ("a", "b"), ("x",)), "never used again"),
    (Operation("split", ("a",), ("a", "n")), "cannot be split into itself"),
    (Operation("split", ("a",), ("n",)), "one label is no split"),
    (Operation("split", ("a",), ("n", "n")), "a label twice"),
    (Operation("split", ("nope",), ("n", "m")), "there is no such label"),
    (Operation("retire", ("nope",)), "there is no such label"),
    (Operation("retire", ("x",)), "never used again"),
    (Operation("retire", ("a", "b", "c")), "no label would be left"),
]


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=lambda x: x if isinstance(x, str) else "")
def test_what_makes_no_sense_is_refused(change: Operation, why: str) -> None:
    labels = LabelSet().after(Operation("retire", ("x",)), ["a", "b", "c", "x"])
    with pytest.raises(LabelError, match=why):
        labels.after(change, ["a", "b", "c", "x"])
    assert labels.version == 1


def test_it_is_kept_and_a_broken_file_is_told(tmp_path: Path) -> None:
    assert LabelSet.load(tmp_path) == LabelSet()
    made = LabelSet((Operation("merge", ("ä", "b"), ("c",), "2026-01-05", "ana", "the same"),))
    made.save(tmp_path)
    assert LabelSet.load(tmp_path) == made
    for broken in (
        "{",
        "[]",
        '{"operations": [{"op": "drop", "labels": ["a"]}]}',
        '{"operations": [{}]}',
    ):
        (tmp_path / FILE).write_text(broken)
        with pytest.raises(LabelError, match=r"(?s)no label set.*git checkout"):
            LabelSet.load(tmp_path)
