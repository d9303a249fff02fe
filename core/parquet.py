"""Parquet as numbered records, a batch of rows at a time. Only `core/readers.py` reads it this way.

A few bytes of such a file can stand for terabytes: a value of its dictionary is there once and repeated
in every row, and a page may be packed to almost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.cells import decoded
from core.errors import DataError
from core.readers import MOST_OF_A_RECORD, Record, Table, check_columns, excerpt

BATCH_ROWS, BATCH_BYTES = 1024, 2**30
SMALL_CHUNK = 2**26  # bytes of a column in a row group: values that repeat are held once
MOST_UNPACKED = 200  # times: text is packed to a tenth or so


def parquet_table(path: Path) -> Table:
    try:
        with pq.ParquetFile(path) as file:
            columns, about = list(file.schema_arrow.names), file.metadata
            check_columns(path, columns)
            _check_chunks(path, about)
            return Table(columns, _parquet_records(path, columns), about.num_rows)
    except (pa.ArrowException, OSError) as fault:
        raise DataError("this Parquet file is damaged", where=str(path), got=excerpt(fault)) from None


def _check_chunks(path: Path, about: Any) -> None:
    """A page of a column is unpacked as one piece. Raises DataError where that may be too much."""
    for group in map(about.row_group, range(about.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            size, packed = chunk.total_uncompressed_size, chunk.total_compressed_size
            if size > MOST_OF_A_RECORD * max(1, chunk.num_values):
                most = f"at most {MOST_OF_A_RECORD:,} a value"
            elif size > SMALL_CHUNK and size > MOST_UNPACKED * packed:
                most = f"at most {MOST_UNPACKED} times what it takes in the file, {packed:,}"
            else:
                continue
            raise DataError(
                "a column of this Parquet file is too large to be read",
                where=f"{path}, {chunk.path_in_schema}",
                got=f"{size:,} bytes for {chunk.num_values:,} values",
                expected=most,
            )


def _parquet_records(path: Path, columns: list[str]) -> Iterator[Record]:
    row = 0
    try:
        largest = _largest_chunk(pq.read_metadata(path))
        shared = _strings(pq.read_schema(path)) if largest <= SMALL_CHUNK else []
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, largest)))
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False, read_dictionary=shared) as file:
            for batch in file.iter_batches(batch_size=rows):
                for fields in zip(*(_cells(c) for c in batch.columns), strict=True):
                    row += 1
                    yield row, dict(zip(columns, fields, strict=True))
    except (pa.ArrowException, OSError) as fault:
        raise DataError("this Parquet file is damaged", where=str(path), got=excerpt(fault)) from None


def _largest_chunk(about: Any) -> int:
    """Bytes of a column in a row group; no value is larger."""
    groups = map(about.row_group, range(about.num_row_groups))
    return max(
        (g.column(i).total_uncompressed_size for g in groups for i in range(g.num_columns)), default=0
    )


def _strings(schema: Any) -> list[str]:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return [f.name for f in schema if any(is_a(f.type) for is_a in kinds)]


def _cells(column: Any) -> list[Any]:
    """Python values; strings by way of bytes, since Arrow does not check that they are UTF-8."""
    if pa.types.is_dictionary(column.type):
        used = pc.unique(column.indices.drop_null())
        values = dict(zip(used.to_pylist(), _cells(column.dictionary.take(used)), strict=True))
        return [None if i is None else values[i] for i in column.indices.to_pylist()]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [decoded(c) for c in column.cast(pa.large_binary()).to_pylist()]
    if pa.types.is_float32(column.type):
        column = column.cast(pa.string()).cast(pa.float64())  # 4.1, as other files have it; not 4.09999
    try:
        cells: list[Any] = column.to_pylist()
        return cells
    except UnicodeDecodeError:  # a string within
        return [_lenient(c) for c in column.cast(_as_bytes(column.type)).to_pylist()]


def _as_bytes(kind: Any) -> Any:
    """The type with binary values for its strings."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([(f.name, _as_bytes(f.type)) for f in kind])
    if pa.types.is_map(kind):
        return pa.map_(_as_bytes(kind.key_type), _as_bytes(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    return pa.large_list(_as_bytes(kind.value_type)) if pa.types.is_large_list(kind) else kind


def _lenient(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lenient(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_lenient, value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
