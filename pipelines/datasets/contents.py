"""What is in a dataset version: its rows, in the folder, from the cache, or as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.arrays import Frame
from core.errors import DataError
from core.files import whole_file
from core.records.versions import DatasetVersion
from core.tasks import Generation
from core.workspace import Workspace
from core.writers import check_writable, write_table
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.exporters.exporter import Exporter, written
from pipelines.datasets.history import find, folders_of, version
from pipelines.datasets.layout import CHAMPION, DATASET, MANIFEST, RESERVOIR, block
from pipelines.datasets.manifest import SETS, Manifest
from pipelines.datasets.objects import Objects, files_of
from pipelines.datasets.opinions import in_words, of_files
from pipelines.datasets.opinions import place_of as feedback_of
from pipelines.datasets.partitions import LABEL, WITHOUT_EMBEDDING, Locate, in_folder

IN_FILES = {"input": "text", "target": "label"}  # as in the files that people bring; all are labels
EXPORTED = ("set", *(n for n in WITHOUT_EMBEDDING if n != "set"))
TRAIN, EVALUATION = ("train",), ("eval", "audit")
TESTED = (*EVALUATION, "recent", "regression")  # what a candidate is tested on


@dataclass(frozen=True)
class Contents:
    """A version and its rows by label: one row a label, one column a set."""

    version: DatasetVersion
    counts: Frame
    feedback: str = ""  # pairs and ratings that came with its partitions, in words

    def to_text(self) -> str:
        v = self.version
        facts = {
            "as of": f"{v.as_of:%Y-%m-%d %H:%M} UTC",
            "policy": v.policy,
            "seed": v.seed,
            "parent": v.parent or "none",
            "revision": v.revision,
            "commit": f"{v.commit[:12]} (tag dataset/{v.id})",
            "label set": f"version {v.label_set}",
            "schema": v.schema_hash,
            "rows": ", ".join(f"{n} {name}" for name, n in v.rows.items()),
        }
        if self.feedback:
            facts["feedback"] = self.feedback
        if v.left_out:
            facts["left out"] = ", ".join(f"{n} {why}" for why, n in v.left_out.items())
        width = max((len(x) for x in self.counts.index), default=0) + 2
        lines = [v.id, *(f"  {name:<10}{fact}" for name, fact in facts.items())]
        lines.append(f"  {'label':<{width}}" + "".join(f"{name:>8}" for name in self.counts))
        for label, row in self.counts.iterrows():
            lines.append(f"  {label:<{width}}" + "".join(f"{n:>8}" for n in row))
        return "\n".join(lines)


def show(root: Path, id: str) -> Contents:
    """One version and its rows by label; what is no label by its kind. The folder is left alone."""
    import pandas as pd

    found = version(root, id)
    with opened(root, id) as (held,):
        rows = held.manifest.rows(held.bring(), SETS, ["target", "kind", "set"])
        said = in_words(held.bring_feedback())
    names = rows["target"].where(rows["kind"] == LABEL, rows["kind"])
    counts = pd.crosstab(names, rows["set"]).reindex(columns=list(found.rows), fill_value=0)
    return Contents(found, counts, said)


def rows_here(
    workspace: Workspace, sets: Sequence[str] = TRAIN, columns: Sequence[str] | None = None
) -> Frame:
    """The rows of the version whose data is in the folder, as in the reservoir, in time order."""
    manifest = Manifest.load(workspace.dataset / MANIFEST)
    return manifest.rows(in_folder(workspace.reservoir), sets, columns)


def newest_rows(workspace: Workspace, sets: Sequence[str], columns: Sequence[str]) -> Frame:
    """The same, of a workspace that may not have a version yet."""
    import pandas as pd

    if (workspace.dataset / MANIFEST).is_file():
        return rows_here(workspace, sets, columns)
    return pd.DataFrame({c: [] for c in columns}, dtype=object)


class StoredVersion:
    """The data of one version, as objects: nothing of the folder is touched."""

    def __init__(self, objects: Objects, outs: Mapping[str, str]) -> None:
        self._objects = objects
        self._files = files_of(objects, {f: o for f, o in outs.items() if f != CHAMPION})
        listed = self._files[f"{DATASET}/{MANIFEST}"]
        objects.bring([listed])
        self.manifest = Manifest.load(objects.path(listed))

    def oid(self, partition: str) -> str:
        return self._files[f"{RESERVOIR}/{block(partition)}/{partition}.parquet"]

    def bring(self) -> Locate:
        """Fetch what partitions the cache lacks; where they are."""
        self._objects.bring(map(self.oid, self.manifest.partitions))
        return lambda name: self._objects.path(self.oid(name))

    def bring_feedback(self) -> dict[str, Path]:
        """Fetch what users said, as far as the cache lacks it: partition -> its file."""
        named = {p: feedback_of(Path(RESERVOIR), p).as_posix() for p in self.manifest.partitions}
        oids = {p: self._files[file] for p, file in named.items() if file in self._files}
        self._objects.bring(oids.values())
        return {p: self._objects.path(oid) for p, oid in oids.items()}

    def path(self, oid: str) -> Path:
        return self._objects.path(oid)


@contextmanager
def opened(root: Path, *ids: str) -> Iterator[list[StoredVersion]]:
    """Versions to read from."""
    repository = Repository(root)
    commits = {id: find(repository, id) for id in ids}
    outs = folders_of(repository, commits)
    with repository.objects() as objects:
        yield [StoredVersion(objects, outs[id]) for id in ids]


def rows_of(
    root: Path, id: str, sets: Sequence[str] = SETS, columns: Sequence[str] | None = None
) -> Frame:
    """The rows of a version, training and evaluation, as in the reservoir. The folder is left alone."""
    with opened(root, id) as (held,):
        return held.manifest.rows(held.bring(), sets, columns)


def pairs_of(root: Path, id: str) -> Frame:
    """The pairs of a version, as those that train: see opinions.py. The folder is left alone."""
    task = Generation(policy="generation")
    with opened(root, id) as (held,):
        tested = held.manifest.rows(held.bring(), TESTED, ["input", "encoder", "embedding"])
        files, rewrites = held.bring_feedback(), held.manifest.rewrites
        return of_files(files, rewrites, tested, lambda x: task.render(task.asked(x))).pairs


def export(
    root: Path, id: str, out: Path, sets: Sequence[str] = SETS, form: Exporter | None = None
) -> int:
    """Write the rows of a version in time order, or its pairs, the whole file or nothing; how many they
    were.

    Raises DataError for a suffix that nobody can write, and for a set of pairs.
    """
    if form is None:
        check_writable(out)
    elif form.takes == "pairs":
        if tuple(sets) != SETS:
            raise DataError(
                "pairs are of no set", where="--set", got=", ".join(sets), do="leave it out"
            )
        pairs = pairs_of(root, id)
        with whole_file(out) as half:
            written(form, pairs, half)
        return len(pairs)
    rows = rows_of(root, id, sets, EXPORTED)
    rows["timestamp"] = [t.isoformat() for t in rows["timestamp"]]
    rows["propensity"] = rows["propensity"].astype(object).where(rows["propensity"].notna(), None)

    if form is not None:
        with whole_file(out) as half:
            written(form, rows, half)
        return len(rows)

    rows = rows.drop(columns="kind").rename(columns=IN_FILES)
    names = [str(name) for name in rows]

    def each() -> Iterator[dict[str, Any]]:
        return (dict(zip(names, values, strict=True)) for values in rows.itertuples(index=False))

    kinds = {name: float if name == "propensity" else str for name in names}
    with whole_file(out) as half:
        return write_table(half, out.suffix, kinds, each, out.with_suffix(""))
