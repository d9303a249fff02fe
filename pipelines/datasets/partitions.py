"""Partitions of the reservoir: Parquet files that are written once. New rows are a new partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.arrays import Array, Frame
from core.errors import DatasetError
from core.files import whole_file
from core.records.labels import Kind
from pipelines.datasets.layout import block, order

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),  # prediction_id, where the row was served
        pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),  # of the request
        pa.field("input", pa.string(), nullable=False),  # what a model is asked: `Task.render` reads it
        pa.field("target", pa.string(), nullable=False),  # what it should say
        pa.field("kind", pa.string(), nullable=False),  # of the target: core.records.Kind
        pa.field("set", pa.string(), nullable=False),  # train | eval | audit, or GONE
        pa.field("embedding", pa.binary()),  # float16
        pa.field("encoder", pa.string()),
        pa.field("segments", pa.string()),  # JSON
        pa.field("user_key", pa.string()),
        pa.field("policy", pa.string()),
        pa.field("round", pa.string()),
        pa.field("propensity", pa.float64()),  # null where the row was not picked
        pa.field("annotator", pa.string()),
    ]
)
LABEL: Kind = "label"
EARLIER = {"input": "text", "target": "label"}  # in partitions of earlier versions; all are labels
EITHER = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in EARLIER.values())])
WITHOUT_EMBEDDING = tuple(n for n in SCHEMA.names if n != "embedding")
GONE = "gone"  # the set of a row that was forgotten: its place stays, what it said does not
KEYS = ("row_id", "timestamp", "set")
Locate = Callable[[str], Path]  # where the file of a partition is


@dataclass(frozen=True, eq=False)
class Scan:
    """Rows of partitions, one partition after another; counts: rows of each."""

    table: pa.Table
    counts: Array


def in_folder(reservoir: Path) -> Locate:
    """Partitions where a workspace has them: in the folder of their block."""
    return lambda name: reservoir / block(name) / f"{name}.parquet"


def add_partition(reservoir: Path, name: str, rows: Frame) -> Path:
    """Write a partition once. The same rows again change nothing; other rows raise DatasetError."""
    path = in_folder(reservoir)(name)
    table = to_table(rows, path)
    if path.exists():
        if read_partition(path, SCHEMA.names).equals(table):
            return path
        raise DatasetError(
            "a reservoir partition cannot be rewritten",
            where=str(path),
            got=f"{len(rows)} rows, not the ones that are there",
            expected="rows under a new partition name",
        )
    write(path, table)
    return path


def write(path: Path, table: pa.Table) -> None:
    """The same rows give the same bytes; a reader sees the old file or the new one.

    Without statistics, which nobody asks and which cost 20 rows a third of their own size.
    """
    with whole_file(path) as half:
        pq.write_table(table, half, compression="zstd", write_statistics=False, store_schema=False)


def to_table(rows: Frame, path: Path) -> pa.Table:
    """Rows in the reservoir's schema; `path` is where they are going, for the error's sake."""
    if set(rows.columns) != set(SCHEMA.names):
        raise DatasetError(
            "these are not reservoir rows",
            where=str(path),
            got=", ".join(map(str, rows.columns)),
            expected=", ".join(SCHEMA.names),
        )
    try:
        table = pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False, safe=False)
    except (pa.ArrowException, TypeError, ValueError) as fault:
        raise DatasetError("these are not reservoir rows", where=str(path), got=str(fault)) from None
    return table.replace_schema_metadata(None)


def read(
    reservoir: Path,
    sets: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    partitions: Sequence[str] | None = None,
) -> Frame:
    """Rows in time order; of a row that was annotated twice, the later annotation.

    Everything by default, else only these sets, columns and partitions (oldest first).
    """
    here = sorted((p.stem for p in reservoir.glob("*/*.parquet")), key=order)
    wanted = list(SCHEMA.names if columns is None else columns)
    needed = list(dict.fromkeys([*wanted, *KEYS]))
    found = scan(in_folder(reservoir), here if partitions is None else partitions, needed)
    rows: Frame = found.table.to_pandas()
    rows = rows[rows["set"] != GONE].drop_duplicates("row_id", keep="last")
    if sets is not None:
        rows = rows[rows["set"].isin(list(sets))]
    return rows.sort_values(["timestamp", "row_id"], ignore_index=True)[wanted]


def scan(locate: Locate, partitions: Sequence[str], columns: Sequence[str]) -> Scan:
    """Columns of partitions, as they lie there. Raises DatasetError that names a bad partition.

    One scan of all files takes a third of the time of one file after another. Those of
    earlier versions are read with them, under the names of today.
    """
    from pyarrow import dataset

    shape = pa.schema([SCHEMA.field(c) for c in columns])
    if not partitions:
        return Scan(shape.empty_table(), np.zeros(0, np.int64))
    paths = [locate(p) for p in partitions]
    try:
        files = dataset.dataset([str(p) for p in paths], format="parquet", schema=EITHER)
        found = files.to_table(columns=_of_either([*columns, "__fragment_index"]))
    except (pa.ArrowException, OSError):
        found = None
    if found is None or any(found[f.name].null_count for f in shape if not f.nullable):
        tables = [read_partition(path, columns) for path in paths]
        return Scan(pa.concat_tables(tables), np.array([len(t) for t in tables], np.int64))
    places = found["__fragment_index"].to_numpy()
    return Scan(found.select(list(columns)).cast(shape), np.bincount(places, minlength=len(paths)))


def _of_either(columns: Sequence[str]) -> dict[str, pc.Expression]:
    """Where a scan finds columns, in partitions of today and of earlier versions."""
    found = {new: pc.coalesce(pc.field(new), pc.field(old)) for new, old in EARLIER.items()}
    found["kind"] = pc.if_else(pc.is_valid(pc.field(EARLIER["target"])), LABEL, pc.field("kind"))
    return {c: found.get(c, pc.field(c)) for c in columns}


def among(values: Array, wanted: Array) -> Array:
    """Which of the numbers (n,) are wanted, (n,) bool; numpy's `isin` sorts them all."""
    return np.asarray(pc.is_in(pa.array(values), value_set=pa.array(wanted)))


def _as_today(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Columns of a table that an earlier version wrote."""
    today = {old: new for new, old in EARLIER.items()}
    table = table.rename_columns([today.get(c, c) for c in table.column_names])
    return table.append_column("kind", pa.repeat(LABEL, len(table))).select(columns)


def read_partition(path: Path, columns: Sequence[str]) -> Any:
    shape = pa.schema([SCHEMA.field(c) for c in columns])
    try:
        with pq.ParquetFile(path) as file:
            here = file.schema_arrow.names
            earlier = EARLIER["target"] in here
            names = [EARLIER.get(c, c) for c in columns if c != "kind"] if earlier else list(columns)
            missing = [c for c in names if c not in here]
            if not missing:
                table = file.read(columns=names).select(names)
                return (_as_today(table, shape.names) if earlier else table).cast(shape)
    except FileNotFoundError:
        raise DatasetError(
            "a partition of the reservoir is not here",
            where=str(path),
            do="everloop data checkout VERSION",
        ) from None
    except (pa.ArrowException, OSError) as fault:
        raise DatasetError(
            "a Parquet file is damaged",
            where=str(path),
            got=str(fault).splitlines()[0],
            expected="a whole Parquet file",
            do=f"rm {path} && everloop data checkout VERSION",
        ) from None
    raise DatasetError(
        "a Parquet file is not of the reservoir",
        where=str(path),
        got=f"no {', no '.join(missing)}",
        expected=", ".join(columns),
    )
