"""What forming a dataset reads of the reservoir, without opening a thousand small files.

A block that later versions cannot grow any more has one file in .everloop/light, named after the
block's hash. It is only a copy: made when it is not there, or not what it should be. There is no text
in it: of each text the hash of its words, which is what the fence compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from core.files import whole_file
from core.records import Array
from core.workspace import Workspace
from pipelines.datasets.fence import marks
from pipelines.datasets.layout import RESERVOIR, block, parse, pointer
from pipelines.datasets.partitions import Scan, in_folder, scan
from pipelines.datasets.reservoir import HELD_OUT

COUNTS = b"counts"  # rows of each partition, in the file's metadata
FEW = ("label", "set", "policy", "encoder")  # of few values, each written once
PLAIN = ("row_id", "timestamp", *FEW, "embedding")
WORDS = "words"  # uint64, see fence.marks; it wants another name when core.texts.words changes
HELD = "held"  # the embedding again where the row was drawn to evaluate: these are read each time
COLUMNS = (*PLAIN, WORDS, HELD)


@dataclass
class Block:
    """The rows of some partitions, one after another. Columns as in COLUMNS."""

    place: Workspace
    names: tuple[str, ...]
    copy: Path | None  # where its file is, or belongs; None for a block that can still grow

    @cached_property
    def counts(self) -> Array:
        """Rows of each partition."""
        if self.copy is None:
            return self._whole.counts
        with self._file() as file:
            return np.array(file.metadata.metadata[COUNTS].split(), np.int64)

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    def read(self, columns: Sequence[str]) -> pa.Table:
        if self.copy is None:
            return self._whole.table.select(columns)
        try:
            with self._file() as file:
                return file.read(columns=list(columns)).select(columns)
        except (pa.ArrowException, OSError):  # half a file, of a machine that lost its power
            self.copy.unlink(missing_ok=True)
            with self._file() as file:
                return file.read(columns=list(columns)).select(columns)

    @cached_property
    def _whole(self) -> Scan:
        found = scan(in_folder(self.place.reservoir), self.names, [*PLAIN, "text"])
        table = found.table
        for name in FEW:
            at = table.column_names.index(name)
            table = table.set_column(at, name, table[name].dictionary_encode())
        drawn = pc.is_in(table["set"].cast(pa.string()), value_set=pa.array(HELD_OUT))
        blank = pa.scalar(None, pa.binary())
        table = table.append_column(WORDS, pa.array(marks(table["text"].to_pylist())))
        table = table.append_column(HELD, pc.if_else(drawn, table["embedding"], blank))
        return Scan(table.select(COLUMNS), found.counts)

    def _file(self) -> pq.ParquetFile:
        """The copy, opened; made first where it is not there, is damaged or lacks something."""
        assert self.copy is not None
        try:
            file = pq.ParquetFile(self.copy)
            counts = np.array((file.metadata.metadata or {})[COUNTS].split(), np.int64)
            whole = len(counts) == len(self.names) and counts.sum() == file.metadata.num_rows
            if whole and set(COLUMNS) == set(file.schema_arrow.names):
                return file
            file.close()
        except (pa.ArrowException, OSError, KeyError, ValueError):
            pass
        found = self._whole
        del self._whole  # a thousand days need not be in memory
        _write(found, self.copy)
        return pq.ParquetFile(self.copy)


@dataclass(frozen=True)
class Light:
    """Partitions, oldest first, by blocks. A place is a row's number among all of them."""

    blocks: Sequence[Block]
    counts: Array  # rows of each partition
    _last: dict[int, pa.Table] = field(default_factory=dict)  # the block that was read last

    @cached_property
    def ends(self) -> Array:
        """The place after the last row of each block."""
        return np.cumsum([b.rows for b in self.blocks], dtype=np.int64)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all rows."""
        return pa.concat_tables([b.read(columns) for b in self.blocks]).unify_dictionaries()

    def vectors(self, places: Array) -> pa.Table:
        """encoder and embedding of the rows at these places, in their order."""
        of = np.searchsorted(self.ends, places, side="right")
        found, order = [], []
        for i in np.unique(of):
            at = np.flatnonzero(of == i)
            found.append(self._embeddings(int(i), places[at] - (self.ends[i - 1] if i else 0)))
            order.append(at)
        if not found:
            return self.blocks[-1].read(["encoder", "embedding"]).slice(0, 0)
        back = np.argsort(np.concatenate(order), kind="stable")
        return pa.concat_tables(found).unify_dictionaries().take(back)

    def _embeddings(self, i: int, at: Array) -> pa.Table:
        some = self.blocks[i].read(["encoder", HELD]).take(at) if i not in self._last else None
        if some is not None and not some[HELD].null_count:
            return some.rename_columns(["encoder", "embedding"])
        if i not in self._last:
            self._last.clear()
            self._last[i] = self.blocks[i].read(["encoder", "embedding"])
        return self._last[i].take(at)


def light(place: Workspace, partitions: Sequence[str]) -> Light:
    """The rows of partitions (oldest first). Raises DatasetError that names a bad partition."""
    groups = [tuple(names) for _, names in groupby(partitions, block)] or [()]
    full = [Block(place, names, _copy(place, block(names[0]))) for names in groups[:-1]]
    found = [*full, Block(place, groups[-1], None)]
    counts = np.concatenate([b.counts for b in found])  # every copy is there from now on
    _keep_only([b.copy for b in full if b.copy])
    return Light(found, counts)


def _copy(place: Workspace, name: str) -> Path | None:
    """Where the copy of a block is, or belongs; None for a block that is not tracked."""
    path = place.root / pointer(f"{RESERVOIR}/{name}")
    try:
        oid = parse(path.read_text(encoding="utf-8"))["outs"][0]["md5"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError):
        return None
    return place.state / "light" / f"{oid}.parquet"


def _write(found: Scan, copy: Path) -> None:
    counts = " ".join(map(str, found.counts))
    table = found.table.replace_schema_metadata({COUNTS: counts.encode()})
    how = {
        name: "none" if name in ("embedding", HELD) else "zstd" for name in COLUMNS
    }  # read 4x as fast
    with whole_file(copy, durable=False) as half:
        pq.write_table(table, half, compression=how, use_dictionary=list(FEW), write_statistics=False)


def _keep_only(copies: list[Path]) -> None:
    """What the reservoir lost is not kept here."""
    if copies:
        for old in set(copies[0].parent.glob("*.parquet")) - set(copies):
            old.unlink(missing_ok=True)
