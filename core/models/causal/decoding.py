"""The next token, again and again, for many prompts at once: the likeliest, unless a pen chooses.

Prompts of similar length share a batch; shorter ones are padded on the left. Rows that are done leave
the batch. With the last token a few are read that may follow it: see `lookup`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from core.arrays import Array
from core.models.causal.lookup import Lookup
from core.models.causal.pen import Pen
from core.models.classifier.batches import by_length
from core.models.classifier.runtimes import one_thread, threads
from core.progress import doing

GUESSES = 64  # that a step reads at most, of all rows: more cost more than they save
FEW = 4  # prompts from which on two cores share them


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
    pens: Sequence[Pen | None] = (),
) -> list[Written]:
    """`room` is how many tokens each may get, `stops` the tokens that end an answer. Without `pens` it
    is greedy, and nobody listens.

    A batch is one thread's work, as in the encoder: threads that share a product wait for each other,
    and on a machine that does something else too they wait long. Several batches are read on all cores.
    """
    out = [Written(pen=pens[i] if pens else None) for i in range(len(prompts))]

    def write(rows: Array) -> None:
        asked = [prompts[i] for i in rows], [room[i] for i in rows]
        with one_thread():
            _decode_batch(network, *asked, stops, [out[i] for i in rows])
        doing("writing answers", sum(bool(one.logprobs) for one in out), len(out), "answers")

    batches = _batches([len(p) for p in prompts])
    if len(batches) == 1:
        write(batches[0])
    else:
        list(_workers().map(write, reversed(batches)))  # the longest first: the last one ends soon
    return out


@cache
def _workers() -> ThreadPoolExecutor:
    """One thread a core, for calls with many prompts."""
    return ThreadPoolExecutor(threads(), "everloop-answers")


def _batches(lengths: Sequence[int]) -> list[Array]:
    """Positions of the prompts, shortest first. Where two cores may compute, a few are two batches."""
    batches = list(by_length(lengths))
    if len(batches) == 1 and len(lengths) >= FEW and threads() > 1:
        return [batches[0][::2], batches[0][1::2]]
    return batches


class _Row:
    """One answer of a batch while it is written."""

    def __init__(self, prompt: list[int], room: int, out: Written) -> None:
        self._room, self._lookup, self.out = room, Lookup(prompt), out
        self.guessed: list[int] = []
        self.right = 0  # of them
        self.going = True

    def guess(self, most: int) -> None:
        """Tokens that are read with the last one. None where tokens are drawn by chance."""
        drawn = self.out.pen and self.out.pen.draws
        left = self._room - len(self.out.tokens) - 1
        self.guessed = [] if drawn else self._lookup.guess(min(most, left))

    def take(self, best: list[int], logprobs: list[float], logits: Any, stops: Collection[int]) -> None:
        """What the model says after the last token and after each guess, as long as they are right."""
        taken, pen = [], self.out.pen
        for at, guess in enumerate([*self.guessed, None]):
            token, logprob = best[at], logprobs[at]
            if pen and pen.chooses:
                token = pen.choose(logits[at])
                logprob = float(logits[at].float().log_softmax(-1)[token])
            self.out.logprobs.append(logprob)
            if token in stops:
                self.out.stopped, self.going = True, False
                return
            self.out.tokens.append(token)
            taken.append(token)
            if (pen and pen.ends(self.out.tokens, logits[at])) or len(self.out.tokens) >= self._room:
                self.going = False
                return
            if guess != token:
                break
        self.right = len(taken) - 1
        self._lookup.learn(len(self.guessed), self.right)
        self._lookup.add(taken)


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
        rows = [_Row(*each) for each in zip(prompts, room, out, strict=True)]
        while True:
            best, logprobs = _likeliest(logits)
            for at, row in enumerate(rows):
                if not row.out.logprobs:
                    row.out.first_ms = (time.perf_counter() - begin) * 1000
                heard = logits[at].cpu() if row.out.pen else None  # pens draw on the processor
                row.take(best[at], logprobs[at], heard, stops)
            going = [at for at, row in enumerate(rows) if row.going]
            if not going:
                return
            rows = [rows[at] for at in going]
            reader.keep(going, [row.right for row in rows])
            most = reader.room // len(rows)
            for row in rows:
                row.guess(most)
            logits = reader.step([[row.out.tokens[-1], *row.guessed] for row in rows])


def _likeliest(logits: Any) -> tuple[list[list[int]], list[list[float]]]:
    """(n, places, vocabulary) -> the next token of each row at each place, and its log-probability."""
    best = logits.float().log_softmax(-1).max(-1)
    return best.indices.tolist(), best.values.tolist()


class _Reader:
    """The state of a batch: what each row has read, as keys and values of every layer.

    A row that guessed wrong keeps what it read, masked: no later token sees it.
    """

    def __init__(self, network: Any, prompts: list[list[int]]) -> None:
        from transformers import DynamicCache

        self._network = network
        self._cache = DynamicCache(config=network.config)
        width = max(len(p) for p in prompts)
        self._on = next(network.parameters()).device
        self._ids = self._tensor([[0] * (width - len(p)) + p for p in prompts])
        self._mask = self._tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        self._width = 1  # tokens of the last step whose logits count

    @property
    def room(self) -> int:
        """How many guesses a step may read, of all rows. None where a layer does not keep every key,
        such as one that sees the last tokens only: what was guessed wrong would push others out."""
        from transformers.cache_utils import DynamicLayer

        return GUESSES if all(type(each) is DynamicLayer for each in self._cache.layers) else 0

    def begin(self) -> Any:
        """(n, 1, vocabulary) after the prompts."""
        positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        return self._read(self._ids, positions)

    def step(self, tokens: list[list[int]]) -> Any:
        """(n, most tokens of a row, vocabulary) after each of some more tokens."""
        import torch

        self._width = width = max(len(each) for each in tokens)
        ids = self._tensor([each + [0] * (width - len(each)) for each in tokens])
        places = [[min(at, len(each) - 1) for at in range(width)] for each in tokens]
        positions = self._mask.sum(1, keepdim=True) + self._tensor(places)
        self._mask = torch.nn.functional.pad(self._mask, (0, width), value=1)
        return self._read(ids, positions)

    def keep(self, rows: list[int], right: list[int]) -> None:
        """Go on with these rows alone. Of the guesses of the last step so many were right."""

        if len(rows) < len(self._mask):
            index = self._tensor(rows)
            self._mask = self._mask[index]
            self._cache.batch_select_indices(index)
        most = max(right)
        if spare := self._width - 1 - most:
            self._cache.crop(-spare)
            self._mask = self._mask[:, :-spare]
        self._mask[:, -1 - most :] = self._tensor(range(1 + most)) <= self._tensor(right)[:, None]

    def _tensor(self, numbers: Sequence[Any]) -> Any:
        import torch

        return torch.tensor(numbers, device=self._on)

    def _read(self, ids: Any, positions: Any) -> Any:
        read = self._network(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=self._width,
        )
        return read.logits[:, -self._width :]
