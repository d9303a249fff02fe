"""Examples that a model reads before it answers: requests and what was right to say to them.

The nearest of them, by the embedding that each request has anyway, stand before a request as turns of
the chat (retrieval: Liu et al. 2022, "What Makes Good In-Context Examples for GPT-3?"). So a label
counts with the next version, without training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.arrays import Array
from core.errors import ModelError
from core.files import whole_file
from core.models.base import Input
from core.models.causal.messages import SYSTEM, as_messages
from core.records.answers import Message

FILE = "examples.parquet"


@dataclass(frozen=True, eq=False)
class Examples:
    """Demonstrations of one dataset version, oldest first."""

    inputs: list[Input]
    targets: list[str]
    embeddings: Array  # (n, dim) float16, of the model's encoder

    def near(self, embeddings: Array, count: int) -> list[list[int]]:
        """For each of (m, dim) the positions of its nearest examples by cosine, nearest first. Of two
        that are as near the newer one comes first."""
        count = min(count, len(self.targets))
        if not count:
            return [[] for _ in embeddings]
        close = unit(embeddings) @ self._unit.T
        newest_first = close[:, ::-1]
        order = np.argsort(-newest_first, axis=1, kind="stable")[:, :count]
        return [[len(self.targets) - 1 - int(at) for at in row] for row in order]

    @cached_property
    def _unit(self) -> Array:
        return unit(self.embeddings)

    def shown(self, input: Input, rows: Sequence[int]) -> list[Message]:
        """The messages of an input with these examples before it, the nearest one last."""
        messages = as_messages(input)
        system = [m for m in messages if m["role"] in SYSTEM]
        asked = [m for m in messages if m["role"] not in SYSTEM]
        return [*system, *(m for row in reversed(rows) for m in self._turns(row)), *asked]

    def _turns(self, row: int) -> list[Message]:
        asked = [m for m in as_messages(self.inputs[row]) if m["role"] not in SYSTEM]
        return [*asked, {"role": "assistant", "content": self.targets[row]}]

    def save(self, folder: Path) -> None:
        table = pa.table(
            {
                "input": [json.dumps(each, ensure_ascii=False) for each in self.inputs],
                "target": self.targets,
                "embedding": [row.astype(np.float16).tobytes() for row in self.embeddings],
            }
        )
        with whole_file(folder / FILE) as half:
            pq.write_table(table, half)

    @staticmethod
    def load(folder: Path) -> Examples:
        """Raises ModelError: a file missing or broken."""
        try:
            rows = pq.read_table(folder / FILE).to_pydict()
            inputs = [json.loads(each) for each in rows["input"]]
            read = [np.frombuffer(each, np.float16) for each in rows["embedding"]]
            return Examples(inputs, rows["target"], np.stack(read) if read else NONE.embeddings)
        except (OSError, ValueError, KeyError, pa.ArrowException) as fault:
            raise ModelError(
                "the examples of this model cannot be read",
                where=str(folder / FILE),
                got=str(fault),
                do="take the model from the registry again, or retrain",
            ) from None


NONE = Examples([], [], np.zeros((0, 0), np.float16))


def unit(embeddings: Array) -> Array:
    """(n, dim) float32, each row of length 1; a row of zeros stays one."""
    rows: Array = np.asarray(embeddings, np.float32)
    lengths: Array = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))
