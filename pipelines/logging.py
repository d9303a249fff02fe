"""Logging: which data do we keep? Every request whose text is not too long, users hashed."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from core.params import Section
from core.records import Request, hash_user


class Logging(Section):
    """Keep every request."""

    policy: Literal["all"] = Field(description="all: every request that was answered is kept")
    max_text_characters: int = Field(
        default=10_000, gt=0, le=1_000_000, description="a longer text is refused, never cut"
    )


def requests(frame: pd.DataFrame) -> list[Request]:
    """The rows of `core.tables.read_rows` as requests, in their order, without truth or user names.

    >>> row = {"request_id": "r1", "timestamp": pd.Timestamp("2026-01-05", tz="UTC"), "text": "hi"}
    >>> row |= {"user": "u0577", "label": "greeting", "segments": {"app": "web"}}
    >>> [request] = requests(pd.DataFrame([row]))
    >>> request.text, request.user_key, request.segments
    ('hi', 'cbae851becaadb26', {'app': 'web'})
    """
    columns = ["request_id", "timestamp", "text", "user", "segments"]
    return [
        Request(request_id, when.to_pydatetime(), text, hash_user(user), segments)
        for request_id, when, text, user, segments in zip(*(frame[c] for c in columns), strict=True)
    ]
