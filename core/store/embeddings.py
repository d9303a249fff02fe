"""Embeddings of texts that were never served."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import select

from core import schema
from core.database import parts
from core.records import Array
from core.store.state import State


class Embeddings(State):
    """A text is read by an encoder once."""

    def embed(
        self, texts: Sequence[str], encoder: str, read: Callable[[list[str]], Array], purpose: str
    ) -> Array:
        """Embeddings (n, dim) float32 of texts, each read by the encoder once in the store's life.

        `purpose` names who asked, in the counters of encoder passes: initial and testing bring texts,
        new ones unless another encoder has read them; `reread` reads served and first texts again.
        """
        hashes = [text_hash(t) for t in texts]
        found = self._embeddings(hashes, encoder)
        missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in found}
        if missing:
            fresh = np.asarray(read(list(missing.values())), dtype=np.float16)
            rows = [
                {"text_hash": h, "encoder": encoder, "embedding": e.tobytes()}
                for h, e in zip(missing, fresh, strict=True)
            ]
            t = schema.embeddings.c.text_hash
            with self._write() as db:
                known = {h for part in parts(missing) for h in db.scalars(select(t).where(t.in_(part)))}
                self._insert(db, schema.embeddings, rows)
                new = len(rows) - len(known) if purpose != "reread" else 0
                self._count(db, {f"encoder_passes.{purpose}": len(rows), f"texts.{purpose}": new})
            found.update(zip(missing, fresh, strict=True))
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([found[h] for h in hashes]).astype(np.float32)

    def _embeddings(self, hashes: Sequence[str], encoder: str) -> dict[str, Array]:
        t = schema.embeddings
        found: dict[str, Array] = {}
        with self._read() as db:
            for part in parts(hashes):
                query = select(t.c.text_hash, t.c.embedding)
                rows = db.execute(query.where(t.c.encoder == encoder, t.c.text_hash.in_(part)))
                found.update({r[0]: np.frombuffer(r[1], dtype=np.float16) for r in rows})
        return found


def text_hash(text: str) -> str:
    """The 128-bit name of a text in caches and fences.

    >>> text_hash("hello")
    '46fb7408d4f285228f4af516ea25851b'
    """
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
