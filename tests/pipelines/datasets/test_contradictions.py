"""Laws of finding a truth that changed: small rows with exact places and times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.datasets.contradictions import Findings, look

START = datetime(2026, 1, 5, tzinfo=UTC)
Rows = tuple[list[str], list[str], Any, list[datetime]]


def call(name: str, key: str, value: str) -> str:
    return json.dumps({"name": name, "arguments": {key: value}})


def rows(days: int, seed: int = 0, changed: int | None = None, each_day: int = 6) -> Rows:
    """Alarms and songs, half each; from a day on alarms are called otherwise, and their time too."""
    rng = np.random.default_rng(seed)
    texts, targets, places, times = [], [], [], []
    for i in range(days * each_day):
        day, alarm = i // each_day, i % 2 == 0
        new = changed is not None and day >= changed
        texts.append(f"wake me at {i}" if alarm else f"play song {i}")
        name, key = ("alarm_create", "at") if new else ("alarm_set", "time")
        targets.append(call(name, key, str(i)) if alarm else call("music_play", "song", str(i)))
        places.append(np.array([1, 0, 0] if alarm else [0, 1, 0]) + rng.normal(0, 0.1, 3))
        times.append(START + timedelta(days=i / each_day))
    return texts, targets, np.array(places), times


def titles(given: Rows) -> list[str]:
    return [c.title for c in look(*given).changes]


def test_a_function_and_its_argument_that_are_renamed_are_found_with_when_and_where() -> None:
    texts, targets, places, times = rows(12, changed=8)
    found = {c.title: c for c in look(texts, targets, places, times).changes}
    name = found['"alarm_set" has become "alarm_create"']
    assert set(found) == {
        name.title,
        '"time" of "alarm_create" or "alarm_set" has become "at"',
    }
    assert name.since == START + timedelta(days=8)
    assert name.before == (23, 0)
    assert name.after == (0, 12)
    assert [targets[i] for i in name.outdated] == [t for t in targets if "alarm_set" in t]
    assert all("alarm_set" in targets[a] and "alarm_create" in targets[b] for a, b in name.pairs)


@pytest.mark.parametrize("seed", range(5))
def test_another_order_in_time_is_no_change(seed: int) -> None:
    texts, targets, places, times = rows(12, seed, changed=8)
    shuffled = np.random.default_rng(seed).permutation(len(times))
    assert titles((texts, targets, places, [times[i] for i in shuffled])) == []


def test_nothing_changed_or_a_value_that_the_request_holds() -> None:
    assert titles(rows(12)) == []
    assert look([], [], np.zeros((0, 3)), []) == Findings()


def test_one_slip_that_came_in_many_times_is_no_change() -> None:
    texts, targets, places, times = rows(12)
    for i in range(10):
        texts.append("Wake me at five!")
        targets.append(call("alarm_stop", "time", "five"))
        places = np.vstack([places, [1, 0, 0]])
        times.append(START + timedelta(days=12, hours=i))
    assert titles((texts, targets, places, times)) == []


def test_a_new_topic_beside_one_that_ends_is_no_change() -> None:
    texts, targets, places, times = rows(12)
    for i in range(10):
        texts.append(f"snooze {i}")
        targets.append(call("alarm_snooze", "time", str(i)))
        places = np.vstack([places, np.array([0.75, 0, 0.6]) + 0.01 * i])
        times.append(START + timedelta(days=12, hours=i))
    assert titles((texts, targets, places, times)) == []


def test_answers_that_are_no_json_are_names_as_a_whole() -> None:
    texts, _, places, times = rows(12)
    says = ["alarm" if i % 2 == 0 else "song" for i in range(len(texts))]
    says = [s if i < 48 or s == "song" else "wake-up" for i, s in enumerate(says)]
    (found,) = look(texts, says, places, times).changes
    assert found.title == '"alarm" has become "wake-up"'
    assert found.where == '.target == "alarm" and .time < "2026-01-13T00:00:00Z"'
