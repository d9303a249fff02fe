"""Dataset versions: one tagged commit each, from which the whole version can be made again."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import yaml
from pydantic import TypeAdapter

from core import rewrites
from core.collections import FOLDER as COLLECTIONS
from core.errors import DatasetError
from core.files import write_whole
from core.label_set import FILE, LabelSet
from core.progress import doing
from core.records.versions import DatasetVersion
from core.times import utc
from core.workspace import Workspace
from pipelines.datasets import Datasets, fence, opinions
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.expectations import Allowed, sound
from pipelines.datasets.form import form
from pipelines.datasets.formation import Formation
from pipelines.datasets.history import find, folders, version
from pipelines.datasets.inputs import Inputs, fingerprint
from pipelines.datasets.layout import (
    BLOCKS,
    CHAMPION,
    DATASET,
    FORGOTTEN,
    LOCK,
    MANIFEST,
    METRICS,
    RESERVOIR,
    STAGE,
    VERSION_FILE,
    block,
    blocks,
    parse,
    pointer,
)
from pipelines.datasets.objects import Objects
from pipelines.datasets.partitions import add_partition, in_folder
from pipelines.datasets.rows import read_rows

log = logging.getLogger(__name__)
POINTERS = (BLOCKS, pointer(CHAMPION), VERSION_FILE, LOCK, METRICS)
SHARED = (
    FILE,
    rewrites.FILE,
    COLLECTIONS,
    "params.yaml",
    "dvc.yaml",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    "data/.gitignore",
)


@dataclass(frozen=True)
class Plan:
    """What a version is asked to be."""

    id: str  # v0007
    as_of: datetime  # rows of later requests stay out
    seed: int
    parent: str  # "" for the first
    reason: str = ""  # why it is made; stands in the commit
    labels: tuple[str, ...] | None = None  # the only ones that new rows may have, where that is said
    fault: Callable[[str], str] = lambda _answer: ""  # why an answer that was written cannot be used


def make_version(
    workspace: Workspace,
    rows: pd.DataFrame | None,
    plan: Plan,
    policy: Formation,
    champion: Path | None,
    rewritten: Sequence[str] = (),
    said: pd.DataFrame | None = None,
) -> DatasetVersion:
    """Add `rows` to the reservoir, form the dataset, and tag all of it as `dataset/<id>`.

    `champion` is a folder of model files, None before there is one. `rewritten`: partitions of which
    rows were forgotten. `said`: pairs and ratings that come with new rows (opinions.py). The tag comes
    last and the data is at the remote before it: a version that exists is whole. New rows that fail an
    expectation are left out and written to quarantine/, as long as they are few. Killed anywhere and
    run again with the same arguments, it ends the same; a version that exists is returned as it is.
    """
    repository = Repository(workspace.root)
    with repository.exclusive():
        if repository.commit_of(plan.id):
            return version(workspace.root, plan.id)
        _check(repository, workspace, policy)
        _clear(workspace.state / "light")
        rows = _sound(workspace, rows, plan, policy)
        partitions = partitions_here(repository, plan.parent)
        grown = blocks([*rewritten, *([plan.id] if rows is not None and len(rows) else [])])
        reservoir = workspace.reservoir
        new = [in_folder(reservoir)(plan.id), opinions.place_of(reservoir, plan.id)]
        with _all_or_nothing(repository.root, [pointer(f) for f in (*grown, CHAMPION)], new):
            partitions = _add(workspace, plan, partitions, rows, said)
            _place(champion, workspace.champion)
            _form(workspace, plan, policy, partitions)
            doing(f"keeping {plan.id}: cache, remote, git")
            repository.track([*grown, CHAMPION], STAGE)
            _send(repository, plan.parent, partitions, grown)
            message = f"Dataset {plan.id}\n\n{plan.reason}".strip()
            commit = repository.commit([*SHARED, *POINTERS, FORGOTTEN], message, utc(plan.as_of))
        repository.tag(plan.id, commit)
    return version(workspace.root, plan.id)


def _clear(copies: Path) -> None:
    """Earlier versions of Everloop kept copies of the reservoir here."""
    if copies.is_dir():
        shutil.rmtree(copies)
        log.warning("removed %s: copies of the reservoir that nothing reads any more", copies)


def _sound(
    workspace: Workspace, rows: pd.DataFrame | None, plan: Plan, policy: Formation
) -> pd.DataFrame | None:
    if rows is None or not len(rows):
        return None
    page = workspace.quarantine / f"dataset-{plan.id}.csv"
    allowed = Allowed(_known(workspace, rows, plan), plan.fault)
    return sound(rows, allowed, policy.max_failed, page)


def _known(workspace: Workspace, rows: pd.DataFrame, plan: Plan) -> set[str] | None:
    """What rows may be labelled: as a plan declares it, by whatever name or form it was given."""
    if plan.labels is None:
        return None
    names = LabelSet.load(workspace.root).as_of(utc(plan.as_of))
    odd = {x for x, name in names.odd(rows["target"]).items() if name in plan.labels}
    return {*plan.labels, *names.renamed, *odd}


def checkout(root: Path, id: str) -> DatasetVersion:
    """Bring the data of a version into the folder; the branch and params.yaml stay as they are."""
    repository = Repository(root)
    with repository.exclusive():
        commit = find(repository, id)
        _check_saved(repository)
        repository.restore(commit, POINTERS)
        held = {p.stem for p in (repository.root / BLOCKS).glob("*.dvc")}
        repository.bring([f"{RESERVOIR}/{b}" for b in sorted(held)] + [CHAMPION], STAGE)
        for other in (repository.root / RESERVOIR).iterdir():
            if other.name not in held:  # of later versions, saved as everything is
                shutil.rmtree(other)
    return version(root, id)


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
    if busy := repository.busy():
        raise DatasetError(
            "a dataset version is a commit, and git is in the middle of something",
            where=str(repository.root),
            got=f"a {busy} that is not done",
            do=f"git {busy} --continue, or git {busy} --abort; then again",
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


@contextmanager
def _all_or_nothing(root: Path, pointers: Sequence[str], new: Sequence[Path]) -> Iterator[None]:
    """A version that cannot be made leaves no partition, and pointers and manifest as they were.

    (One that is killed leaves them half way; it is run again.)
    """
    paths = [root / p for p in (*pointers, VERSION_FILE, LOCK, METRICS, f"{DATASET}/{MANIFEST}")]
    before = [p.read_bytes() if p.exists() else None for p in paths]
    try:
        yield
    except DatasetError:
        for path in new:
            path.unlink(missing_ok=True)
        for path, content in zip(paths, before, strict=True):
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, content)
        raise


def _add(
    workspace: Workspace,
    plan: Plan,
    partitions: tuple[str, ...],
    rows: pd.DataFrame | None,
    said: pd.DataFrame | None,
) -> tuple[str, ...]:
    """Write the partition of this version; the names of all it reads."""
    path = in_folder(workspace.reservoir)(plan.id)
    for left in (path, opinions.place_of(workspace.reservoir, plan.id)):
        left.unlink(missing_ok=True)  # of a run that was killed: in no version yet
    strange = sorted({p.stem for p in path.parent.glob("*.parquet")} - set(partitions))
    if strange:
        raise DatasetError(
            "the folder holds the data of another version",
            where=str(path.parent),
            got=f"partition {', '.join(strange)}",
            expected=f"what {plan.parent or 'no version'} has",
            do=f"everloop data checkout {plan.parent}" if plan.parent else "move it away",
        )
    workspace.reservoir.mkdir(parents=True, exist_ok=True)
    if rows is None or not len(rows):
        return partitions
    add_partition(workspace.reservoir, plan.id, rows)
    if said is not None and len(said):
        opinions.add(workspace.reservoir, plan.id, said)
    return (*partitions, plan.id)


def _form(workspace: Workspace, plan: Plan, policy: Formation, partitions: tuple[str, ...]) -> None:
    """Write data/version.json and the dataset, and check that nothing trains that should not."""
    as_of = utc(plan.as_of)
    mark = LabelSet.load(workspace.root).as_of(as_of).fingerprint
    model = fingerprint(workspace.champion)
    now = rewrites.in_force(rewrites.load(workspace.root), as_of)
    inputs = Inputs(plan.id, as_of, plan.seed, plan.parent, partitions, model, mark, now)
    write_whole(workspace.version_file, inputs.to_json())
    locate = in_folder(workspace.reservoir)
    rows = read_rows(locate, partitions)
    form(workspace, policy, inputs, rows)
    fence.check(rows, workspace.dataset / MANIFEST, locate)


def _send(repository: Repository, parent: str, partitions: Sequence[str], grown: Sequence[str]) -> None:
    """Bring what is new to the remote, once it is sure that nothing old became something else."""
    held = folders(repository.root, partitions)
    with repository.objects() as objects:
        _check_kept(repository, objects, parent, {f: held[f] for f in grown})
        objects.send(set(held.values()))


def partitions_here(repository: Repository, parent: str) -> tuple[str, ...]:
    """The partitions of the parent version, all of them in the folder."""
    if not parent:
        return ()
    path = f"dataset/{parent}:{VERSION_FILE}"
    (text,) = repository.read(find(repository, parent), [VERSION_FILE])
    partitions = Inputs.from_json(text, path).partitions
    folder = repository.root / RESERVOIR
    here = {p.stem for b in {block(p) for p in partitions} for p in (folder / b).glob("*.parquet")}
    missing = [p for p in partitions if p not in here]
    if missing:
        raise DatasetError(
            "the folder holds the data of another version",
            where=str(folder),
            got=f"no partition {', '.join(missing[:3])}{' ...' if missing[3:] else ''}",
            expected=f"everything of {parent}",
            do=f"everloop data checkout {parent}",
        )
    return partitions


def _check_kept(
    repository: Repository, objects: Objects, parent: str, grown: Mapping[str, str]
) -> None:
    """The partitions that the parent has of a block are in it as they were."""
    commit = repository.commit_of(parent) if parent else ""
    texts = repository.read(commit, [pointer(f) for f in grown]) if commit else []
    for folder, text in zip(grown, texts, strict=False):
        if not text:
            continue  # the block is new
        before = parse(text)["outs"][0]["md5"]
        objects.bring([before])
        kept = objects.listing(grown[folder])
        changed = [name for name, oid in objects.listing(before).items() if kept.get(name) != oid]
        if changed:
            raise DatasetError(
                "a partition of the reservoir is not as it was written",
                where=str(repository.root / folder),
                got=", ".join(changed),
                expected=f"what {parent} has",
                do=f"rm {folder}/{changed[0]} && everloop data checkout {parent}",
            )


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
    tags = repository.tags().values()
    lost = repository.unsaved([RESERVOIR, CHAMPION, DATASET])
    for path in repository.changed([p for p in POINTERS if p.startswith("data/")]):
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
