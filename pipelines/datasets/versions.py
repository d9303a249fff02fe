"""Dataset versions: one tagged commit each, from which the whole version can be made again."""

from __future__ import annotations

import difflib
import io
import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import yaml
from pydantic import TypeAdapter

from core.errors import DatasetError
from core.records import DatasetVersion, utc
from core.workspace import Workspace
from pipelines.datasets import Datasets
from pipelines.datasets.contents import Contents, contents
from pipelines.datasets.diff import Difference, compare
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.form import Inputs, fingerprint, form_dataset, write_text
from pipelines.datasets.policy import Formation
from pipelines.datasets.reservoir import add_partition

FOLDERS = ("data/reservoir", "data/champion")  # with a .dvc file of their own
STAGE = "datasets"
POINTERS = (*(f"{f}.dvc" for f in FOLDERS), "data/version.json", "dvc.lock", "metrics/datasets.json")
SHARED = ("params.yaml", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", "data/.gitignore")
RECORD = ("data/version.json", "metrics/datasets.json", "dvc.lock")


@dataclass(frozen=True)
class Plan:
    """What a version is asked to be."""

    id: str  # v0007
    as_of: datetime  # rows of later requests stay out
    seed: int
    parent: str  # "" for the first


def make_version(
    workspace: Workspace,
    rows: pd.DataFrame | None,
    plan: Plan,
    policy: Formation,
    champion: Path | None,
) -> DatasetVersion:
    """Add `rows` to the reservoir, form the dataset, and tag all of it as `dataset/<id>`.

    `champion` is a folder of model files, None before there is one. The tag comes last and the data is
    at the remote before it: a version that exists is whole. Killed anywhere, run again with the same
    arguments, it ends the same; a version that exists is returned as it is.
    """
    repository = Repository(workspace.root)
    with repository.exclusive():
        if plan.id in repository.tags():
            return version(workspace.root, plan.id)
        _check(repository, workspace, policy)
        partitions = _partitions(repository, plan.parent)
        unfinished = workspace.reservoir / f"{plan.id}.parquet"
        unfinished.unlink(missing_ok=True)  # of a run that was killed: in no version yet
        workspace.reservoir.mkdir(parents=True, exist_ok=True)
        if rows is not None and len(rows):
            add_partition(workspace.reservoir, plan.id, rows)
            partitions += (plan.id,)
        _place(champion, workspace.champion)
        inputs = Inputs(
            plan.id,
            utc(plan.as_of),
            plan.seed,
            plan.parent,
            partitions,
            fingerprint(workspace.champion),
        )
        write_text(workspace.version_file, inputs.to_json())
        form_dataset(workspace, policy)
        repository.track(FOLDERS, STAGE)
        repository.push(FOLDERS, STAGE)
        message = f"Dataset {plan.id}"
        commit = repository.commit([*SHARED, *POINTERS], message, inputs.as_of)
        repository.tag(plan.id, commit)
    return version(workspace.root, plan.id)


def list_versions(root: Path) -> list[DatasetVersion]:
    """Every version of the workspace, oldest first."""
    repository = Repository(root)
    tags = repository.tags()
    texts = repository.read_many([f"{c}:{p}" for c in tags.values() for p in RECORD])
    n = len(RECORD)
    return [
        _version(root, name, commit, texts[i * n : (i + 1) * n])
        for i, (name, commit) in enumerate(tags.items())
    ]


def version(root: Path, id: str) -> DatasetVersion:
    """The record of one version."""
    repository = Repository(root)
    commit = find(repository, id)
    return _version(root, id, commit, repository.read(commit, RECORD))


def show(root: Path, id: str) -> Contents:
    """One version and its rows by label. The folder is left alone."""
    return contents(version(root, id), rows_of(root, id))


def diff(root: Path, before: str, after: str) -> Difference:
    """What changed from one version to another. The folder is left alone."""
    return compare(
        version(root, before), version(root, after), rows_of(root, before), rows_of(root, after)
    )


def rows_of(root: Path, id: str) -> pd.DataFrame:
    """The rows of a version, training and evaluation, as in the reservoir. The folder is left alone."""
    repository = Repository(root)
    commit = find(repository, id)
    files = repository.read_data(commit, [f"data/dataset/{n}.parquet" for n in ("train", "eval")])
    return pd.concat([pd.read_parquet(io.BytesIO(f)) for f in files], ignore_index=True)


def checkout(root: Path, id: str) -> DatasetVersion:
    """Bring the data of a version into the folder; the branch and params.yaml stay as they are."""
    workspace = Workspace(root.resolve())
    repository = Repository(root)
    with repository.exclusive():
        commit = find(repository, id)
        _check_saved(repository)
        repository.restore(commit, POINTERS)
        repository.bring(FOLDERS, STAGE)
    return version(workspace.root, id)


def find(repository: Repository, id: str) -> str:
    """The commit of a version."""
    tags = repository.tags()
    if id in tags:
        return tags[id]
    near = difflib.get_close_matches(id, tags, n=1)
    known = f"one of {', '.join(list(tags)[:1])} .. {', '.join(list(tags)[-1:])}" if tags else ""
    raise DatasetError(
        f"there is no dataset version {id}",
        where=str(repository.root),
        expected=(f"{near[0]}, or " if near else "") + known if tags else "none was made yet",
        do="everloop data list",
    )


def _check(repository: Repository, workspace: Workspace, policy: Formation) -> None:
    """A version made on no branch is soon lost; one made by another strategy than the file's cannot
    be made again."""
    if not repository.branch():
        raise DatasetError(
            "a dataset version is made on a branch",
            where=str(repository.root),
            got="a detached HEAD",
            do="git checkout main && dvc checkout",
        )
    section = yaml.safe_load(workspace.params.read_text(encoding="utf-8"))["datasets"]
    written: Formation = TypeAdapter(Datasets).validate_python(section)
    if written != policy:
        raise DatasetError(
            "the datasets policy is not the one in params.yaml",
            where=str(workspace.params),
            got=repr(policy),
            expected=repr(written),
            do="run again with the strategy of the file",
        )


def _partitions(repository: Repository, parent: str) -> tuple[str, ...]:
    """The partitions of the parent version, all of them in the folder."""
    if not parent:
        return ()
    path = f"dataset/{parent}:data/version.json"
    (text,) = repository.read(find(repository, parent), ["data/version.json"])
    partitions = Inputs.from_json(text, path).partitions
    folder = repository.root / "data" / "reservoir"
    missing = [p for p in partitions if not (folder / f"{p}.parquet").exists()]
    if missing:
        raise DatasetError(
            "the folder holds the data of another version",
            where=str(folder),
            got=f"no partition {', '.join(missing)}",
            expected=f"everything of {parent}",
            do=f"everloop data checkout {parent}",
        )
    return partitions


def _place(champion: Path | None, folder: Path) -> None:
    """Make `folder` a copy of the champion's files."""
    if champion is not None and not champion.is_dir():
        raise DatasetError("the champion is not there", where=str(champion), expected="a folder")
    if champion is not None and folder.is_dir() and fingerprint(champion) == fingerprint(folder):
        return
    half = folder.with_name(".champion.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    if champion is not None:
        shutil.copytree(champion, half, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(half, folder)


def _check_saved(repository: Repository) -> None:
    """Nothing in data/ that only the folder has."""
    pointers = [p for p in POINTERS if p.startswith("data/")]
    tags = repository.tags().values()
    lost = repository.unsaved([*FOLDERS, "data/dataset"])
    for path in repository.changed(pointers):
        file = repository.root / path
        known = repository.read_many([f"{commit}:{path}" for commit in tags])
        if file.exists() and file.read_text(encoding="utf-8") not in known:
            lost.append(path)
    if lost:
        raise DatasetError(
            "data/ holds something that is in no version",
            where=str(repository.root),
            got=", ".join(lost[:5]),
            do="move it away, or drop it: git checkout -- data && dvc checkout --force",
        )


def _version(root: Path, id: str, commit: str, texts: list[str]) -> DatasetVersion:
    """The record of a tagged commit, from its three RECORD files."""
    where = f"dataset/{id} in {root}"
    if not all(texts):
        lacking = [p for p, t in zip(RECORD, texts, strict=True) if not t]
        raise DatasetError(
            "a tag is not a dataset version", where=where, got=f"no {', no '.join(lacking)}"
        )
    inputs, found = Inputs.from_json(texts[0], where), json.loads(texts[1])
    outs = yaml.safe_load(texts[2])["stages"][STAGE]["outs"]
    return DatasetVersion(
        id=id,
        as_of=inputs.as_of,
        policy=found["policy"],
        seed=inputs.seed,
        parent=inputs.parent,
        revision=next(o["md5"] for o in outs if o["path"] == "data/dataset"),
        commit=commit,
        rows=found["rows"],
        labels=found["labels"],
        schema_hash=found["schema_hash"],
    )
