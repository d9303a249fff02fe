"""What changed between two dataset versions, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.records import DatasetVersion

SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """From `before` to `after`. Rows: row_id, set, text, label; relabelled: label_before too."""

    before: DatasetVersion
    after: DatasetVersion
    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame
    shares: pd.DataFrame  # label; share of the training rows before, after; largest change first

    def to_text(self) -> str:
        lines = [f"{self.before.id} -> {self.after.id}"]
        lines += [f"  {name:<14}{len(rows)}" for name, rows in self._parts()]
        moved = self.shares[self.shares["before"] != self.shares["after"]]
        lines += [f"  share of label in training ({len(moved)} changed)"] if len(moved) else []
        lines += [
            f"    {label:<32}{before:>8.2%} -> {after:>7.2%}"
            for label, before, after in moved.head(SHOWN).itertuples(index=False)
        ]
        lines += [f"    {len(moved) - SHOWN} more"] if len(moved) > SHOWN else []
        return "\n".join(lines)

    def _parts(self) -> list[tuple[str, pd.DataFrame]]:
        parts = []
        for name, rows in (("added", self.added), ("removed", self.removed)):
            train = rows["set"] == "train"
            parts += [(f"{name} train", rows[train]), (f"{name} eval", rows[~train])]
        return [*parts, ("relabelled", self.relabelled)]


def compare(
    before: DatasetVersion, after: DatasetVersion, old: pd.DataFrame, new: pd.DataFrame
) -> Difference:
    """`old` and `new` are the rows of the two versions, training and evaluation."""
    seen = ["row_id", "set", "text", "label"]
    both = new[seen].merge(old[["row_id", "label"]], on="row_id", suffixes=("", "_before"))
    return Difference(
        before,
        after,
        added=new.loc[~new["row_id"].isin(old["row_id"]), seen].reset_index(drop=True),
        removed=old.loc[~old["row_id"].isin(new["row_id"]), seen].reset_index(drop=True),
        relabelled=both[both["label"] != both["label_before"]].reset_index(drop=True),
        shares=_shares(old, new),
    )


def _shares(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    counts = {
        name: rows.loc[rows["set"] == "train", "label"].value_counts(normalize=True)
        for name, rows in (("before", old), ("after", new))
    }
    shares = pd.DataFrame(counts).fillna(0.0).rename_axis("label").reset_index()
    shift = (shares["after"] - shares["before"]).abs()
    return shares.assign(shift=-shift).sort_values(["shift", "label"], ignore_index=True)[
        ["label", "before", "after"]
    ]
