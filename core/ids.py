"""Names that repeat: ids of predictions, hashes of users, and a stable place in 0..1 for a key."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID


def uuid7(timestamp: datetime, *identity: str) -> str:
    """RFC 9562 version 7 uuid: milliseconds first, the rest a hash of `identity`, so it repeats.

    >>> uuid7(datetime(2026, 1, 5, tzinfo=UTC), "r1")
    '019b8b74-1800-75ca-ba2e-f08341255975'
    """
    millis = _millis(timestamp)
    tail = hashlib.blake2b("\x1f".join(identity).encode(), digest_size=10).digest()
    raw = bytearray(millis + tail)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(raw)))


def uuid7_floor(timestamp: datetime) -> str:
    """No id made at this time or later sorts before it.

    >>> uuid7_floor(datetime(2026, 1, 5, tzinfo=UTC))
    '019b8b74-1800'
    """
    digits = _millis(max(timestamp, datetime(1970, 1, 1, tzinfo=UTC))).hex()
    return f"{digits[:8]}-{digits[8:]}"


def _millis(timestamp: datetime) -> bytes:
    return int(timestamp.timestamp() * 1000).to_bytes(6, "big")


def is_uuid7(text: str) -> bool:
    """Whether a text has the form of our ids.

    >>> is_uuid7("019b8b74-1800-75ca-ba2e-f08341255975"), is_uuid7("17")
    (True, False)
    """
    try:
        return UUID(text).version == 7
    except ValueError:
        return False


def hash_user(user: str) -> str:
    """What the store keeps of a user: enough to route and group by, not the name.

    >>> hash_user("u0577"), hash_user("")
    ('cbae851becaadb26', '')
    """
    return hashlib.blake2b(user.encode(), digest_size=8).hexdigest() if user else ""


def bucket(key: str, salt: str = "") -> float:
    """A stable place in [0, 1) for a key: who falls into which share of the traffic.

    >>> 0 <= bucket("a", "rollout-1") < 1
    True
    """
    digest = hashlib.blake2b(f"{salt}\x1f{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def log_place(request_id: str) -> float:
    """A stable place in [0, 1) for a request: a log that keeps a share of all keeps those below it."""
    return bucket(request_id, salt="log")
