"""The `datasets` stage: reservoir + data/version.json -> data/dataset, the same bytes every time.

data/version.json     what a version is made from (Inputs)
data/dataset/         train.parquet, eval.parquet (sets eval and audit), columns as in the reservoir
metrics/datasets.json what came of it: rows, labels, rows the fence kept out
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import DatasetError
from core.records import utc
from core.texts import normal
from core.workspace import Workspace
from pipelines.datasets.policy import Formation
from pipelines.datasets.reservoir import HELD_OUT, SCHEMA, read, to_table, write


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
        return json.dumps({**asdict(self), "as_of": self.as_of.isoformat()}, indent=2) + "\n"

    @staticmethod
    def from_json(text: str, where: str) -> Inputs:
        try:
            raw = json.loads(text)
            times = {"as_of": utc(datetime.fromisoformat(raw["as_of"]))}
            return Inputs(**{**raw, **times, "partitions": tuple(raw["partitions"])})
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
    rows = read(workspace.reservoir, partitions=inputs.partitions)
    rows = rows[rows["timestamp"] <= inputs.as_of]
    held_out = rows[rows["set"].isin(HELD_OUT)]
    able = rows[rows["set"] == "train"]
    open_rows = able[~able["text"].map(normal).isin(set(held_out["text"].map(normal)))]
    train = policy.form(open_rows.reset_index(drop=True), inputs.as_of, inputs.seed)
    if train.empty:
        raise DatasetError(
            f"version {inputs.id} would have nothing to train on",
            where=str(workspace.reservoir),
            got=f"{len(able)} training rows, {len(able) - len(open_rows)} of them fenced off",
            expected=f"at least one that policy `{policy.policy}` keeps",
            do="choose a wider datasets policy in params.yaml",
        )
    write(workspace.dataset / "train.parquet", to_table(train, workspace.dataset))
    write(workspace.dataset / "eval.parquet", to_table(held_out, workspace.dataset))
    found = {
        "policy": policy.policy,
        "rows": {"train": len(train), **{s: int((held_out["set"] == s).sum()) for s in HELD_OUT}},
        "fenced": len(able) - len(open_rows),
        "labels": int(train["label"].nunique()),
        "schema_hash": schema_hash(),
    }
    write_text(workspace.metrics / "datasets.json", json.dumps(found, indent=2) + "\n")
    return found


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
