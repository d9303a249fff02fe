"""Tokens a second of fine-tuning and of answers on one device, beside transformers; see run.sh.

Rows are random tokens of 64 to 1,024, so that speed alone is measured. The first steps warm up and do
not count. The peer is TRL's SFTTrainer at its defaults, and transformers' Trainer with TRL's defaults
(bfloat16, gradient checkpointing, 8 rows a step) where TRL is not installed.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.peer import peer
from bench.gpu.shapes import LARGE, SMALL, TINY, Shape, save
from core.models.causal.decoding import decode
from core.models.causal.device import Device, device
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.objectives import Likelihood
from core.models.causal.packing import TokenSequence
from core.models.causal.reading import Read
from core.models.causal.tuning import TuningPlan, tune

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}  # bfloat16, dense (datasheets)
WARM = 3  # steps
CALLERS = 32
ALONE = 2  # prompts that are answered one at a time


@dataclass(frozen=True, kw_only=True)
class Clock(Likelihood):
    """The objective of sft, and the time between its first steps and its last one."""

    on: str
    last: int  # step
    starts: list[float] = field(default_factory=list, repr=False)
    tokens: list[int] = field(default_factory=list, repr=False)
    learnt: list[int] = field(default_factory=list, repr=False)
    lengths: list[int] = field(default_factory=list, repr=False)

    def loss(self, read: Read, rows: Sequence[TokenSequence]) -> tuple[Any, dict[str, float]]:
        if len(self.starts) in (WARM, self.last):
            settle(self.on)
        self.starts.append(time.perf_counter())
        self.tokens.append(sum(len(each.tokens) for each in rows))
        self.learnt.append(sum(sum(each.learnt) for each in rows))
        self.lengths.append(sum(len(each.tokens) ** 2 for each in rows))
        return super().loss(read, rows)

    @property
    def seconds(self) -> float:
        return self.starts[-1] - self.starts[WARM]


def settle(on: str) -> None:
    """Wait for what a GPU was asked."""
    import torch

    if on == "cuda":
        torch.cuda.synchronize()


def rows_of(shape: Shape) -> list[TokenSequence]:
    """Random tokens; the last third of each row is learnt."""
    random = np.random.default_rng(0)
    shortest = min(64, shape.longest // 4)
    lengths = np.exp(random.uniform(np.log(shortest), np.log(shape.longest), shape.steps * shape.batch))
    made = []
    for length in lengths.astype(int):
        tokens = random.integers(1, shape.vocabulary, length).tolist()
        made.append(TokenSequence(tokens, [at >= length * 2 // 3 for at in range(length)]))
    return made


def peak(on: Device) -> tuple[float, str]:
    """Operations a second that the device can do, and how that is known."""
    import torch

    if on.name == "cuda":
        name = torch.cuda.get_device_name()
        for known, rate in PEAK.items():
            if known in name:
                return rate, f"the datasheet of {known}, bfloat16"
    size = 8192 if on.name == "cuda" else 512
    one, other = (torch.randn(size, size, device=on.name, dtype=on.dtype) for _ in range(2))
    for _ in range(3):
        one @ other
    settle(on.name)
    began = time.perf_counter()
    for _ in range(10):
        one @ other
    settle(on.name)
    return 2 * size**3 * 10 / (time.perf_counter() - began), f"a product of {size} x {size}, measured"


def learning(lm: LanguageModel, shape: Shape, rows: list[TokenSequence], on: Device) -> dict[str, Any]:
    """Our loop; operations are those that the model needs: the head at learnt tokens only."""
    clock = Clock(on=on.name, last=shape.steps - 1)
    tuned = tune(lm, [rows], TuningPlan(2e-4, shape.batch), clock)
    counted = slice(WARM, -1)
    tokens, learnt = sum(clock.tokens[counted]), sum(clock.learnt[counted])
    attention = 6 * shape.layers * shape.hidden * sum(clock.lengths[counted])  # back only: half of 12
    work = 6 * (shape.body * tokens + shape.head * learnt) + attention
    rate, how = peak(on)
    return {
        "tokens_per_second": tokens / clock.seconds,
        "mfu": work / clock.seconds / rate,
        "peak": f"{rate / 1e12:.3g} TFLOP/s, {how}",
        "losses": [tuned.losses[0], tuned.losses[-1]],
    }


def writing(lm: LanguageModel, shape: Shape, on: Device) -> dict[str, Any]:
    """Answers to many callers at once as `local` writes them, and to one after another."""
    random, network = np.random.default_rng(1), lm._network
    prompts = [random.integers(1, shape.vocabulary, 128).tolist() for _ in range(CALLERS)]
    room = [shape.new_tokens] * CALLERS
    decode(network, prompts[:1], room[:1], ())
    told = {}
    for name, groups in (
        ("tokens_per_second", [prompts]),
        ("one_at_a_time", [[p] for p in prompts[:ALONE]]),
    ):
        settle(on.name)
        began = time.perf_counter()
        written = [each for some in groups for each in decode(network, some, room[: len(some)], ())]
        settle(on.name)
        told[name] = sum(len(w.tokens) for w in written) / (time.perf_counter() - began)
    return {**told, "callers": CALLERS}


def measured(shape: Shape, on: Device) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save(shape, folder, on.name)
        lm, rows = load_language_model(str(folder)), rows_of(shape)
        found: dict[str, Any] = {"shape": shape.name, "weights": shape.body + shape.head}
        found["sft"] = learning(lm, shape, rows, on)
        found["peer"] = peer(folder, rows, on)
        found["times"] = found["sft"]["tokens_per_second"] / found["peer"]["tokens_per_second"]
        found["answers"] = writing(lm, shape, on)
    return found


def main() -> None:
    import torch
    import transformers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="the rehearsal: a tiny model, no GPU")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    on = device()
    if on.name == "cpu" and not options.cpu:
        parser.error(f"there is no GPU here ({on.why}); --cpu rehearses")
    print(f"device: {on.name}, {on.why}")
    found: dict[str, Any] = {
        "device": {"name": on.name, "why": on.why, "dtype": str(on.dtype)},
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "shapes": [],
    }
    for shape in [TINY] if options.cpu else [SMALL, LARGE]:
        found["shapes"].append(measured(shape, on))
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(found["shapes"][-1], indent=1))


if __name__ == "__main__":
    main()
