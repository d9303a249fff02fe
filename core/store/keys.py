"""API keys: who may ask a server for what.

A token is 256 random bits, shown once; the store keeps its SHA-256. A slow hash protects secrets that
people choose and others can guess. Nobody guesses 256 bits, so the fast one is right, and it costs a
request less than a microsecond.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select, update

from core import schema
from core.database import Database, insert
from core.errors import AccessError

Scope = Literal["predict", "feedback", "label", "admin"]
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class ApiKey:
    name: str
    hash: str
    scopes: Sequence[str]
    created: datetime
    revoked: datetime | None = None


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass
class KeyRepository:
    """The keys of one store. A revoked key stays: its name is in logs, and it keeps the door shut."""

    database: Database

    def add(self, name: str, scopes: Sequence[str], now: datetime) -> str:
        """The token of a new key; it is not kept. Raises AccessError for a name that cannot be had."""
        if not NAME.fullmatch(name):
            raise AccessError(
                "this cannot be the name of a key",
                got=ascii(name),
                expected="1 to 64 letters, digits, dots, dashes or underscores",
            )
        token = f"everloop_{secrets.token_urlsafe(32)}"
        row = {"name": name, "hash": token_hash(token), "scopes": list(scopes), "created": now}
        with self.database.write() as db:
            query = insert(db, schema.keys).on_conflict_do_nothing()
            made = db.execute(query.returning(schema.keys.c.name), row).first()
        if made is None:
            raise AccessError(
                "there is a key of this name already",
                got=name,
                expected="a name of its own for each key, revoked ones too",
                do="everloop keys list",
            )
        return token

    def all(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        t = schema.keys
        return self.database.records(select(t).order_by(t.c.created, t.c.name), ApiKey)

    def revoke(self, name: str, now: datetime) -> None:
        """End a key; ending it again changes nothing. Raises AccessError when there is none."""
        t = schema.keys
        known = {k.name for k in self.all()}
        if name not in known:
            raise AccessError(
                "there is no key of this name",
                got=ascii(name),
                expected=f"one of {', '.join(sorted(known))}" if known else "",
                do="everloop keys list",
            )
        with self.database.write() as db:
            db.execute(update(t).where(t.c.name == name, t.c.revoked.is_(None)).values(revoked=now))
