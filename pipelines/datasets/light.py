"""The rows that forming a dataset reads, without opening a thousand small files.

A block that later versions cannot grow any more has one file of all its rows, in .everloop/light, named
after the block's hash. It is only a copy: made when it is not there.
"""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from core.workspace import Workspace
from pipelines.datasets.layout import RESERVOIR, block, parse, pointer
from pipelines.datasets.partitions import SCHEMA, Scan, in_folder, scan

COUNTS = b"counts"  # rows of each partition, in the file's metadata


def scan_light(place: Workspace, partitions: tuple[str, ...]) -> Scan:
    """The rows of partitions (oldest first). Raises DatasetError that names a bad partition."""
    groups = [list(names) for _, names in groupby(partitions, block)]
    copies = [_copy(place, block(names[0])) for names in groups[:-1]]
    found = [_read(place, names, copy) for names, copy in zip(groups[:-1], copies, strict=True)]
    found.append(scan(in_folder(place.reservoir), groups[-1] if groups else [], SCHEMA.names))
    _keep_only([copy for copy in copies if copy])
    return Scan(pa.concat_tables([s.table for s in found]), np.concatenate([s.counts for s in found]))


def _copy(place: Workspace, name: str) -> Path | None:
    """Where the copy of a block is, or belongs; None for a block that is not tracked."""
    path = place.root / pointer(f"{RESERVOIR}/{name}")
    try:
        oid = parse(path.read_text(encoding="utf-8"))["outs"][0]["md5"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError):
        return None
    return place.state / "light" / f"{oid}.parquet"


def _read(place: Workspace, names: list[str], copy: Path | None) -> Scan:
    if copy is not None and copy.exists():
        try:
            table = pq.read_table(copy)
            counts = np.array((table.schema.metadata or {})[COUNTS].split(), np.int64)
            if len(counts) == len(names) and counts.sum() == len(table):
                return Scan(table.replace_schema_metadata(None), counts)
        except (pa.ArrowException, OSError, KeyError, ValueError):
            pass  # half a file of a machine that lost its power: made again
    found = scan(in_folder(place.reservoir), names, SCHEMA.names)
    if copy is not None:
        _write(found, copy)
    return found


def _write(found: Scan, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    half = copy.with_name(f".{copy.name}.half")
    counts = " ".join(map(str, found.counts))
    table = found.table.replace_schema_metadata({COUNTS: counts.encode()})
    pq.write_table(table, half, compression="zstd", write_statistics=False)
    os.replace(half, copy)


def _keep_only(copies: list[Path]) -> None:
    """Texts that the reservoir lost are not kept here."""
    if copies:
        for old in set(copies[0].parent.glob("*.parquet")) - set(copies):
            old.unlink(missing_ok=True)
