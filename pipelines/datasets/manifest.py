"""Which rows of the reservoir a dataset version is made of: data/dataset/manifest.parquet.

One line a partition: its name, and a list with one number for each of its rows: 0 for a row that stays
out, else 1 + its place in SETS. A row keeps its place (one that is forgotten is blanked there), and
runs of the same number cost nothing, so the manifest of a million rows is some kilobytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.arrays import Array, Frame, Series
from core.errors import DatasetError
from core.files import whole_file
from core.rewrites import Rewrite, as_plain, from_plain, rewritten
from pipelines.datasets.partitions import GONE, KEYS, SCHEMA, Locate, scan

SETS = ("train", "eval", "audit", "recent", "regression")  # a place is written: append only
TRAIN = 1 + SETS.index("train")  # what is more evaluates
RENAMED, REWRITES = b"renamed", b"rewrites"  # in the file's metadata
OF_REWRITES = ("input", "target", "timestamp")
Strings: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclass(frozen=True, eq=False)
class Manifest:
    """partitions: oldest first. counts: rows of each. sets: (rows,) uint8, in their order.

    renamed: labels of the partitions that are called otherwise in this version: old -> new.
    rewrites: what targets are read through. Only the programs are here: a row that is forgotten has
    left no text.
    """

    partitions: tuple[str, ...]
    counts: Array
    sets: Array
    renamed: Mapping[str, str] = field(default_factory=dict)
    rewrites: Sequence[Rewrite] = ()

    @cached_property
    def ends(self) -> Array:
        return np.cumsum(self.counts, dtype=np.int64)

    def rows(
        self, locate: Locate, sets: Sequence[str] = SETS, columns: Sequence[str] | None = None
    ) -> Frame:
        """The rows of some sets, in time order; `set` says which. Columns as in the reservoir.
        Rows that were forgotten since are left out."""
        wanted = list(columns or SCHEMA.names)
        chosen = np.isin(self.sets, [1 + SETS.index(s) for s in sets])
        more = ["input"] if self.rewrites and "target" in wanted else []
        table = self.read(locate, chosen, list(dict.fromkeys([*wanted, *KEYS, *more])))
        here = pc.not_equal(table["set"], GONE)
        names = set_names(self.sets[chosen])
        table = table.set_column(table.column_names.index("set"), "set", names).filter(here)
        table = table.sort_by([("timestamp", "ascending"), ("row_id", "ascending")])
        frame: Frame = table.to_pandas()
        if "target" in wanted:
            frame["target"] = self.called(frame["target"])
        if more:
            frame["target"] = through(self.rewrites, frame)
        return frame[wanted]

    def read(self, locate: Locate, chosen: Array, columns: Sequence[str]) -> pa.Table:
        """Columns of the chosen rows (rows,) bool, in the order of their places."""
        parts = self.touched(chosen)
        found = scan(locate, [self.partitions[i] for i in parts], columns)
        self.check(parts, found.counts)
        inside = np.repeat(np.isin(np.arange(len(self.counts)), parts), self.counts)
        return found.table.filter(pa.array(chosen[inside]))

    def called(self, targets: Series) -> Series:
        """What labels of the partitions are called in this version."""
        return targets.replace(dict(self.renamed)) if self.renamed else targets

    def touched(self, chosen: Array) -> list[int]:
        """Which partitions hold a chosen row; chosen: (rows,) bool."""
        total = np.concatenate([[0], np.cumsum(chosen)])
        per_partition = total[self.ends] - total[self.ends - self.counts]
        return [int(i) for i in np.flatnonzero(per_partition)]

    def check(self, parts: Sequence[int], counts: Array) -> None:
        """Partitions as long as they were. Raises DatasetError."""
        for i, found in zip(parts, counts, strict=True):
            if found != self.counts[i]:
                raise DatasetError(
                    "a partition of the reservoir is not the one that the manifest means",
                    where=self.partitions[i],
                    got=f"{found} rows",
                    expected=f"{self.counts[i]} rows",
                    do="everloop data verify",
                )

    def write(self, path: Path) -> None:
        """The same manifest gives the same bytes; a reader sees the old file or the new one."""
        offsets = np.concatenate([[0], self.ends]).astype(np.int32)
        lists = pa.ListArray.from_arrays(offsets, pa.array(self.sets, pa.uint8()))
        table = pa.table({"partition": pa.array(self.partitions, pa.string()), "sets": lists})
        with (
            whole_file(path) as half,
            pq.ParquetWriter(
                half,
                table.schema,
                compression="zstd",
                use_dictionary=["sets.list.element"],
                column_encoding={"partition": "DELTA_BYTE_ARRAY"},
                write_statistics=False,
                store_schema=False,
            ) as file,
        ):
            file.write_table(table)
            if self.renamed:
                text = json.dumps(dict(sorted(self.renamed.items())), ensure_ascii=False)
                file.add_key_value_metadata({RENAMED: text.encode()})
            if self.rewrites:
                text = json.dumps(as_plain(self.rewrites), ensure_ascii=False)
                file.add_key_value_metadata({REWRITES: text.encode()})

    @staticmethod
    def load(path: Path) -> Manifest:
        """Raises DatasetError for a file that is not there, or not a manifest."""
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(columns=["partition", "sets"]).combine_chunks()
                lists = table.column("sets").combine_chunks()
                said = file.metadata.metadata or {}
                return Manifest(
                    tuple(table.column("partition").to_pylist()),
                    np.diff(lists.offsets.to_numpy()).astype(np.int64),
                    lists.flatten().to_numpy().astype(np.uint8),
                    json.loads(said.get(RENAMED, b"{}")),
                    from_plain(json.loads(said.get(REWRITES, b"[]"))),
                )
        except FileNotFoundError:
            raise DatasetError(
                "the manifest of the dataset is not here",
                where=str(path),
                do="everloop data checkout VERSION",
            ) from None
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as fault:
            raise DatasetError(
                "this is not a manifest",
                where=str(path),
                got=str(fault).splitlines()[0],
                do="everloop data verify, then: everloop data checkout VERSION",
            ) from None


def through(rewrites: Sequence[Rewrite], rows: Frame) -> list[str]:
    """The targets of rows as rewrites make them; as they are where they leave a row out."""
    said = rewritten(rewrites, *(rows[c].tolist() for c in OF_REWRITES))
    return [before if now is None else now for before, now in zip(rows["target"], said, strict=True)]


def set_names(codes: Array) -> pa.Array:
    """What numbers of a manifest stand for."""
    return pa.array(["", *SETS]).take(pa.array(codes))


def rows_hash(row_ids: Strings, sets: Strings, targets: Strings) -> str:
    """A hash of which rows a version has, in which sets, with which targets, in order of places.

    >>> rows_hash(pa.array(["a", "b"]), pa.array(["train", "eval"]), pa.array(["x", "y"]))
    '84f690f77ea51ae5adcee2e4fbc91b76'
    """
    digest = hashlib.sha256()
    for column in (row_ids, sets, targets):
        strings = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
        strings = strings.cast(pa.large_string()).combine_chunks()
        whole = pa.LargeListArray.from_arrays(pa.array([0, len(strings)], pa.int64()), strings)
        joined = pc.binary_join(whole, pa.scalar("\0", pa.large_string()))[0]
        digest.update(joined.as_buffer())
        digest.update(b"\0\0")
    return digest.hexdigest()[:32]
