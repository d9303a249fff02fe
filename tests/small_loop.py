"""A whole loop in seconds: a tiny random encoder, a few days of the sample stream, a busy strategy."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from core import params
from core.records.labels import Review
from core.tables import Columns, read_rows
from everloop.init import init
from everloop.replay import Replay
from everloop.sample import bundled
from flows.labels import known_labels
from flows.session import Session, open_session
from flows.strategy import Strategy
from pipelines.datasets.partitions import read
from tests import ROOT
from tests.core.models.tiny import save_tiny_encoder

TEMPLATE = ROOT / "everloop" / "templates" / "params.yaml"
BUSY: dict[str, dict[str, Any]] = {
    "curation": {"policy": "margin", "labels_per_day": 12, "audit_share": 0.25},
    "triggers": {"policy": "labels", "at_least": 8},
    "testing": {"max_drop": 1.0, "max_failed": 1.0},
    "rollout": {"policy": "shadow-canary", "shares": [0.5], "min_requests": 5, "min_agreement": 0.0,
                "max_confidence_drop": 1.0, "tolerance": 0.99},
}  # fmt: skip


def make_session(root: Path, **changes: dict[str, Any]) -> Session:
    """A workspace with its own tiny encoder, and a strategy that retrains every day."""
    encoder = save_tiny_encoder(root.parent / "tiny-encoder")
    place = init(root)
    written = {**yaml.safe_load(TEMPLATE.read_text()), **BUSY, **changes}
    written["model"] = {"encoder": encoder, "max_tokens": 32, **changes.get("model", {})}
    place.params.write_text(yaml.safe_dump(written))
    return open_session(root, params.load(place.params, Strategy))


def job(days: int = 3, each_day: int = 40, **options: Any) -> Replay:
    """The first rows of each of the first days of the sample, and its first model's rows."""
    folder = bundled()
    stream = read_rows(folder / "stream.csv", Columns(label="label", time="timestamp")).frame
    start = stream["timestamp"].min().normalize()
    day = (stream["timestamp"] - start) // timedelta(days=1)
    few = stream[day < days].groupby(day[day < days], group_keys=False).head(each_day)
    return Replay(
        few.reset_index(drop=True), rows_of("train.csv", 60), rows_of("eval.csv", 30), **options
    )


def rows_of(name: str, count: int) -> pd.DataFrame:
    frame = read_rows(bundled() / name, Columns(label="label")).frame
    return frame.iloc[:count].reset_index(drop=True)


def correct_one(session: Session, now: datetime, number: int = 0) -> None:
    """One first row gets another label: there is something new to learn from."""
    row = read(session.workspace.reservoir, sets=["train"], partitions=["v0001"]).iloc[number]
    other = next(x for x in known_labels(session, session.store.label_set) if x != row["target"])
    session.store.reviews.add([Review(row["row_id"], now, row["target"], other, 0.1, row["input"])])
    session.store.reviews.adjudicate(row["row_id"], other, "ana", now)
