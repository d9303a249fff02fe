"""A head that learnt an older label set, answering in today's labels."""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from core.label_set import LabelSet
from core.models.classifier.head import Head


class Migrated:
    """Merged labels are as likely as all of their parts together; retired ones are not answered, and
    the others share their probability; one that was split is answered as before, which is wrong.

    A sum of softmax columns is no softmax of any one weight, so the head is asked first: the answer is
    exact, and the model's files stay what they were.
    """

    def __init__(self, head: Head, labels: LabelSet) -> None:
        self._head = head
        called = [None if _retired(labels, x) else labels.last(x) for x in head.labels]
        self.labels = sorted({x for x in called if x is not None})
        if not self.labels:  # all it knows was retired
            called, self.labels = list(head.labels), list(head.labels)
        place = {name: i for i, name in enumerate(self.labels)}
        self._sum = np.zeros((len(called), len(self.labels)), np.float32)
        for i, name in enumerate(called):
            if name is not None:
                self._sum[i, place[name]] = 1

    def probabilities(self, embeddings: Array) -> Array:
        """(m, dim) of any float -> (m, n_labels) float32, each row of sum 1."""
        kept = self._head.probabilities(embeddings) @ self._sum
        total = kept.sum(axis=1, keepdims=True)
        shares: Array = np.divide(
            kept, total, out=np.full_like(kept, 1 / kept.shape[1]), where=total > 0
        )
        return shares


def answering(head: Head, labels: LabelSet) -> Head | Migrated:
    """The head as it answers under a label set: itself, where no label of it is gone."""
    same = all(labels.now(x) == x for x in head.labels)
    return head if same else Migrated(head, labels)


def learning(head: Head, labels: LabelSet) -> Head | None:
    """The head as the next one starts from it: without labels that are gone. It would keep them, as no
    row has them any more, and go on answering them. None where nothing is left."""
    kept = [i for i, x in enumerate(head.labels) if labels.now(x) == x]
    if len(kept) == len(head.labels):
        return head
    return Head([head.labels[i] for i in kept], head.weight[kept], head.bias[kept]) if kept else None


def _retired(labels: LabelSet, name: str) -> bool:
    end = labels.ended(name)
    return end is not None and end.op == "retire"
