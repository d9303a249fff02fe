"""What is in a dataset version."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.records import DatasetVersion


@dataclass(frozen=True)
class Contents:
    """A version and its rows by label: one row a label, one column a set (train, eval, audit)."""

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
            "rows": ", ".join(f"{n} {name}" for name, n in v.rows.items()),
        }
        width = max((len(x) for x in self.counts.index), default=0) + 2
        lines = [v.id, *(f"  {name:<10}{fact}" for name, fact in facts.items())]
        lines.append(f"  {'label':<{width}}" + "".join(f"{name:>8}" for name in self.counts))
        for label, row in self.counts.iterrows():
            lines.append(f"  {label:<{width}}" + "".join(f"{n:>8}" for n in row))
        return "\n".join(lines)


def contents(version: DatasetVersion, rows: pd.DataFrame) -> Contents:
    counts = pd.crosstab(rows["label"], rows["set"]).reindex(columns=list(version.rows), fill_value=0)
    return Contents(version, counts)
