"""What changed between two dataset versions, row by row.

Only the manifests are compared whole; ids, targets and inputs are read of the rows that differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.arrays import Array
from core.records.versions import DatasetVersion
from core.rewrites import Rewrite
from pipelines.datasets.contents import StoredVersion, opened
from pipelines.datasets.history import version
from pipelines.datasets.layout import order
from pipelines.datasets.manifest import TRAIN, Manifest, set_names, through
from pipelines.datasets.partitions import LABEL, Locate

SHOWN = 10
COLUMNS = ("row_id", "set", "input", "target")


@dataclass(frozen=True)
class Difference:
    """From `before` to `after`. Rows: row_id, set, input, target; relabelled: target_before
    too;
    moved (to another set): set_before too. Shares: of the training rows, largest change first."""

    before: DatasetVersion
    after: DatasetVersion
    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame
    moved: pd.DataFrame
    labels: pd.DataFrame  # name, before, after
    segments: pd.DataFrame  # name (as channel=app), before, after

    def to_text(self) -> str:
        lines = [f"{self.before.id} -> {self.after.id}"]
        lines += [f"  {name:<14}{len(rows)}" for name, rows in self.parts()]
        lines += _shift("label", self.labels) + _shift("segment", self.segments)
        return "\n".join(lines)

    def parts(self) -> list[tuple[str, pd.DataFrame]]:
        parts = []
        for name, rows in (("added", self.added), ("removed", self.removed)):
            train = rows["set"] == "train"
            parts += [(f"{name} train", rows[train]), (f"{name} eval", rows[~train])]
        parts.append(("relabelled", self.relabelled))
        return parts + ([("moved", self.moved)] if len(self.moved) else [])


def diff(root: Path, before: str, after: str) -> Difference:
    """What changed from one version to another. The folder is left alone."""
    with opened(root, before, after) as (old, new):
        pair = _align(old, new)
        added, removed, relabelled, moved = _changed_rows(pair)
        labels, segments = _shares(pair)
    sides = (version(root, before), version(root, after))
    return Difference(*sides, added, removed, relabelled, moved, labels, segments)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two versions over the partitions that either reads: the set of each row in each, 0 for none."""

    both: Manifest  # .partitions: their oids; .sets: of the later version
    old: Array
    locate: Locate
    rewrites: tuple[Sequence[Rewrite], Sequence[Rewrite]]  # that either reads its targets through

    @property
    def new(self) -> Array:
        return self.both.sets


def _align(old: StoredVersion, new: StoredVersion) -> _Pair:
    """Partitions are taken for the same by their bytes: two branches may use one name for two."""
    found: dict[str, tuple[str, int]] = {}  # oid -> its partition's name, rows
    for held in (old, new):
        known = zip(held.manifest.partitions, held.manifest.counts, strict=True)
        found |= {held.oid(name): (name, int(n)) for name, n in known}
    oids = sorted(found, key=lambda oid: (order(found[oid][0]), oid))
    counts = np.array([found[oid][1] for oid in oids], np.int64)
    before, after = (_spread(held, oids, counts) for held in (old, new))
    # names are never used again, so the longer list of renamings is the later one's, and tells of both
    renamed = max((old.manifest.renamed, new.manifest.renamed), key=len)
    rewrites = (old.manifest.rewrites, new.manifest.rewrites)
    return _Pair(Manifest(tuple(oids), counts, after, renamed), before, new.path, rewrites)


def _spread(held: StoredVersion, oids: Sequence[str], counts: Array) -> Array:
    """The sets of a version at their places among the rows of more partitions."""
    held.bring()
    mine = np.repeat(np.isin(oids, [held.oid(p) for p in held.manifest.partitions]), counts)
    sets = np.zeros(len(mine), np.uint8)
    sets[mine] = held.manifest.sets
    return sets


def _changed_rows(pair: _Pair) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows added, removed, relabelled, moved."""
    changed = pair.old != pair.new
    before, after = pair.rewrites
    if before != after:  # any row may say something else by now
        changed = (pair.old > 0) | (pair.new > 0)
    rows = pair.both.read(pair.locate, changed, ["row_id", "target", "input", "timestamp"]).to_pandas()
    rows["target"] = pair.both.called(rows["target"])
    rows["old"], rows["new"] = pair.old[changed], pair.new[changed]
    gone, come = rows[rows["old"] > 0], rows[rows["new"] > 0]
    gone = gone.assign(set=set_names(gone["old"]), target=through(before, gone))
    come = come.assign(set=set_names(come["new"]), target=through(after, come))
    both = come.merge(gone[["row_id", "target", "set"]], on="row_id", suffixes=("", "_before"))
    return (
        _shown(come, ~come["row_id"].isin(gone["row_id"])),
        _shown(gone, ~gone["row_id"].isin(come["row_id"])),
        _shown(both, both["target"] != both["target_before"], "target_before"),
        _shown(both, both["set"] != both["set_before"], "set_before"),
    )


def _shown(rows: pd.DataFrame, chosen: pd.Series[bool], *more: str) -> pd.DataFrame:
    return rows.loc[chosen, [*COLUMNS, *more]].reset_index(drop=True)


def _shares(pair: _Pair) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shares of labels and of segments in the training rows of both."""
    old, new = pair.old == TRAIN, pair.new == TRAIN
    either = old | new
    rows = pair.both.read(pair.locate, either, ["target", "kind", "segments"]).to_pandas()
    sides = (old[either], new[either])
    called = pair.both.called(rows["target"])
    labels = _counted(called.where(rows["kind"] == LABEL, rows["kind"]), sides)
    segments: dict[str, Array] = {}
    for text, counts in _counted(rows["segments"].fillna(""), sides).items():
        for key, value in json.loads(text or "{}").items():
            name = f"{key}={value}"
            segments[name] = segments.get(name, 0) + counts
    totals = np.array([max(side.sum(), 1) for side in sides])
    return _frame(labels, totals), _frame(segments, totals)


def _counted(column: pd.Series[str], sides: tuple[Array, Array]) -> dict[str, Array]:
    """Value -> (rows of the old side, rows of the new side)."""
    codes, names = pd.factorize(column)
    found = np.stack([np.bincount(codes[side], minlength=len(names)) for side in sides], axis=1)
    return dict(zip(names, found, strict=True))


def _frame(counts: dict[str, Array], totals: Array) -> pd.DataFrame:
    shares = np.array(list(counts.values())).reshape(-1, 2) / totals
    frame = pd.DataFrame({"name": list(counts), "before": shares[:, 0], "after": shares[:, 1]})
    frame["shift"] = -(frame["after"] - frame["before"]).abs()
    return frame.sort_values(["shift", "name"], ignore_index=True)[["name", "before", "after"]]


def _shift(what: str, shares: pd.DataFrame) -> list[str]:
    moved = shares[shares["before"] != shares["after"]]
    if moved.empty:
        return []
    lines = [f"  share of {what} in training ({len(moved)} changed)"]
    lines += [
        f"    {name:<32}{before:>8.2%} -> {after:>7.2%}"
        for name, before, after in moved.head(SHOWN).itertuples(index=False)
    ]
    return lines + ([f"    {len(moved) - SHOWN} more"] if len(moved) > SHOWN else [])
