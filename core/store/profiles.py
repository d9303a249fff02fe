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
    return {
        "writer": writer,
        "hour": p.hour,
        "model_version": p.model_version,
        "variant": p.variant,
        "encoder": p.encoder,
        "counts": {
            "rows": p.rows,
            "labels": p.labels,
            "scores": p.scores.tolist(),
            "lengths": p.lengths.tolist(),
            "segments": p.segments,
        },
        "sums": p.sums.astype(np.float64).tobytes(),
        "squares": p.squares.astype(np.float64).tobytes(),
    }


def _profile(row: Any) -> Profile:
    counts = row["counts"]
    return Profile(
        row["hour"],
        row["model_version"],
        row["variant"],
        row["encoder"],
        counts["rows"],
        counts["labels"],
        np.array(counts["scores"]),
        np.array(counts["lengths"]),
        counts["segments"],
        np.frombuffer(row["sums"], dtype=np.float64),
        np.frombuffer(row["squares"], dtype=np.float64),
    )
