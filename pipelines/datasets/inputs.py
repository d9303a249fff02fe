"""What a dataset version is made from: data/version.json, and the champion beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from core.errors import DatasetError
from core.label_set import LabelSet
from core.rewrites import Rewrite, as_plain, from_plain
from core.times import utc
from core.workspace import Workspace
from pipelines.datasets.layout import from_spans, to_spans


@dataclass(frozen=True)
class Inputs:
    """data/version.json: with the strategy and the reservoir, all that a dataset hangs on."""

    id: str  # v0007
    as_of: datetime
    seed: int
    parent: str  # "" for the first
    partitions: tuple[str, ...]  # of the reservoir, oldest first
    champion: str  # fingerprint of data/champion
    label_set: str = ""  # LabelSet.fingerprint: which operations of data/labels.json count; "" for none
    rewrites: tuple[Rewrite, ...] = ()  # that targets are read through

    def to_json(self) -> str:
        plain = {"as_of": self.as_of.isoformat(), "partitions": to_spans(self.partitions)}
        said = {**asdict(self), **plain, "rewrites": as_plain(self.rewrites)}
        return json.dumps({k: v for k, v in said.items() if k != "rewrites" or v}, indent=2) + "\n"

    @staticmethod
    def from_json(text: str, where: str) -> Inputs:
        try:
            raw = json.loads(text)
            read = {
                "as_of": utc(datetime.fromisoformat(raw["as_of"])),
                "partitions": from_spans(raw["partitions"]),
                "rewrites": from_plain(raw.get("rewrites", [])),
            }
            return Inputs(**{**raw, **read})
        except (ValueError, TypeError, KeyError) as fault:
            raise DatasetError(
                "data/version.json does not describe a dataset version",
                where=where,
                got=str(fault),
                expected="id, as_of, seed, parent, partitions, champion",
                do="git checkout -- data/version.json",
            ) from None


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


def label_set(workspace: Workspace, inputs: Inputs) -> LabelSet:
    """The label set that a version was made under, whatever was decided since."""
    return LabelSet.load(workspace.root).at(inputs.label_set)


def fingerprint(folder: Path) -> str:
    """A hash of the files below a folder, their names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:32]


def check_champion(workspace: Workspace, inputs: Inputs) -> None:
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
