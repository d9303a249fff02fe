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
from core.records import Array, utc
from core.texts import normal
from core.workspace import Workspace
from pipelines.datasets.layout import MANIFEST, from_spans, to_spans
from pipelines.datasets.light import scan_light
from pipelines.datasets.manifest import NAMES, SETS, Manifest, rows_hash
from pipelines.datasets.partitions import SCHEMA, among
from pipelines.datasets.policy import Formation
from pipelines.datasets.reservoir import HELD_OUT


@dataclass(frozen=True)
class Inputs:
    """data/version.json: with the strategy and the reservoir, all that a dataset hangs on."""

    id: str  # v0007
    as_of: datetime
    seed: int
    parent: str  # "" for the first
    partitions: tuple[str, ...]  # of the reservoir, oldest first
    champion: str  # fingerprint of data/champion

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

    No text of the evaluation sets trains, whatever its case and spacing: such rows are left out and
    counted as `fenced`. Raises DatasetError when the data in the workspace is of another version.
    """
    inputs = read_inputs(workspace)
    _check_champion(workspace, inputs)
    found = scan_light(workspace, inputs.partitions)
    placed: pd.DataFrame = found.table.to_pandas()  # the index is a row's place
    usable = ~placed["row_id"].duplicated(keep="last")  # of two annotations, the later
    usable &= placed["timestamp"] <= inputs.as_of
    held_out = {name: np.flatnonzero(usable & (placed["set"] == name)) for name in HELD_OUT}
    able = np.flatnonzero(usable & (placed["set"] == "train"))
    fence = placed["text"].iloc[np.concatenate([*held_out.values()])].map(normal)
    open_rows = _in_time(placed, able[~among(placed["text"].iloc[able].map(normal), fence)])
    train = policy.form(open_rows.reset_index(drop=True), inputs.as_of, inputs.seed)
    if train.empty:
        raise DatasetError(
            f"version {inputs.id} would have nothing to train on",
            where=str(workspace.reservoir),
            got=f"{len(able)} training rows, {len(able) - len(open_rows)} of them fenced off",
            expected=f"at least one that policy `{policy.policy}` keeps",
            do="choose a wider datasets policy in params.yaml",
        )
    sets = np.zeros(len(placed), np.uint8)
    sets[open_rows.index[among(open_rows["row_id"], train["row_id"])]] = 1 + SETS.index("train")
    for name, places in held_out.items():
        sets[places] = 1 + SETS.index(name)
    manifest = Manifest(inputs.partitions, found.counts, sets)
    manifest.write(workspace.dataset / MANIFEST)
    numbers = {**summary(manifest, placed), "fenced": len(able) - len(open_rows)}
    made = {"policy": policy.policy, **numbers, "schema_hash": schema_hash()}
    write_text(workspace.metrics / "datasets.json", json.dumps(made, indent=2) + "\n")
    return made


def _in_time(placed: pd.DataFrame, places: Array) -> pd.DataFrame:
    """The rows of these places in time order, each taken once."""
    keys = placed[["timestamp", "row_id"]].iloc[places]
    return placed.iloc[keys.sort_values(["timestamp", "row_id"]).index]


def summary(manifest: Manifest, placed: pd.DataFrame) -> dict[str, Any]:
    """What a manifest says of rows (row_id, label, in the order of their places): counts and a hash."""
    chosen = manifest.sets > 0
    sets = manifest.sets[chosen]
    rows = placed[chosen]
    return {
        "rows": {name: int((sets == 1 + i).sum()) for i, name in enumerate(SETS)},
        "labels": int(rows["label"][sets == 1 + SETS.index("train")].nunique()),
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
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_text(text, encoding="utf-8")
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
