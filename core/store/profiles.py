"""Counts of the answers of an hour, for a log that keeps no text.

Each writer adds to rows of its own; they are added up when they are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from core import schema
from core.database import upsert
from core.kept import Profile, merged
from core.store.naming import Naming
from core.stored import plain

KEY = ("hour", "model_version", "variant", "encoder")
COUNTS = ("rows", "labels", "scores", "lengths", "segments")  # stored as JSON
SUMS = ("sums", "squares")  # stored as float64


def read(db: Connection, start: datetime, end: datetime, names: Naming) -> list[Profile]:
    t = schema.profiles
    query = select(t).where(t.c.hour >= start, t.c.hour < end).order_by(t.c.hour, t.c.writer)
    return merged(_renamed(_profile(r), names) for r in db.execute(query).mappings())


def add(db: Connection, writer: str, profiles: Sequence[Profile]) -> None:
    t = schema.profiles
    rows = []
    for fresh in merged(profiles):
        mine = (t.c.writer == writer, t.c.hour == fresh.hour, t.c.variant == fresh.variant)
        model = (t.c.model_version == fresh.model_version, t.c.encoder == fresh.encoder)
        before = db.execute(select(t).where(*mine, *model)).mappings().first()
        rows.append(_row(writer, _profile(before) + fresh if before else fresh))
    upsert(db, t, rows)


def _renamed(found: Profile, names: Naming) -> Profile:
    counts: Counter[str] = Counter()
    for label, rows in found.labels.items():
        counts[names.last(label)] += rows
    return replace(found, labels=dict(counts))


def _row(writer: str, p: Profile) -> dict[str, Any]:
    found = {n: getattr(p, n) for n in KEY}
    found |= {n: getattr(p, n).astype(np.float64).tobytes() for n in SUMS}
    return {"writer": writer, **found, "counts": {n: plain(getattr(p, n)) for n in COUNTS}}


def _profile(row: Any) -> Profile:
    found: dict[str, Any] = {n: row[n] for n in KEY}
    found |= {n: row["counts"][n] for n in COUNTS}
    found |= {n: np.array(found[n]) for n in ("scores", "lengths")}
    found |= {n: np.frombuffer(row[n], dtype=np.float64) for n in SUMS}
    return Profile(**found)
