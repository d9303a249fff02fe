"""The champion on the named collections of the workspace, for monitoring."""

from __future__ import annotations

import pandas as pd

from core import collections
from core.errors import DataError
from core.label_set import LabelSet
from core.models.base import Model
from flows.answers import outputs, rights
from flows.session import Session
from monitoring.view import Collected


def collected(session: Session, champion: Model, labels: LabelSet) -> list[Collected]:
    """Its label for each text of each collection, all under a label set. A broken file is a fault
    in words, not the end of a scheduled run. Each text is read by an encoder once."""
    try:
        files = collections.files(session.workspace.root)
    except DataError as fault:
        return [Collected("all", fault=_line(fault))]
    found = []
    for name, path in files.items():
        try:
            found.append(_answered(session, champion, labels, name, collections.read(path)))
        except DataError as fault:
            found.append(Collected(name, fault=_line(fault)))
    return found


def _answered(
    session: Session, champion: Model, labels: LabelSet, name: str, rows: pd.DataFrame
) -> Collected:
    texts, truth = rows["text"].tolist(), [labels.last(x) for x in rows["label"]]
    read = session.store.embeddings.of(texts, champion.identity, champion.embed, "testing")
    named = champion.under(labels)
    right = rights(session, outputs(session, named, texts, read), truth)
    strange = sum(x not in named.labels for x in truth) if session.task.labelled else 0
    return Collected(name, right, strange)


def _line(fault: DataError) -> str:
    return ": ".join(part for part in (fault.what, fault.got) if part)
