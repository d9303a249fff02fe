"""What a logged request is made of: rows of a table, users hashed, the truth left behind."""

from __future__ import annotations

from core.arrays import Frame
from core.ids import hash_user
from core.records.answers import Request


def requests(frame: Frame) -> list[Request]:
    """The rows of `core.tables.read_rows` as requests, in their order, without truth or user names.

    >>> import pandas as pd
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
