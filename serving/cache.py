"""Embeddings of texts that were asked lately: the same text under the same encoder is read once.

A model's answer is its head on the embedding, a product that costs microseconds. So what is kept is
the embedding, by encoder and text, and not the answer, by version and text: it gives the same answers,
stays warm when a version with the same encoder is swapped in, and serves the shadow model too.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

from core.arrays import Array


class Cache:
    """At most `entries` embeddings; the one unused for longest goes first. Safe for many threads.

    >>> import numpy as np
    >>> cache = Cache(1)
    >>> cache.put("encoder", ["a", "b"], np.eye(2))
    >>> cache.get("encoder", ["a", "b"])
    [None, array([0., 1.])]
    """

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._kept: OrderedDict[bytes, Array] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, encoder: str, texts: Sequence[str]) -> list[Array | None]:
        """Each text's embedding, None where it is not known."""
        keys = [_key(encoder, t) for t in texts]
        with self._turn:
            found = [self._kept.get(k) for k in keys]
            for key, row in zip(keys, found, strict=True):
                if row is not None:
                    self._kept.move_to_end(key)
        return found

    def put(self, encoder: str, texts: Sequence[str], embeddings: Array) -> None:
        """Remember the rows of (n, dim) under their texts."""
        keys = [_key(encoder, t) for t in texts]
        with self._turn:
            for key, row in zip(keys, embeddings, strict=True):
                self._kept[key] = row.copy()  # a view would keep the whole batch alive
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)


def _key(encoder: str, text: str) -> bytes:
    return hashlib.blake2b(f"{encoder}\x1f{text}".encode(), digest_size=16).digest()
