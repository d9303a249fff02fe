"""Hard examples: named lists of requests that are worth a person's look, the newest of each kept.

wrong-and-sure     wrong by its label, and as sure as the model is of what it gets right
complained         a thumb down, a low rating, or a correction to another answer
A taken for B      the commonest mistakes, by their labels
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from core.evidence import AnyEvidence
from core.records.decisions import Decision
from core.tasks import RIGHT
from monitoring.accuracy.feedback import complaints
from monitoring.view import View

MOST = 50  # requests of one list
MISTAKES = 5  # lists of mistakes, each of at least
TWICE = 2


def hard_examples(view: View, now: datetime) -> list[Decision]:
    """One decision of the stage `examples`, which the next pass replaces: in its evidence the ids of
    each list's requests, hardest first. None where there is no such request."""
    lists = {name: [str(r) for r in rows["request_id"].head(MOST)] for name, rows in _lists(view)}
    found = {name: requests for name, requests in lists.items() if requests}
    if not found:
        return []
    counts = ", ".join(f"{len(requests)} {name}" for name, requests in found.items())
    return [
        Decision("examples", "examples", now, f"{len(found)} lists", counts, AnyEvidence(dict(found)))
    ]


def _lists(view: View) -> Iterator[tuple[str, pd.DataFrame]]:
    rows = _labelled(view)
    wrong = rows["score"] < RIGHT
    usual = rows["confidence"][~wrong].median()
    yield (
        "wrong-and-sure",
        rows[wrong & (rows["confidence"] >= usual)].sort_values("confidence", ascending=False),
    )
    yield "complained", _complained(view)
    if not view.task.labelled:
        return
    pairs = Counter(zip(rows["truth"][wrong], rows["output"][wrong], strict=True))
    for (truth, label), count in pairs.most_common(MISTAKES):
        if count >= TWICE:
            these = rows[(rows["truth"] == truth) & (rows["output"] == label)]
            yield f"{truth} taken for {label}", these.sort_values("confidence", ascending=False)


def _labelled(view: View) -> pd.DataFrame:
    window = view.labelled if view.labelled is not None else view.whole
    return window.rows[window.rows["truth"].notna()]


def _complained(view: View) -> pd.DataFrame:
    told = view.feedback.merge(view.whole.rows[["prediction_id", "request_id", "output"]])
    newest = told[complaints(told, view.task)].sort_values("timestamp", ascending=False, kind="stable")
    return newest.drop_duplicates("request_id")
