"""Small models that are exact: an encoder that hashes, a linear head, a shelf to load them from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.errors import ModelError
from core.label_set import LabelSet
from core.models.base import Answer
from core.models.classifier.migrated import answering
from core.records import Array, ClassificationDetail, Request, Rollout, hash_user
from core.store import Store

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
DIM = 16


@dataclass
class HashEncoder:
    identity: str = "hash@1"
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


@dataclass
class Model:
    """A classifier with real probabilities, as far as a server asks one."""

    encoder: HashEncoder
    head: LinearHead | None
    names: LabelSet | None = None

    @property
    def identity(self) -> str:
        return self.encoder.identity

    @property
    def labels(self) -> list[str]:
        return self._answering.labels

    @property
    def _answering(self) -> Any:
        if self.head is None:
            raise ModelError("this model has no head yet")
        known: Any = self.head
        return known if self.names is None else answering(known, self.names)

    def embed(self, texts: Sequence[str]) -> Array:
        return self.encoder.encode(texts)

    def answer(self, inputs: Sequence[str], embeddings: Array | None = None) -> list[Answer]:
        read = self.embed(inputs) if embeddings is None else embeddings
        shares, labels = self.probabilities(read), self.labels
        return [
            Answer(labels[p.argmax()], float(p.max()), ClassificationDetail(p.astype(np.float16)), row)
            for p, row in zip(shares, read, strict=True)
        ]

    def probabilities(self, embeddings: Array) -> Array:
        shares: Array = self._answering.probabilities(embeddings)
        return shares

    def under(self, labels: LabelSet) -> Model:
        return self if labels == self.names else replace(self, names=labels)


@dataclass
class Shelf:
    """The registry: versions by name, and how often each was loaded."""

    encoder: HashEncoder = field(default_factory=HashEncoder)
    models: dict[str, Model] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.models["1"] = Model(self.encoder, LinearHead(["card", "cash"], seed=1))
        self.models["2"] = Model(self.encoder, LinearHead(["card", "cash", "loan"], seed=2))

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
