from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import pytest

from core.errors import BusyError
from core.records.answers import Request
from serving.batcher import Batcher, Text
from tests.fake_models import NOW


class Model:
    """Reads nothing until it is let; remembers every batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.let = threading.Semaphore(0), threading.Event()

    def read(self, batch: list[Text]) -> None:
        self.batches.append([t.request.text for t in batch])
        self.begun.release()
        assert self.let.wait(10)


@contextmanager
def batcher(model: Model, **given: float) -> Iterator[Batcher]:
    settings = {"workers": 1, "max_batch": 4, "max_wait": 0.0, "max_queue": 100} | given
    made = Batcher(model.read, **settings)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        model.let.set()
        made.close()


def texts(*words: str) -> list[Text]:
    return [Text(Request(w, NOW, w), time.monotonic() + 60) for w in words]


def test_what_comes_while_the_model_is_busy_is_read_together() -> None:
    model = Model()
    with batcher(model) as queue:
        queue.put(texts("a"))
        assert model.begun.acquire(timeout=10)
        for word in "bcd":
            queue.put(texts(word))
    assert model.batches == [["a"], ["b", "c"], ["d"]]


def test_a_batch_has_texts_of_a_length_and_always_the_oldest() -> None:
    model = Model()
    with batcher(model, max_batch=2) as queue:
        queue.put(texts("first"))
        assert model.begun.acquire(timeout=10)
        queue.put(texts("x" * 50, "a", "b", "y" * 49, "cc"))
    assert model.batches[1] == ["x" * 50, "y" * 49]
    assert sorted(chain(*model.batches[2:])) == ["a", "b", "cc"]


def test_all_workers_get_their_share() -> None:
    model = Model()
    with batcher(model, workers=2, max_batch=100) as queue:
        queue.put(texts(*"ab"))
        assert model.begun.acquire(timeout=10)
        assert model.begun.acquire(timeout=10)
        queue.put(texts(*"cdefghij"))
    assert [len(b) for b in model.batches[:2]] == [1, 1]
    assert max(len(b) for b in model.batches) <= 5


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    model = Model()
    with batcher(model, max_queue=3) as queue:
        queue.put(texts("a"))
        assert model.begun.acquire(timeout=10)
        queue.put(texts("b", "c", "d"))
        with pytest.raises(BusyError, match="too many texts are waiting") as full:
            queue.put(texts("e"))
        assert full.value.retry_seconds >= 1
        assert queue.waiting == 3
    assert list(chain(*model.batches)) == ["a", "b", "c", "d"]


def test_one_caller_never_waits_and_many_wait_for_each_other() -> None:
    model = Model()
    model.let.set()
    with batcher(model, max_wait=30.0) as queue:
        for word in "abc":
            queue.put(texts(word))
            assert model.begun.acquire(timeout=10)
        assert [len(b) for b in model.batches] == [1, 1, 1]
        queue.put(texts(*"defg"))  # four at once: so many may come again
        assert model.begun.acquire(timeout=10)
        assert model.begun.acquire(timeout=10)
        for word in "hijk":
            queue.put(texts(word))
    assert model.batches[3:] == [["d", "e"], ["f", "g"], ["h", "i"], ["j", "k"]]


def test_closing_reads_what_waits_and_takes_no_more() -> None:
    model = Model()
    with batcher(model, max_wait=30.0) as queue:
        queue.put(texts(*"abcdefgh"))
    assert sorted(chain(*model.batches)) == list("abcdefgh")
    with pytest.raises(BusyError, match="the server is stopping"):
        queue.put(texts("z"))
