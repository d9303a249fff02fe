"""Where a causal language model computes, and in which numbers, with the reason."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Device:
    """`halves`: whether it multiplies bfloat16, two to three times as quick as fp32."""

    name: str  # as torch names it
    halves: bool
    why: str

    @property
    def dtype(self) -> Any:
        """Of weights that only answer."""
        import torch

        return torch.bfloat16 if self.halves else torch.float32

    def products(self) -> AbstractContextManager[Any]:
        """In which a network with fp32 weights multiplies."""
        import torch

        return torch.autocast(self.name, torch.bfloat16) if self.halves else nullcontext()


@cache
def device() -> Device:
    """A GPU where torch finds one, else the processor."""
    import torch

    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # what is left in fp32 multiplies as TF32
        halves = bool(torch.cuda.is_bf16_supported())
        return Device("cuda", halves, f"{torch.cuda.get_device_name()}: {_numbers(halves)}")
    halves = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return Device("cpu", halves, f"no GPU, so the processor: {_numbers(halves)}")


def _numbers(halves: bool) -> str:
    return "it multiplies bfloat16" if halves else "fp32, as it does not multiply bfloat16"
