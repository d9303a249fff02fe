"""A version's rows as a file for people and other tools: CSV, JSONL or Parquet, without embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.files import whole_file
from core.writers import check_writable, write_table
from pipelines.datasets.history import rows_of
from pipelines.datasets.manifest import SETS
from pipelines.datasets.partitions import LIGHT

COLUMNS = ("set", *(n for n in LIGHT if n != "set"))


def export(root: Path, id: str, out: Path, sets: Sequence[str] = SETS) -> int:
    """Write the rows of a version in time order, the whole file or nothing; how many they were.

    Raises DataError for a suffix that nobody can write.
    """
    check_writable(out)
    rows = rows_of(root, id, sets, COLUMNS)
    rows["timestamp"] = [t.isoformat() for t in rows["timestamp"]]
    rows["propensity"] = rows["propensity"].astype(object).where(rows["propensity"].notna(), None)

    def each() -> Iterator[dict[str, Any]]:
        return (dict(zip(COLUMNS, values, strict=True)) for values in rows.itertuples(index=False))

    kinds = {name: float if name == "propensity" else str for name in COLUMNS}
    with whole_file(out) as half:
        return write_table(half, out.suffix, kinds, each, out.with_suffix(""))
