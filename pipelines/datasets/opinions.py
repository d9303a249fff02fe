"""What people think of answers, as a version has it: pairs, of which one answer is better, and ratings.

data/reservoir/v0033/feedback/v0040.parquet   what came with v0040; a file only where something did

A version has what its partitions came with. As with rows, the fence keeps out what is too near a row
that evaluates, and rewrites change what is chosen. A correction is a pair, and a row beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.arrays import Array, Frame, stacked
from core.errors import DatasetError
from core.rewrites import Rewrite, rewritten
from core.texts import counted, normal
from core.workspace import Workspace
from pipelines.datasets.fence import cosines, least
from pipelines.datasets.layout import MANIFEST, block, order
from pipelines.datasets.manifest import Manifest
from pipelines.datasets.partitions import GONE, write
from pipelines.datasets.rows import Space

FOLDER = "feedback"  # in that of a block
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of the feedback, or of the row that says better
        pa.field("row_id", pa.string(), nullable=False),  # prediction_id of the answer
        pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),  # when it was said
        pa.field("set", pa.string(), nullable=False),  # train, or GONE
        pa.field("input", pa.string(), nullable=False),
        pa.field("output", pa.string(), nullable=False),  # that is better, or rated
        pa.field("rejected", pa.string()),  # the other one of a pair; null in a rating
        pa.field("score", pa.float64()),  # 0..1 of a rating; null in a pair
        pa.field("source", pa.string(), nullable=False),
        pa.field("user_key", pa.string()),
        pa.field("encoder", pa.string()),
        pa.field("embedding", pa.binary()),  # float16, of the input
    ]
)
BLANK = {"input": "", "output": "", "rejected": "", "source": "", "user_key": "", "embedding": None}
PAIRS = {"output": "chosen", "timestamp": "at"}  # as they are called in a version
RATINGS = {"timestamp": "at"}
Text = Callable[[str], str]  # what an input reads as


def _none() -> Frame:
    return pd.DataFrame(columns=SCHEMA.names)


@dataclass(frozen=True, eq=False)
class Opinions:
    """pairs: id, input, chosen, rejected, at, source. ratings: id, input, output, score, at, source."""

    pairs: Frame
    ratings: Frame


def place_of(reservoir: Path, partition: str) -> Path:
    return reservoir / block(partition) / FOLDER / f"{partition}.parquet"


def add(reservoir: Path, partition: str, rows: Frame) -> None:
    """Write what comes with a partition."""
    path = place_of(reservoir, partition)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False))


def stored(reservoir: Path, columns: Sequence[str] | None = None) -> Frame:
    """All that is in the folder, oldest partition first, with its partition."""
    paths = sorted(reservoir.glob(f"*/{FOLDER}/*.parquet"), key=lambda p: order(p.stem))
    return _read({p.stem: p for p in paths}, columns)


def here(workspace: Workspace, tested: Frame, text: Text) -> Opinions:
    """Those of the version in the folder. tested: its rows that evaluate: input, encoder, embedding."""
    manifest = Manifest.load(workspace.dataset / MANIFEST)
    paths = {p: place_of(workspace.reservoir, p) for p in manifest.partitions}
    files = {p: path for p, path in paths.items() if path.is_file()}
    return of_files(files, manifest.rewrites, tested, text)


def of_files(
    files: dict[str, Path], rewrites: Sequence[Rewrite], tested: Frame, text: Text
) -> Opinions:
    """Those of a version whose files, by partition, lie elsewhere. tested: as in `here`."""
    return _of(_read(files), rewrites, tested, text)


def in_words(files: dict[str, Path]) -> str:
    """How many pairs and ratings there are in files by partition, in words; "" for none."""
    rows = _read(files, ["id", "set", "rejected"])
    rows = rows[rows["set"] != GONE].drop_duplicates("id", keep="last")
    pairs = int(rows["rejected"].notna().sum())
    ratings = len(rows) - pairs
    return f"{counted(pairs, 'pair')}, {counted(ratings, 'rating')}" if len(rows) else ""


def blank(reservoir: Path, row_ids: Collection[str]) -> list[str]:
    """Forget what was said of these answers; the partitions that were written anew."""
    found = stored(reservoir, ["row_id", "set"])
    touched = found[found["row_id"].isin(list(row_ids)) & (found["set"] != GONE)]
    for partition in (names := sorted(set(touched["partition"]), key=order)):
        path = place_of(reservoir, partition)
        rows = _read({partition: path}).drop(columns="partition")
        gone = rows["row_id"].isin(list(row_ids))
        for name, value in {**BLANK, "set": GONE}.items():
            rows[name] = rows[name].astype(object).where(~gone, value)
        write(path, pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False))
    return names


def _read(paths: dict[str, Path], columns: Sequence[str] | None = None) -> Frame:
    names = list(columns or SCHEMA.names)
    frames = [_table(p, names).to_pandas().assign(partition=n) for n, p in paths.items()]
    return pd.concat(frames, ignore_index=True) if frames else _none()[names].assign(partition="")


def _table(path: Path, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns).select(columns)
    except (pa.ArrowException, OSError) as fault:
        raise DatasetError(
            "a file of feedback is damaged",
            where=str(path),
            got=str(fault).splitlines()[0],
            do=f"rm {path} && everloop data checkout VERSION",
        ) from None


def _of(rows: Frame, rewrites: Sequence[Rewrite], tested: Frame, text: Text) -> Opinions:
    """Of one that was given twice, the later; none that was forgotten, is fenced, or says nothing."""
    rows = rows[rows["set"] != GONE].drop_duplicates("id", keep="last").reset_index(drop=True)
    rows = rows[~_fenced(rows, tested, text)].reset_index(drop=True)
    return Opinions(*_split(_by_now(rows, rewrites)))


def _split(rows: Frame) -> tuple[Frame, Frame]:
    pair = rows["rejected"].notna()
    pairs = rows[pair].rename(columns=PAIRS)
    ratings = rows[~pair].rename(columns=RATINGS)
    return (
        pairs[["id", "input", "chosen", "rejected", "at", "source"]].reset_index(drop=True),
        ratings[["id", "input", "output", "score", "at", "source"]].reset_index(drop=True),
    )


def _by_now(rows: Frame, rewrites: Sequence[Rewrite]) -> Frame:
    """With what is chosen as rewrites make it. A pair whose two answers are one by now says nothing;
    nor does a rating of an answer that would be another one."""
    if not rewrites or not len(rows):
        return rows
    given = (rows["input"].tolist(), rows["output"].tolist(), rows["timestamp"].tolist())
    by_now = pd.Series(rewritten(rewrites, *given), dtype=object)
    rated = rows["rejected"].isna()
    kept = by_now.notna() & (by_now != rows["rejected"]) & ~(rated & (by_now != rows["output"]))
    return rows.assign(output=by_now)[kept].reset_index(drop=True)


def _fenced(rows: Frame, tested: Frame, text: Text) -> Array:
    """(n,) which have the words of a row that evaluates, or an embedding too near one."""
    words = {normal(text(asked)) for asked in tested["input"]}
    found = np.array([normal(text(asked)) in words for asked in rows["input"]], bool)
    mine, theirs = _spaces(rows), _spaces(tested)
    for space in mine.keys() & theirs.keys():
        held = stacked(tested["embedding"].iloc[theirs[space]])
        near = cosines(stacked(rows["embedding"].iloc[mine[space]]), held) >= least(held)
        found[mine[space]] |= near
    return found


def _spaces(rows: Frame) -> dict[Space, list[int]]:
    """The places of the rows by encoder and size of their embeddings; those without one are in none."""
    found: dict[Space, list[int]] = {}
    for i, (encoder, raw) in enumerate(zip(rows["encoder"], rows["embedding"], strict=True)):
        if raw:
            found.setdefault((encoder, len(raw)), []).append(i)
    return found
