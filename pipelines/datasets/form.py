"""The `datasets` stage: reservoir + data/version.json -> data/dataset, the same bytes every time.

data/version.json     what a version is made from (Inputs)
data/dataset/         the manifest: which rows of the reservoir train and which evaluate
metrics/datasets.json what came of it: rows, labels, rows the fence kept out, a hash of the rows
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.arrays import Array
from core.errors import DatasetError
from core.files import write_whole
from core.label_set import LabelSet
from core.rewrites import rewritten
from core.workspace import Workspace
from pipelines.datasets.fence import fenced
from pipelines.datasets.formation import Formation, formed
from pipelines.datasets.inputs import Inputs, check_champion, label_set, read_inputs
from pipelines.datasets.layout import MANIFEST
from pipelines.datasets.manifest import SETS, TRAIN, Manifest, rows_hash, set_names
from pipelines.datasets.partitions import LABEL, SCHEMA, in_folder, scan
from pipelines.datasets.rows import ReservoirRows, read_rows

ALWAYS = ("train", "eval", "audit")  # counted where there is no row of them, too


def form_dataset(workspace: Workspace, policy: Formation) -> dict[str, Any]:
    """Write data/dataset and metrics/datasets.json, and return what the latter says."""
    inputs = read_inputs(workspace)
    rows = read_rows(in_folder(workspace.reservoir), inputs.partitions)
    return form(workspace, policy, inputs, rows)


def form(
    workspace: Workspace, policy: Formation, inputs: Inputs, rows: ReservoirRows
) -> dict[str, Any]:
    """The same of rows (all of the partitions of `inputs`) that were read already.

    No row of the evaluation sets trains, nor a near-copy of one: such rows are left out and counted as
    `fenced`. Labels are called what they are called now; rows whose label is no more are left out and
    counted as `unlabelled`, and rows that a rewrite leaves out as `retired`. Raises DatasetError when
    the data in the workspace is of another version.
    """
    check_champion(workspace, inputs)
    labels = label_set(workspace, inputs)
    called = _called(rows.table, labels)
    called, retired = _rewritten(workspace, inputs, called)
    counted = latest(rows.table["row_id"]) & _known(rows, inputs)
    named = _true(called.is_valid()) | retired
    sets = np.where(counted & named & ~retired, _sets(rows.table, inputs.as_of, policy.recent_days), 0)
    kept_out = fenced(rows, sets)
    able = sets == TRAIN
    kept = able & ~np.logical_or.reduce(list(kept_out.values()))
    choice = rows.table.select(["row_id", "timestamp", "kind"]).append_column("target", called)
    choice = choice.filter(pa.array(kept)).to_pandas()
    train = formed(policy, choice, inputs.as_of, inputs.seed)
    if train.empty:
        raise _nothing(workspace, inputs, policy, int(able.sum()), int(kept.sum()))
    codes = np.where(able, 0, sets).astype(np.uint8)
    codes[np.flatnonzero(kept)[train.index]] = TRAIN
    names = _labels(rows.table)
    renamed = labels.renamed | labels.odd(names)
    manifest = Manifest(inputs.partitions, rows.counts, codes, renamed, inputs.rewrites)
    manifest.write(workspace.dataset / MANIFEST)
    numbers = {
        **summary(manifest, rows.table),
        "fenced": int(able.sum() - kept.sum()),
        "fenced_by": {name: int(found.sum()) for name, found in kept_out.items()},
        "unlabelled": int((counted & ~named).sum()),
        "label_set": labels.version,
    }
    if inputs.rewrites:
        numbers["retired"] = int((counted & retired).sum())
    if unchosen := len(choice) - len(train):
        numbers["unchosen"] = unchosen  # by the policy
    made = {"policy": policy.policy, **numbers, "schema_hash": schema_hash()}
    write_whole(workspace.metrics / "datasets.json", json.dumps(made, indent=2) + "\n")
    return made


def latest(row_ids: pa.ChunkedArray) -> Array:
    """(n,) which rows are the last of their id: of two annotations, the later."""
    return np.asarray(~row_ids.to_pandas().duplicated(keep="last"))


def _known(rows: ReservoirRows, inputs: Inputs) -> Array:
    """(n,) which rows there were at `as_of`. New ones of later requests wait for the next version; what
    evaluates, and what an earlier version took, was there whatever its clock said."""
    new = np.repeat(np.array(inputs.partitions) == inputs.id, rows.counts)
    later = _true(pc.greater(rows.table["timestamp"], _time(inputs.as_of)))
    return ~(new & later & _is(rows.table["set"], "train"))


def _called(table: pa.Table, labels: LabelSet) -> pa.ChunkedArray:
    """(n,) what targets (a dictionary) are called now; null where a label is no more. What is no label
    is as it was written."""
    named = {x: labels.now(x) for x in _labels(table)}
    parts = [
        pa.array([named.get(t, t) for t in x.dictionary.to_pylist()], pa.string()).take(x.indices)
        for x in table["target"].chunks
    ]
    return pa.chunked_array(parts, pa.string())


def _rewritten(
    workspace: Workspace, inputs: Inputs, called: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, Array]:
    """(n,) targets as rewrites make them, and which rows they leave out."""
    retired = np.zeros(len(called), bool)
    if not inputs.rewrites:
        return called, retired
    table = scan(in_folder(workspace.reservoir), inputs.partitions, ["input", "timestamp"]).table
    named = np.flatnonzero(_true(called.is_valid()))
    columns = (table["input"], called, table["timestamp"])
    said = rewritten(inputs.rewrites, *(column.take(named).to_pylist() for column in columns))
    targets = called.to_pylist()
    for place, target in zip(named.tolist(), said, strict=True):
        targets[place], retired[place] = target, target is None
    return pa.chunked_array([pa.array(targets, pa.string())]), retired


def _labels(table: pa.Table) -> set[str]:
    """The targets that are labels."""
    return set(
        pc.unique(table["target"].filter(_is(table["kind"], LABEL)).cast(pa.string())).to_pylist()
    )


def _sets(placed: pa.Table, as_of: datetime, recent_days: int) -> Array:
    """(n,) sets as in a manifest: each as it was drawn, but that the newest labels test instead of
    train."""
    sets = np.zeros(len(placed), np.uint8)
    for i, name in enumerate(SETS, 1):
        sets[_is(placed["set"], name)] = i
    if recent_days:
        newer = pc.greater(placed["timestamp"], _time(as_of - timedelta(days=recent_days)))
        served = ~_is(placed["policy"], "initial")  # what was never served has no time of its own
        sets[served & (sets == TRAIN) & _true(newer)] = 1 + SETS.index("recent")
    return sets


def _is(column: pa.ChunkedArray, value: str) -> Array:
    return _true(pc.equal(column.cast(pa.string()), value))


def _true(column: pa.ChunkedArray) -> Array:
    """(n,) bool; nothing is false."""
    return np.asarray(pc.fill_null(column, False))


def _time(when: datetime) -> pa.Scalar:
    return pa.scalar(when, SCHEMA.field("timestamp").type)


def _nothing(
    workspace: Workspace, inputs: Inputs, policy: Formation, able: int, kept: int
) -> DatasetError:
    return DatasetError(
        f"version {inputs.id} would have nothing to train on",
        where=str(workspace.reservoir),
        got=f"{able} training rows, {able - kept} of them fenced off",
        expected=f"at least one that policy `{policy.policy}` keeps",
        do="choose a wider datasets policy in params.yaml",
    )


def summary(manifest: Manifest, placed: pa.Table) -> dict[str, Any]:
    """What a manifest says of rows (row_id, target, in the order of their places): counts and a hash.

    The hash is of the labels as they were given; what they are called is the manifest's own.
    """
    chosen = manifest.sets > 0
    sets = manifest.sets[chosen]
    rows = placed.select(["row_id", "target"]).filter(pa.array(chosen))
    trained = pc.unique(rows["target"].filter(pa.array(sets == TRAIN)).cast(pa.string()))
    return {
        "rows": {
            name: int(n)
            for i, name in enumerate(SETS)
            if (n := (sets == 1 + i).sum()) or name in ALWAYS
        },
        "labels": int(manifest.called(trained.to_pandas()).nunique()),
        "rows_hash": rows_hash(rows["row_id"], set_names(sets), rows["target"]),
    }


EARLIER_SCHEMA = "5f3cae1697a9ec82"  # its hash, before the columns were input, target and kind


def schema_hash() -> str:
    return hashlib.sha256(str(SCHEMA).encode()).hexdigest()[:16]
