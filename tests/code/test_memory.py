"""What large calls needed is given back, once for many of them."""

from __future__ import annotations

import asyncio

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
