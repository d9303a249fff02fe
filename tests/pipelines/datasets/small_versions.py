"""Two small dataset versions: v0001 of five rows, v0002 with new, relabelled and audit rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from core.records.versions import DatasetVersion
from core.workspace import Workspace
from pipelines.datasets.all import AllFormation
from pipelines.datasets.reservoir import first_rows
from pipelines.datasets.versions import Plan, make_version

START = datetime(2026, 1, 5, tzinfo=UTC)
ALL = AllFormation(policy="all")


def rows(texts: list[str], label: str = "card", kind: str = "train", day: float = 0) -> pd.DataFrame:
    times = [START + timedelta(days=day, minutes=i) for i in range(len(texts))]
    table = pd.DataFrame({"text": texts, "label": label, "timestamp": times})
    return first_rows(table, np.ones((len(texts), 4)), kind, "tiny", START)  # type: ignore[arg-type]  # a str


def first() -> pd.DataFrame:
    train = [rows(["my card", "  WHERE is it? ", "lost card"]), rows(["top up"], "top_up")]
    return pd.concat([*train, rows(["where is it?"], kind="eval")], ignore_index=True)


def second() -> pd.DataFrame:
    audit = rows(["an audit text"], kind="eval", day=1).assign(set="audit")
    relabelled = first().iloc[[2]].assign(target="lost_card")
    return pd.concat([rows(["fee?", "An  audit TEXT"], "fee", day=1), relabelled, audit])


def plan(n: int) -> Plan:
    return Plan(f"v{n:04d}", START + timedelta(days=n), seed=n, parent=f"v{n - 1:04d}" if n > 1 else "")


def champion(folder: Path, weights: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "head.json").write_text(weights)
    return folder


def second_version(workspace: Workspace) -> DatasetVersion:
    model = champion(workspace.state / "model", "one")
    return make_version(workspace, second(), plan(2), ALL, model)
