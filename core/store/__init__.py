"""The store: every record of a workspace, in SQLite (WAL) or Postgres. The only room that speaks SQL.

    store.answers.window(start, end)     store.queue.lease("ana", now, until)     store.keys.all()

A `Store` is one database and a repository for each subject. Everything is written in one committed
transaction before it is acknowledged, under a key that makes writing it again harmless; where one step
changes several subjects, one repository writes them all in its transaction.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import datetime

from core import schema
from core.database import Database
from core.label_set import LabelSet, Names
from core.store.answers import AnswerRepository
from core.store.clock import ClockRepository
from core.store.decisions import DecisionRepository
from core.store.embeddings import EmbeddingRepository, text_hash
from core.store.erasure import ErasureRepository
from core.store.feedback import FeedbackRepository
from core.store.keys import KeyRepository
from core.store.labels import LabelRepository
from core.store.lineage import LineageRepository
from core.store.migrations import migrate, odd_labels
from core.store.naming import Naming
from core.store.queue import QueueRepository
from core.store.reviews import ReviewRepository
from core.store.signals import SignalRepository
from core.store.state import StateRepository
from core.store.tested import TestedAnswerRepository
from core.tasks import Classification, Task

__all__ = ["Store", "text_hash"]


class Store:
    """All records of one workspace. Raises StoreError when the database does not do its part."""

    def __init__(
        self,
        url: str,
        busy: float | None = None,
        names: Names | None = None,
        task: Task = Classification(),  # noqa: B008  # it has no state
    ) -> None:
        """`busy`: seconds that a locked store is waited for; 10 unless told. `names`: the label set at
        a time, see `at`; without one every label is called what it was. `task` judges answers."""
        self.url = url
        self.label_set_at: Names = names or (lambda _now: task.names)
        self.database = Database(url, schema.metadata, busy)
        try:
            self.state = StateRepository(self.database)
            migrate(self.database, self.state)
            self.odd = odd_labels(self.database, self.state)
        except BaseException:  # an interrupt closes it too
            self.close()
            raise
        self.decisions = DecisionRepository(self.database)
        self.signals = SignalRepository(self.database)
        self.keys = KeyRepository(self.database)
        self.embeddings = EmbeddingRepository(self.database)
        self.tested = TestedAnswerRepository(self.database)
        # of all subjects at once:
        self.lineage = LineageRepository(self.database)
        self.erasure = ErasureRepository(self.database)
        self.clock = ClockRepository(self.database)
        self._read_labels(Naming(task.names, self.odd, task))

    def _read_labels(self, naming: Naming) -> None:
        """The repositories that read labels, under these names of them."""
        self._naming = naming
        self.answers = AnswerRepository(self.database, naming)
        self.feedback = FeedbackRepository(self.database, naming)
        self.queue = QueueRepository(self.database, naming)
        self.reviews = ReviewRepository(self.database, naming, self.queue)
        self.labels = LabelRepository(self.database, naming)

    @property
    def task(self) -> Task:
        return self._naming.task

    @property
    def label_set(self) -> LabelSet:
        """The label set under whose names labels are read; version 0 unless `at` or `under` chose."""
        return self._naming.labels

    def at(self, now: datetime) -> Store:
        """This store with its labels under their names at a time. Raises LabelError."""
        return self.under(self.label_set_at(now))

    def under(self, labels: LabelSet) -> Store:
        """This store with its labels under their names in a label set."""
        if labels == self.label_set:
            return self
        view = copy(self)
        view._read_labels(replace(self._naming, labels=labels))
        return view

    def close(self) -> None:
        self.database.close()
