"""Where a training stands, on the disk, so that one that was killed goes on from there.

A checkpoint lies in the cache under the digest of all that the training depends on: the same training,
begun again, finds it, and no other does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.files import whole_file
from core.models.files import cache

EVERY = 60.0  # seconds
FORGOTTEN = 7 * 86400.0  # seconds, after which nobody will go on
MOMENTS = ("exp_avg", "exp_avg_sq")  # what AdamW keeps of each weight
CURVE = "curve."

Curves = dict[str, list[float]]


class Checkpoint:
    """Weights, what the optimizer knows of them, and the curves: numbers of each step, by name."""

    def __init__(self, made_of: Iterable[object], moved: dict[str, Any], optimizer: Any) -> None:
        digest = hashlib.blake2b(digest_size=16)
        for part in made_of:
            digest.update(repr(part).encode())
        self._file = cache("training") / f"{digest.hexdigest()}.safetensors"
        self._moved, self._optimizer = moved, optimizer
        self._saved = time.monotonic()
        _forget(self._file.parent)

    def read(self) -> Curves:
        """The curves so far; weights and optimizer are put to where they were."""
        import torch
        from safetensors.torch import load_file

        if not self._file.is_file():
            return {}
        kept = load_file(self._file)
        named = [key for key in kept if key.startswith(CURVE)]
        curves: Curves = {key.removeprefix(CURVE): kept[key].tolist() for key in sorted(named)}
        steps = torch.tensor(float(len(curves["loss"])))
        with torch.no_grad():
            for name, weight in self._moved.items():
                weight.copy_(kept[f"weight.{name}"])
                moments = {moment: kept[f"{moment}.{name}"] for moment in MOMENTS}
                state = {"step": steps.clone(), **moments}
                self._optimizer.state[weight] = {k: v.to(weight.device) for k, v in state.items()}
        return curves

    def written(self, curves: Curves) -> None:
        """After a step: kept, where the last time is long ago."""
        if time.monotonic() - self._saved >= EVERY:
            self._write(curves)
            self._saved = time.monotonic()

    def remove(self) -> None:
        """The training is done."""
        self._file.unlink(missing_ok=True)

    def _write(self, curves: Curves) -> None:
        import torch
        from safetensors.torch import save_file

        kept = {
            CURVE + name: torch.tensor([float(x) for x in values], dtype=torch.float64)
            for name, values in curves.items()
        }
        for name, weight in self._moved.items():
            kept[f"weight.{name}"] = weight.detach()
            for moment in MOMENTS:
                kept[f"{moment}.{name}"] = self._optimizer.state[weight][moment]
        with whole_file(self._file) as half:
            save_file(kept, half)


def _forget(folder: Path) -> None:
    for file in folder.glob("*.safetensors"):
        if time.time() - file.stat().st_mtime > FORGOTTEN:
            file.unlink(missing_ok=True)
