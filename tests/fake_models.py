"""Small models that are exact: an encoder that hashes, a linear head, a shelf to load them from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.ids import hash_user
from core.models.classifier.encoder import Encoder
from core.models.classifier.head import Head
from core.models.classifier.model import TextClassifier
from core.records.answers import Request
from core.records.rollouts import Rollout
from core.store import Store

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
DIM = 16


@dataclass
class HashEncoder:
    identity: str = "hash@1"
    name = "hash"
    reads: int = 0
    calls: int = 0

    def encode(self, texts: Sequence[str]) -> Array:
        self.reads += len(texts)
        self.calls += 1
        seeds = [hashlib.blake2b((self.identity + t).encode(), digest_size=4).digest() for t in texts]
        rows = [np.random.default_rng(int.from_bytes(s, "big")).normal(size=DIM) for s in seeds]
        return np.array(rows, dtype=np.float16)


@dataclass
class LinearHead:
    labels: list[str]
    seed: int = 0

    def probabilities(self, embeddings: Array) -> Array:
        weight = np.random.default_rng(self.seed).normal(size=(DIM, len(self.labels)))
        scores = np.exp(embeddings.astype(np.float32) @ weight)
        shares: Array = scores / scores.sum(axis=1, keepdims=True)
        return shares.astype(np.float32)


class BrokenHead(LinearHead):
    def probabilities(self, embeddings: Array) -> Array:
        return np.full((len(embeddings), len(self.labels)), np.nan, dtype=np.float32)


def model(encoder: HashEncoder, head: LinearHead) -> TextClassifier:
    return TextClassifier(cast(Encoder, encoder), cast(Head, head))


@dataclass
class Shelf:
    """The registry: versions by name, and how often each was loaded."""

    encoder: HashEncoder = field(default_factory=HashEncoder)
    models: dict[str, TextClassifier] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.models["1"] = model(self.encoder, LinearHead(["card", "cash"], seed=1))
        self.models["2"] = model(self.encoder, LinearHead(["card", "cash", "loan"], seed=2))

    def load(self, version: str) -> Any:
        self.loads.append(version)
        if version not in self.models:
            raise ModelError("the weights are broken", where=f"version {version}")
        return self.models[version]


def requests(n: int, start: int = 0) -> list[Request]:
    return [
        Request(
            f"r{i}",
            NOW + timedelta(seconds=i),
            f"text {i}",
            hash_user(f"u{i % 20}"),
            {"channel": "chat"},
        )
        for i in range(start, start + n)
    ]


def roll_out(store: Store, stage: Any = "canary", share: float = 0.5, candidate: str = "2") -> Rollout:
    rollout = Rollout(f"{candidate}-ab", candidate, "1", stage, share, NOW, NOW)
    store.decisions.put_rollout(rollout)
    return rollout
