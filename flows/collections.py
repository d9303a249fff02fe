"""The champion on the named collections of the workspace, for monitoring."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core import collections
from core.errors import DataError
from core.label_set import LabelSet
from core.models.classifier.migrated import answering
from core.models.classifier.model import TextClassifier
from flows.home import Home
from monitoring.view import Collected


def collected(home: Home, champion: TextClassifier, labels: LabelSet) -> list[Collected]:
    """Its label for each text of each collection, all under a label set. A broken file is a fault
    in words, not the end of a scheduled run. Each text is read by an encoder once."""
    try:
        files = collections.files(home.workspace.root)
    except DataError as fault:
        return [Collected("all", fault=_line(fault))]
    found = []
    for name, path in files.items():
        try:
            found.append(_answered(home, champion, labels, name, collections.read(path)))
        except DataError as fault:
            found.append(Collected(name, fault=_line(fault)))
    return found


def _answered(
    home: Home, champion: TextClassifier, labels: LabelSet, name: str, rows: pd.DataFrame
) -> Collected:
    encoder, texts = champion.encoder, rows["text"].tolist()
    read = home.store.embeddings.of(texts, encoder.identity, encoder.encode, "testing")
    head = answering(champion.trained, labels)
    best = head.probabilities(read).argmax(axis=1)
    truth = np.array([labels.last(x) for x in rows["label"]], dtype=object)
    return Collected(name, truth, np.array(head.labels, dtype=object)[best])


def _line(fault: DataError) -> str:
    return ": ".join(part for part in (fault.what, fault.got) if part)
