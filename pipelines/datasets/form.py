"""The `datasets` stage: reservoir + data/version.json -> data/dataset, the same bytes every time.

data/version.json     what a version is made from (Inputs)
data/dataset/         the manifest: which rows of the reservoir train and which evaluate
metrics/datasets.json what came of it: rows, labels, rows the fence kept out, a hash of the rows
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import DatasetError
from core.files import write_whole
from core.label_set import LabelSet
from core.records import Array, utc
from core.workspace import Workspace
from pipelines.datasets.fence import by_encoder, least
from pipelines.datasets.layout import MANIFEST, from_spans, to_spans
from pipelines.datasets.light import WORDS, Light, light
from pipelines.datasets.manifest import NAMES, SETS, TRAIN, Manifest, rows_hash
from pipelines.datasets.nearest import nearest
from pipelines.datasets.partitions import SCHEMA, among, of_one_width
from pipelines.datasets.policy import Formation

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
    found = light(workspace, inputs.partitions)
    placed = found.read(["row_id", "timestamp", "label", "set", "policy", "encoder", WORDS])
    called = _called(placed["label"], labels)
    counted = latest(placed["row_id"]) & _known(placed, inputs, found.counts)
    named = _true(called.is_valid())
    sets = np.where(counted & named, _sets(placed, inputs.as_of, policy.recent_days), 0)
    fenced = _fenced(workspace, found, placed, sets)
    able = sets == TRAIN
    kept = able & ~np.logical_or.reduce(list(fenced.values()))
    rows = placed.select(["row_id", "timestamp"]).append_column("label", called).filter(pa.array(kept))
    train = policy.form(rows.to_pandas(), inputs.as_of, inputs.seed)
    if train.empty:
        raise _nothing(workspace, inputs, policy, int(able.sum()), int(kept.sum()))
    codes = np.where(able, 0, sets).astype(np.uint8)
    codes[np.flatnonzero(kept)[train.index]] = TRAIN
    names = {x for part in placed["label"].chunks for x in part.dictionary.to_pylist()}
    manifest = Manifest(inputs.partitions, found.counts, codes, labels.renamed | labels.odd(names))
    manifest.write(workspace.dataset / MANIFEST)
    numbers = {
        **summary(manifest, placed),
        "fenced": int(able.sum() - kept.sum()),
        "fenced_by": {name: int(rows.sum()) for name, rows in fenced.items()},
        "unlabelled": int((counted & ~named).sum()),
        "label_set": labels.version,
    }
    if unchosen := len(rows) - len(train):
        numbers["unchosen"] = unchosen  # by the policy
    made = {"policy": policy.policy, **numbers, "schema_hash": schema_hash()}
    write_whole(workspace.metrics / "datasets.json", json.dumps(made, indent=2) + "\n")
    return made


def latest(row_ids: pa.ChunkedArray) -> Array:
    """(n,) which rows are the last of their id: of two annotations, the later."""
    mixed = _mixed(row_ids.combine_chunks())
    ordered = np.sort(mixed)
    maybe = np.flatnonzero(among(mixed, ordered[1:][ordered[1:] == ordered[:-1]]))
    numbers = row_ids.take(maybe).combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.zeros(len(maybe), np.int64)
    last[numbers] = np.arange(len(maybe))
    found = np.ones(len(mixed), bool)
    found[maybe] = last[numbers] == np.arange(len(maybe))
    return found


def _mixed(row_ids: pa.StringArray) -> Array:
    """(n,) uint64, the same for the same id and hardly ever for two: ten times as fast to sort."""
    raw = of_one_width(row_ids)
    if raw is None or raw.shape[1] % 4:
        return np.asarray(row_ids.dictionary_encode().indices.to_numpy().astype(np.uint64))
    parts = raw.view(np.uint32).astype(np.uint64)
    return np.asarray(parts @ np.random.default_rng(0).integers(1, 2**63, parts.shape[1], np.uint64))


def _known(placed: pa.Table, inputs: Inputs, counts: Array) -> Array:
    """(n,) which rows there were at `as_of`. New ones of later requests wait for the next version; what
    evaluates, and what an earlier version took, was there whatever its clock said."""
    new = np.repeat(np.array(inputs.partitions) == inputs.id, counts)
    later = _true(pc.greater(placed["timestamp"], _time(inputs.as_of)))
    return ~(new & later & _is(placed["set"], "train"))


def _called(given: pa.ChunkedArray, labels: LabelSet) -> pa.ChunkedArray:
    """(n,) what labels (a dictionary) are called now; null where one is no more."""
    parts = [
        pa.array(map(labels.now, x.dictionary.to_pylist()), pa.string()).take(x.indices)
        for x in given.chunks
    ]
    return pa.chunked_array(parts, pa.string())


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


def _fenced(place: Workspace, found: Light, placed: pa.Table, sets: Array) -> dict[str, Array]:
    """Reason -> which rows (n,) that may train are kept out for it."""
    words, held = placed[WORDS].to_numpy(), np.flatnonzero(sets > TRAIN)
    same = (sets == TRAIN) & among(words, words[held])
    keys = placed.select(["timestamp", "row_id"]).take(held)
    order = pc.sort_indices(keys, [("timestamp", "ascending"), ("row_id", "ascending")])
    theirs = by_encoder(found.vectors(held[order.to_numpy()]))
    cosines = nearest(found, {name: rows for name, (_, rows) in theirs.items()}, place.state / "light")
    near = np.zeros(len(same), bool)
    for name, (_, rows) in theirs.items():
        near |= _is(placed["encoder"], name) & (cosines >= least(rows))
    near &= (sets == TRAIN) & ~same
    return {"same_words": same, "near_copy": near}


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


def label_set(workspace: Workspace, inputs: Inputs) -> LabelSet:
    """The label set that a version was made under, whatever was decided since."""
    return LabelSet.load(workspace.root).at(inputs.label_set)


def summary(manifest: Manifest, placed: pa.Table) -> dict[str, Any]:
    """What a manifest says of rows (row_id, label, in the order of their places): counts and a hash.

    The hash is of the labels as they were given; what they are called is the manifest's own.
    """
    chosen = manifest.sets > 0
    sets = manifest.sets[chosen]
    rows = placed.select(["row_id", "label"]).filter(pa.array(chosen))
    trained = pc.unique(rows["label"].filter(pa.array(sets == TRAIN)).cast(pa.string()))
    return {
        "rows": {
            name: int(n)
            for i, name in enumerate(SETS)
            if (n := (sets == 1 + i).sum()) or name in ALWAYS
        },
        "labels": int(manifest.called(trained.to_pandas()).nunique()),
        "rows_hash": rows_hash(rows["row_id"], NAMES.take(pa.array(sets)), rows["label"]),
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
