"""The arithmetic of the benches: what they count decides what is claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from bench.answers import Answer, percentile, summary
from bench.load import Load, request, split
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


class Server(asyncio.Protocol):
    """Answers calls, except the one that stands beside a fault: "end" its connection, or be "silent"."""

    def __init__(self, faults: dict[int, str], numbers: Iterator[int]) -> None:
        self.faults, self.numbers = faults, numbers

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        fault = self.faults.get(next(self.numbers))
        if fault == "end":
            self.transport.close()
        elif not fault:
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def _ten_calls(faults: dict[int, str]) -> dict[str, Any]:
    numbers = count()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Server(faults, numbers), "127.0.0.1", 0) as server:
        load = Load([request("/", "{}")], server.sockets[0].getsockname()[1])
        await load.open(rate=1000, seconds=0.01)
    return summary(load.answers, 0.0, float("inf"))


@pytest.mark.parametrize(("fault", "said"), [("end", "the connection ended"), ("silent", "no answer")])
def test_a_call_without_an_answer_is_a_failure_and_the_others_go_on(monkeypatch, fault, said):
    monkeypatch.setattr("bench.load.PATIENCE", 0.1)
    found = asyncio.run(_ten_calls({3: fault}))
    assert (found["count"], found["faults"]) == (9, [f"0 {said}"])


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
