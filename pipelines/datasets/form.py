"""The `datasets` stage: reservoir + data/version.json -> data/dataset, the same bytes every time.

data/version.json     what a version is made from (Inputs)
data/dataset/         the manifest: which rows of the reservoir train and which evaluate
metrics/datasets.json what came of it: rows, labels, rows the fence kept out, a hash of the rows
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.errors import DatasetError
from core.label_set import LabelSet
from core.records import utc
from core.workspace import Workspace
from pipelines.datasets.fence import near_copies, same_words
from pipelines.datasets.layout import MANIFEST, from_spans, to_spans
from pipelines.datasets.light import scan_light
from pipelines.datasets.manifest import NAMES, SETS, Manifest, rows_hash
from pipelines.datasets.partitions import SCHEMA, among
from pipelines.datasets.policy import Formation, newer

ALWAYS = ("train", "eval", "audit")  # counted where there is no row of them, too


@dataclass(frozen=True)
class Inputs:
    """data/version.json: with the strategy and the reservoir, all that a dataset hangs on."""

    id: str  # v0007
    as_of: datetime
    seed: int
    parent: str  # "" for the first
    partitions: tuple[str, ...]  # of the reservoir, oldest first
    champion: str  # fingerprint of data/champion
    label_set: str = ""  # LabelSet.mark: which operations of data/labels.json count; "" for none

    def to_json(self) -> str:
        plain = {"as_of": self.as_of.isoformat(), "partitions": to_spans(self.partitions)}
        return json.dumps({**asdict(self), **plain}, indent=2) + "\n"

    @staticmethod
    def from_json(text: str, where: str) -> Inputs:
        try:
            raw = json.loads(text)
            times = {"as_of": utc(datetime.fromisoformat(raw["as_of"]))}
            return Inputs(**{**raw, **times, "partitions": from_spans(raw["partitions"])})
        except (ValueError, TypeError, KeyError) as fault:
            raise DatasetError(
                "data/version.json does not describe a dataset version",
                where=where,
                got=str(fault),
                expected="id, as_of, seed, parent, partitions, champion",
                do="git checkout -- data/version.json",
            ) from None


def form_dataset(workspace: Workspace, policy: Formation) -> dict[str, Any]:
    """Write data/dataset and metrics/datasets.json, and return what the latter says.

    No row of the evaluation sets trains, nor a near-copy of one: such rows are left out and counted as
    `fenced`. Labels are called what they are called now; rows whose label is no more are left out and
    counted as `unlabelled`. Raises DatasetError when the data in the workspace is of another version.
    """
    inputs = read_inputs(workspace)
    _check_champion(workspace, inputs)
    labels = label_set(workspace, inputs)
    found = scan_light(workspace, inputs.partitions)
    placed: pd.DataFrame = found.table.drop_columns("embedding").to_pandas()
    rows = placed.drop_duplicates("row_id", keep="last")  # of two annotations, the later
    rows = rows[rows["timestamp"] <= inputs.as_of].sort_values(["timestamp", "row_id"])
    counted = len(rows)
    rows = rows.assign(label=rows["label"].map(labels.now)).dropna(subset="label")
    sets = _sets(rows, inputs.as_of, policy.recent_days)
    able, held = rows[sets == "train"], rows[sets.isin(SETS[1:])]
    fenced = _fenced(found.table, able, held)
    open_rows = able[~fenced.any(axis=1)]
    train = policy.form(open_rows.reset_index(drop=True), inputs.as_of, inputs.seed)
    if train.empty:
        raise _nothing(
            workspace, inputs, policy, f"{len(able)} training rows", int(len(able) - len(open_rows))
        )
    codes = np.zeros(len(placed), np.uint8)
    codes[open_rows.index[among(open_rows["row_id"], train["row_id"])]] = 1 + SETS.index("train")
    codes[held.index] = [1 + SETS.index(name) for name in sets[held.index]]
    manifest = Manifest(inputs.partitions, found.counts, codes, labels.renamed)
    manifest.write(workspace.dataset / MANIFEST)
    numbers = {
        **summary(manifest, placed),
        "fenced": len(able) - len(open_rows),
        "fenced_by": {name: int(fenced[name].sum()) for name in fenced},
        "unlabelled": counted - len(rows),
        "label_set": labels.version,
    }
    made = {"policy": policy.policy, **numbers, "schema_hash": schema_hash()}
    write_text(workspace.metrics / "datasets.json", json.dumps(made, indent=2) + "\n")
    return made


def _sets(rows: pd.DataFrame, as_of: datetime, recent_days: int) -> pd.Series[str]:
    """The set of each row: as it was drawn, but that the newest labels test instead of train."""
    sets = rows["set"].astype(object)
    if recent_days:
        served = rows["policy"] != "initial"  # what was never served has no time of its own
        sets[served & (sets == "train") & newer(rows, as_of, recent_days)] = "recent"
    return sets


def _fenced(table: pa.Table, able: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Which rows that may train are kept out, a column a reason; an index is a place in `table`."""
    words = same_words(able["text"], held["text"])
    other = able.index.to_numpy()[~words]
    read = table.select(["encoder", "embedding"])
    near = np.zeros(len(able), bool)
    near[~words] = near_copies(read.take(pa.array(other)), read.take(pa.array(held.index.to_numpy())))
    return pd.DataFrame({"same_words": words, "near_copy": near}, index=able.index)


