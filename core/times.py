from __future__ import annotations

from datetime import UTC, datetime


def utc(when: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken as UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
