"""The weights of a model that writes, and how an engine elsewhere is checked to have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.records.answers import Message


@dataclass(frozen=True)
class ReferenceToken:
    """One token that the model took for the likeliest."""

    text: str
    logprob: float
    margin: float  # how far the second likeliest is behind


@dataclass(frozen=True)
class ReferenceAnswer:
    """A fixed prompt, and what the model begins to write to it."""

    messages: tuple[Message, ...]
    steps: tuple[ReferenceToken, ...]


@dataclass(frozen=True)
class Adapter:
    """A LoRA in PEFT's files, and the SHA-256 of the weights that it stands on."""

    folder: Path
    base: str


@dataclass(frozen=True)
class Weights:
    """`adapter`: another way to the same weights, where they were trained as one."""

    sha256: str
    folder: Path
    probes: tuple[ReferenceAnswer, ...]
    adapter: Adapter | None = None
