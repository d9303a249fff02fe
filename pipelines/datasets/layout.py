"""Where the parts of a dataset version lie, and which small file git keeps for each.

data/reservoir/v0033/v0040.parquet   rows of one partition; 32 partitions a block (DVC)
data/blocks/v0033.dvc                the hash of that block
data/champion, data/champion.dvc     the model a candidate starts from
data/dataset, dvc.lock               the manifest of the version
data/forgotten.json                  which partitions were written anew to forget rows

A folder of n files costs DVC a listing of n hashes whenever one is added, so the reservoir is many
small folders: a listing is 2 kB at most, and 1,000 days are 32 pointers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import yaml

RESERVOIR, BLOCKS = "data/reservoir", "data/blocks"
CHAMPION, DATASET = "data/champion", "data/dataset"
VERSION_FILE, METRICS, LOCK = "data/version.json", "metrics/datasets.json", "dvc.lock"
MANIFEST = "manifest.parquet"
FORGOTTEN = "data/forgotten.json"
STAGE = "datasets"
BLOCK = 32
YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built in


def block(partition: str) -> str:
    """The block of a partition, named after the first version it may hold.

    >>> block("v0001"), block("v0032"), block("v0033")
    ('v0001', 'v0001', 'v0033')
    """
    return f"v{(int(partition[1:]) - 1) // BLOCK * BLOCK + 1:04d}"


def blocks(partitions: Iterable[str]) -> list[str]:
    """The folders that hold these partitions, in order."""
    return list(dict.fromkeys(f"{RESERVOIR}/{block(p)}" for p in partitions))


def pointer(folder: str) -> str:
    """
    >>> pointer("data/reservoir/v0033"), pointer("data/champion")
    ('data/blocks/v0033.dvc', 'data/champion.dvc')
    """
    return f"{folder.replace(RESERVOIR, BLOCKS)}.dvc"


@lru_cache(maxsize=4096)
def parse(text: str) -> Any:
    """A .dvc file or a dvc.lock; of a thousand versions most are the same ones."""
    return yaml.load(text, Loader=YAML)  # a safe loader


def order(version: str) -> tuple[int, str]:
    """What versions are sorted by.

    >>> sorted(["v10000", "v9999", "x"], key=order)
    ['x', 'v9999', 'v10000']
    """
    number = version.removeprefix("v")
    return (int(number) if number.isdecimal() else -1, version)


def to_spans(partitions: Sequence[str]) -> list[str]:
    """Names one after another as spans, so that a thousand of them are a line.

    >>> to_spans(["v0001", "v0002", "v0003", "v0005"])
    ['v0001-v0003', 'v0005']
    """
    if not partitions:
        return []
    starts = [partitions[0]] + [b for a, b in pairwise(partitions) if order(b)[0] != order(a)[0] + 1]
    ends = [a for a, b in pairwise(partitions) if order(b)[0] != order(a)[0] + 1] + [partitions[-1]]
    return [a if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]


def from_spans(spans: Iterable[str]) -> tuple[str, ...]:
    """
    >>> from_spans(["v0001-v0003", "v0005"])
    ('v0001', 'v0002', 'v0003', 'v0005')
    """
    found: list[str] = []
    for span in spans:
        first, _, last = span.partition("-")
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        found += [f"v{n:04d}" for n in numbers]
    return tuple(found)
