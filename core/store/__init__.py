"""The store: every record of a workspace, in SQLite (WAL) or Postgres. The only room that speaks SQL.

Everything is written in one committed transaction before it is acknowledged, under a key that makes
writing it again harmless.
"""

from __future__ import annotations

from core import schema
from core.errors import StoreError
from core.label_set import Names
from core.store.claims import Claims
from core.store.clock import Clock
from core.store.decisions import Decisions
from core.store.embeddings import Embeddings, text_hash
from core.store.examples import Examples
from core.store.forgetting import Forgetting
from core.store.keys import Keys
from core.store.lineage import Lineage
from core.store.predictions import Predictions
from core.store.retention import Retention
from core.store.samples import Samples
from core.store.system import System
from core.store.unconfirmed import Unconfirmed
from core.store.windows import Windows

__all__ = ["Store", "text_hash"]


class Store(
    Predictions,
    Windows,
    Claims,
    Decisions,
    Embeddings,
    Retention,
    Forgetting,
    Lineage,
    System,
    Keys,
    Samples,
    Examples,
    Unconfirmed,
    Clock,
):
    """All records of one workspace. Raises StoreError when the database does not do its part."""

    def __init__(self, url: str, busy: float | None = None, names: Names | None = None) -> None:
        """`busy`: seconds that a locked store is waited for; 10 unless told. `names`: the label set at
        a time, see `at`; without one every label is called what it was."""
        super().__init__(url, schema.metadata, busy)
        self.names = names or self.names
        try:
            self._check_version(self.get("schema"))
            self.odd = frozenset(self._odd())
        except BaseException:  # an interrupt closes it too
            self.close()
            raise

    def _odd(self) -> list[str]:
        """Looked for once: what was stored since is in its normal form."""
        found: list[str] | None = self.get("labels/odd")
        if found is None:
            found = self._find_odd()
            self.set("labels/odd", found)
        return found

    def _check_version(self, found: int | None) -> None:
        if found in (1, 2, 3):  # all that is new since are tables, made already, and columns
            self._add_columns(schema.predictions)
            self._add_columns(schema.signals)
            self._add_columns(schema.tasks)
            self._add_columns(schema.decisions)
            self.mark_settled()
            self.count_served()
        if found in (1, 2, 3, 4):
            self._add_columns(schema.feedback)
        if found in (None, 1, 2, 3, 4):
            self.set("schema", schema.VERSION)
        elif found != schema.VERSION:
            raise StoreError(
                "the store was made by another version of Everloop",
                where=self._where(),
                got=f"schema {found}",
                expected=f"schema {schema.VERSION}",
                do="open it with the Everloop that made it",
            )