def _nothing(
    workspace: Workspace, inputs: Inputs, policy: Formation, rows: str, fenced: int
) -> DatasetError:
    return DatasetError(
        f"version {inputs.id} would have nothing to train on",
        where=str(workspace.reservoir),
        got=f"{rows}, {fenced} of them fenced off",
        expected=f"at least one that policy `{policy.policy}` keeps",
        do="choose a wider datasets policy in params.yaml",
    )


def label_set(workspace: Workspace, inputs: Inputs) -> LabelSet:
    """The label set that a version was made under, whatever was decided since."""
    return LabelSet.load(workspace.root).at(inputs.label_set)


def summary(manifest: Manifest, placed: pd.DataFrame) -> dict[str, Any]:
    """What a manifest says of rows (row_id, label, in the order of their places): counts and a hash.

    The hash is of the labels as they were given; what they are called is the manifest's own.
    """
    chosen = manifest.sets > 0
    sets = manifest.sets[chosen]
    rows = placed[chosen]
    return {
        "rows": {
            name: int(n)
            for i, name in enumerate(SETS)
            if (n := (sets == 1 + i).sum()) or name in ALWAYS
        },
        "labels": int(manifest.called(rows["label"][sets == 1]).nunique()),
        "rows_hash": rows_hash(
            pa.array(rows["row_id"], pa.string()),
            NAMES.take(pa.array(sets)),
            pa.array(rows["label"], pa.string()),
        ),
    }


def read_inputs(workspace: Workspace) -> Inputs:
    try:
        text = workspace.version_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DatasetError(
            "this workspace has no dataset version yet",
            where=str(workspace.version_file),
            do="everloop data list shows the versions, everloop data checkout brings one here",
        ) from None
    return Inputs.from_json(text, str(workspace.version_file))


def fingerprint(folder: Path) -> str:
    """A hash of the files below a folder, their names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:32]


def schema_hash() -> str:
    return hashlib.sha256(str(SCHEMA).encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    write(path, text.encode())


def write(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(content)
    os.replace(half, path)


def _check_champion(workspace: Workspace, inputs: Inputs) -> None:
    """`dvc repro` takes the data it finds for the data that is meant; training would not notice."""
    found = fingerprint(workspace.champion)
    if found != inputs.champion:
        raise DatasetError(
            f"data/champion is not the one of version {inputs.id}",
            where=str(workspace.champion),
            got=found,
            expected=inputs.champion,
            do="git checkout -- data && dvc checkout, then again",
        )
