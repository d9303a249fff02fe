"""What large calls needed is given back, once for many of them; what is kept for speed has a bound."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from core.models.classifier.encoder import load_encoder
from serving.memory import Memory, trim


def test_many_large_calls_are_followed_by_one_trim() -> None:
    done: list[int] = []
    memory = Memory(seconds=0.02, trim=lambda: done.append(1))

    async def calls() -> None:
        for wanted in (1, 2):
            for _ in range(50):
                memory.used()
            assert len(done) == wanted - 1
            while len(done) < wanted:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert len(done) == wanted

    asyncio.run(calls())


def test_trimming_never_fails() -> None:
    trim()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_lengths_that_were_read() -> None:
    encoder = load_encoder("sentence-transformers/all-MiniLM-L6-v2")
    process = psutil.Process()

    def read(rows: range) -> float:
        for count in rows:
            for words in range(3, 60, 2):
                encoder.encode(["card " * words] * count)
        trim()
        return float(process.memory_info().rss) / 1e6

    before = read(range(1, 3))
    assert read(range(3, 9)) < before + 25  # 150 more where every shape is kept
