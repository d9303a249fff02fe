"""What is in a dataset version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.records import DatasetVersion
from core.workspace import Workspace
from pipelines.datasets.history import rows_of, version
from pipelines.datasets.layout import MANIFEST
from pipelines.datasets.manifest import Manifest
from pipelines.datasets.partitions import in_folder

TRAIN, EVALUATION = ("train",), ("eval", "audit")
TESTED = (*EVALUATION, "recent", "regression")  # what a candidate is tested on


@dataclass(frozen=True)
class Contents:
    """A version and its rows by label: one row a label, one column a set."""

    version: DatasetVersion
    counts: pd.DataFrame

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
        if v.left_out:
            facts["left out"] = ", ".join(f"{n} {why}" for why, n in v.left_out.items())
        width = max((len(x) for x in self.counts.index), default=0) + 2
        lines = [v.id, *(f"  {name:<10}{fact}" for name, fact in facts.items())]
        lines.append(f"  {'label':<{width}}" + "".join(f"{name:>8}" for name in self.counts))
        for label, row in self.counts.iterrows():
            lines.append(f"  {label:<{width}}" + "".join(f"{n:>8}" for n in row))
        return "\n".join(lines)


def show(root: Path, id: str) -> Contents:
    """One version and its rows by label. The folder is left alone."""
    found = version(root, id)
    rows = rows_of(root, id, columns=["label", "set"])
    counts = pd.crosstab(rows["label"], rows["set"]).reindex(columns=list(found.rows), fill_value=0)
    return Contents(found, counts)


def rows_here(
    workspace: Workspace, sets: Sequence[str] = TRAIN, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of the version whose data is in the folder, as in the reservoir, in time order."""
    manifest = Manifest.load(workspace.dataset / MANIFEST)
    return manifest.rows(in_folder(workspace.reservoir), sets, columns)
