"""Counts of the answers of an hour, for a log that keeps no text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from core import schema
from core.kept import Profile, merged
from core.store.naming import Naming


class Profiles(Naming):
    """Each writer adds to rows of its own; they are added up when they are read."""

    def profiles(self, start: datetime, end: datetime) -> list[Profile]:
        """One profile of each hour of [start, end), version, variant and encoder, in that order; labels
        under their last names."""
        t = schema.profiles
        query = select(t).where(t.c.hour >= start, t.c.hour < end).order_by(t.c.hour, t.c.writer)
        with self._read() as db:
            return merged(self._renamed(_profile(r)) for r in db.execute(query).mappings())

    def _renamed(self, found: Profile) -> Profile:
        counts: Counter[str] = Counter()
        for label, rows in found.labels.items():
            counts[self.labels.last(label)] += rows
        return replace(found, labels=dict(counts))

    def _add_profiles(self, db: Connection, writer: str, profiles: Sequence[Profile]) -> None:
        t = schema.profiles
        rows = []
        for fresh in merged(profiles):
            mine = (t.c.writer == writer, t.c.hour == fresh.hour, t.c.variant == fresh.variant)
            model = (t.c.model_version == fresh.model_version, t.c.encoder == fresh.encoder)
            before = db.execute(select(t).where(*mine, *model)).mappings().first()
            rows.append(_row(writer, _profile(before) + fresh if before else fresh))
        self._replace(db, t, rows)


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
