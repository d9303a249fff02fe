"""The next token, again and again, for many prompts at once: the likeliest, unless a pen draws it.

Prompts of similar length share a batch; shorter ones are padded on the left. Rows that are done leave
the batch.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from core.arrays import Array
from core.models.causal.pen import Pen
from core.models.classifier.batches import by_length
from core.models.classifier.runtimes import one_thread, threads
from core.progress import doing


@dataclass(eq=False)
class Written:
    """What the model wrote to one prompt; `stopped` where it ended by itself."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)  # of each token, the one that ends it too
    stopped: bool = False
    first_ms: float = 0.0
    pen: Pen | None = None


def decode(
    network: Any,
    prompts: Sequence[list[int]],
    room: Sequence[int],
    stops: Collection[int],
    pens: Sequence[Pen] = (),
) -> list[Written]:
    """`room` is how many tokens each may get, `stops` the tokens that end an answer. Without `pens` it
    is greedy, and nobody listens.

    A batch is one thread's work, as in the encoder: threads that share a product wait for each other,
    and on a machine that does something else too they wait long. More prompts than a batch holds are
    read on all cores.
    """
    out = [Written(pen=pens[i] if pens else None) for i in range(len(prompts))]

    def write(rows: Array) -> None:
        asked = [prompts[i] for i in rows], [room[i] for i in rows]
        with one_thread():
            _decode_batch(network, *asked, stops, [out[i] for i in rows])
        doing("writing answers", sum(bool(one.logprobs) for one in out), len(out), "answers")

    batches = list(by_length([len(p) for p in prompts]))
    if len(batches) == 1:
        write(batches[0])
    else:
        list(_workers().map(write, reversed(batches)))  # the longest first: the last one ends soon
    return out


@cache
def _workers() -> ThreadPoolExecutor:
    """One thread a core, for calls with many prompts."""
    return ThreadPoolExecutor(threads(), "everloop-answers")


def _decode_batch(
    network: Any,
    prompts: list[list[int]],
    room: list[int],
    stops: Collection[int],
    out: list[Written],
) -> None:
    import torch

    begin = time.perf_counter()
    with torch.inference_mode():
        reader = _Reader(network, prompts)
        logits = reader.begin()
        rows = list(range(len(prompts)))
        while True:
            best, logprobs = _next(logits, [out[row].pen for row in rows])
            going = []
            for at, row in enumerate(rows):
                one = out[row]
                if not one.logprobs:
                    one.first_ms = (time.perf_counter() - begin) * 1000
                one.logprobs.append(logprobs[at])
                if best[at] in stops:
                    one.stopped = True
                    continue
                one.tokens.append(best[at])
                if one.pen and one.pen.ends(one.tokens, logits[at]):
                    continue
                if len(one.tokens) < room[row]:
                    going.append(at)
            if not going:
                return
            if len(going) < len(rows):
                reader.keep(going)
                rows = [rows[at] for at in going]
            logits = reader.step([best[at] for at in going])


def _next(logits: Any, pens: Sequence[Pen | None]) -> tuple[list[int], list[float]]:
    """The next token of each row, and its log-probability."""
    best, logprobs = _likeliest(logits)
    for at, pen in enumerate(pens):
        if pen and pen.draws:
            best[at] = pen.draw(logits[at])
            logprobs[at] = float(logits[at].float().log_softmax(-1)[best[at]])
    return best, logprobs


def _likeliest(logits: Any) -> tuple[list[int], list[float]]:
    best = logits.float().log_softmax(-1).max(-1)
    return best.indices.tolist(), best.values.tolist()


class _Reader:
    """The state of a batch: what each row has read, as keys and values of every layer."""

    def __init__(self, network: Any, prompts: list[list[int]]) -> None:
        import torch
        from transformers import DynamicCache

        self._network = network
        self._cache = DynamicCache(config=network.config)
        width = max(len(p) for p in prompts)
        self._ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
        self._mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])

    def begin(self) -> Any:
        """(n, vocabulary) after the prompts."""
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        return self._read(self._ids, positions)

    def step(self, tokens: list[int]) -> Any:
        """(n, vocabulary) after one more token each."""
        import torch

        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        return self._read(torch.tensor(tokens)[:, None], self._mask.sum(1, keepdim=True) - 1)

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""
        import torch

        index = torch.tensor(rows)
        self._mask = self._mask[index]
        self._cache.batch_select_indices(index)

    def _read(self, ids: Any, positions: Any) -> Any:
        read = self._network(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return read.logits[:, -1]
