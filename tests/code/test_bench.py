"""The arithmetic of the benches: what they count decides what is claimed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.load import Answer, percentile, request, split, summary
from bench.swaps import Crowned, Said, delays, faults

LABELS = {"1": ["no", "yes"], "2": ["no", "yes"]}
SHARES = {"1": np.array([[0.9, 0.1], [0.3, 0.7]]), "2": np.array([[0.6, 0.4], [0.8, 0.2]])}
CROWNED = [Crowned("1", 0.0, 0.0), Crowned("2", 10.0, 10.2)]
RIGHT = [
    Said(0, 9.0, 9.1, "1", "no", 0.9),
    Said(1, 10.3, 10.4, "1", "yes", 0.7),  # the new version is not loaded yet
    Said(1, 10.5, 10.7, "2", "no", 0.8),
    Said(2, 10.6, 10.8, "1", "no", 0.9),  # sent before the new version had answered; text 0 again
]
NONE = {"not the named version's answer": 0, "named before it was crowned": 0, "stale": 0}


def _answer(due: float, got: float, status: int = 200) -> Answer:
    return Answer(0, due, due, got, status, b"{}")


def test_latency_counts_from_when_a_call_was_due_not_from_when_it_was_sent():
    late = replace(_answer(1.0, 1.5), sent=1.4)
    assert summary([late], 0.0, 2.0)["p50"] == pytest.approx(500)


def test_only_the_answers_of_the_window_make_the_rate_and_every_failure_counts():
    answers = [_answer(0.5, 0.9), _answer(1.0, 1.5), _answer(2.0, 2.5), _answer(2.0, 2.6, 503)]
    found = summary(answers, 1.0, 1.0)
    assert (found["count"], found["rate"], found["failed"], found["faults"]) == (1, 1.0, 1, ["503 {}"])


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_nearest_ranks(percent, value):
    assert percentile(range(1, 101), percent) == value


def test_an_answer_that_comes_in_pieces_is_whole_only_at_its_end():
    data = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nx: y\r\n\r\nbusy"
    assert [split(data[:n]) for n in range(len(data))] == [None] * len(data)
    assert split(data) == (503, b"busy")


def test_a_request_says_its_length_in_bytes():
    head, _, body = request("/p", '"grüß"').partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Length: %d" % len(body))


def test_a_swap_without_faults_has_none():
    assert faults(RIGHT, CROWNED, SHARES, LABELS) == NONE
    assert delays(RIGHT, CROWNED) == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("not the named version's answer", replace(RIGHT[2], score=0.7)),
        ("not the named version's answer", Said(1, 9.0, 9.1, "1", "no", 0.3)),
        ("named before it was crowned", replace(RIGHT[2], sent=9.0, got=9.9)),
        ("stale", Said(0, 10.8, 11.0, "1", "no", 0.9)),
    ],
)
def test_a_wrong_answer_is_found(kind, said):
    assert faults([*RIGHT, said], CROWNED, SHARES, LABELS)[kind] == 1
