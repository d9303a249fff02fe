"""The named collections as rows of a dataset version: a candidate is tested on them, and none trains.

They lie in the partitions like all rows, with their embeddings, so a version tests on the collections
of its day. What was taken out of a file comes again as `out`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import numpy as np
import pandas as pd

from core import collections
from core.errors import DataError
from core.ids import uuid7
from core.tables import EPOCH
from flows.session import Session
from pipelines.datasets.contents import rows_of
from pipelines.datasets.history import list_versions
from pipelines.datasets.reservoir import first_rows

SET = ("regression",)


def regression_rows(session: Session, parent: str, as_of: datetime) -> pd.DataFrame | None:
    """What changed in data/collections since the parent version ("" for none), as reservoir rows.

    A file that cannot be read leaves its collection as it was; monitoring says what is wrong with it.
    """
    before = _before(session, parent)
    try:
        files = collections.files(session.workspace.root)
    except DataError:
        return None
    parts, known = [], set(before["row_id"])
    for name, path in files.items():
        with suppress(DataError):
            rows = _named(session, name, collections.read(path), as_of)
            parts.append(rows[~rows["row_id"].isin(known)])
            mine = before["round"] == name
            parts.append(before[mine & ~before["row_id"].isin(rows["row_id"])].assign(set="out"))
    parts.append(before[~before["round"].isin(list(files))].assign(set="out"))
    changed = [part for part in parts if len(part)]
    return pd.concat(changed, ignore_index=True) if changed else None


def _before(session: Session, parent: str) -> pd.DataFrame:
    """Of the tag, not of the folder: a run that was killed may have left its own manifest there."""
    found = {v.id: v for v in list_versions(session.workspace.root)}.get(parent) if parent else None
    if found is None or not found.rows.get("regression"):
        return pd.DataFrame({"row_id": [], "round": []}, dtype=object)
    return rows_of(session.workspace.root, parent, SET)


def _named(session: Session, name: str, rows: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    base = session.base
    read = session.store.embeddings.of(rows["text"].tolist(), base.identity, base.embed, "testing")
    made = first_rows(rows, np.asarray(read), "eval", base.identity, as_of, session.task.kind)
    made["row_id"] = [
        uuid7(EPOCH, "collection", name, text, label)
        for text, label in zip(rows["text"], rows["label"], strict=True)
    ]
    return made.assign(set="regression", policy="collection", round=name, annotator="collection")


def with_collections(rows: pd.DataFrame, named: pd.DataFrame | None) -> pd.DataFrame:
    if named is None:
        return rows
    return pd.concat([rows, named[list(rows.columns)]], ignore_index=True) if len(rows) else named
