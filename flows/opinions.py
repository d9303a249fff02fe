"""What people think of answers, as the next dataset version takes it: pairs and ratings.

A right answer that people gave, or that a user's correction gave and that trains, is better than the
wrong one it stands for: a pair. So is a preference. Thumbs and ratings are ratings. The rules for
users' words (pipelines/labeling/words.py) hold: a source that people found wrong is not believed, and
one source says so much a day at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from core.evidence import AnyEvidence
from core.records.decisions import Decision
from core.tasks.words import score
from core.texts import counted
from flows.session import Session
from pipelines.datasets.opinions import SCHEMA, stored
from pipelines.labeling.words import distrusted

Said = dict[str, Any]  # a row of `FeedbackRepository.opinions`


def opinions(session: Session, partition: str, as_of: datetime, rows: pd.DataFrame) -> pd.DataFrame:
    """What comes with a partition of these reservoir rows, and no version has. Recorded, with what is
    left aside and why."""
    if session.task.labelled:
        return pd.DataFrame(columns=SCHEMA.names)
    known = _taken(session, partition)
    said = session.store.feedback.opinions(as_of)
    believed, aside = _believed(session, said)
    new = [_row(s) for s in believed if known.get(s["id"]) != (s["output"], s["rejected"])]
    found = pd.DataFrame([*_corrections(session, rows), *new], columns=SCHEMA.names)
    if len(found) or aside.total():
        session.record(_decision(partition, as_of, found, aside))
    return found


def _taken(session: Session, partition: str) -> dict[str, tuple[str, str | None]]:
    """What other partitions took: id -> output, and the worse one. Who ranks again is taken again."""
    rows = stored(session.workspace.reservoir, ["id", "output", "rejected"])
    rows = rows[rows["partition"] != partition]
    worse = [x if isinstance(x, str) else None for x in rows["rejected"]]
    return dict(zip(rows["id"], zip(rows["output"], worse, strict=True), strict=True))


def _corrections(session: Session, rows: pd.DataFrame) -> Iterator[Said]:
    """A pair of each row that trains and whose answer was another."""
    trains = rows[rows["set"] == "train"]
    outputs = session.store.answers.outputs(trains["row_id"])
    for given in trains.to_dict("records"):
        row = {str(name): value for name, value in given.items()}
        said = outputs.get(row["row_id"])
        if said is not None and not session.task.agree(said, row["target"]):
            better = {"id": row["row_id"], "output": row["target"], "rejected": said}
            yield {**row, **better, "score": np.nan, "source": row["annotator"]}


def _believed(session: Session, said: list[Said]) -> tuple[list[Said], Counter[str]]:
    """Those that count, and how many others do not, by why."""
    checked = session.store.feedback.words_checked()
    most = session.strategy.labeling.users.per_source
    given, aside = Counter[tuple[str, str]](), Counter[str]()
    found = []
    for one in said:
        day = one["source"], f"{one['timestamp']:%Y-%m-%d}"
        given[day] += 1
        ranked = one["kind"] == "preference" and not one["caller"]  # by an annotator, on the page
        if one["kind"] == "preference" and one["rejected"] is None:
            aside["of an answer that the log has no more"] += 1
        elif distrusted(checked.get(one["source"])):
            aside["from a source that people found wrong more often than right"] += 1
        elif given[day] > most and not ranked:
            aside["beyond what one source may say in a day"] += 1
        else:
            found.append(one)
    return found, aside


def _row(said: Said) -> Said:
    value = score(said["kind"], said["value"])
    return {**said, "set": "train", "score": np.nan if value is None else value}


def _decision(partition: str, as_of: datetime, found: pd.DataFrame, aside: Counter[str]) -> Decision:
    pairs = int(found["rejected"].notna().sum())
    taken = f"{counted(pairs, 'pair')}, {counted(len(found) - pairs, 'rating')}"
    left = [f"{n} {why}" for why, n in aside.items()]
    return Decision(
        key=f"labeling/opinions/{partition}",
        stage="labeling",
        timestamp=as_of,
        verdict=taken,
        reason="; ".join([f"what people think of answers, in {partition}: {taken}", *left]),
        evidence=AnyEvidence({"pairs": pairs, "ratings": len(found) - pairs, "aside": dict(aside)}),
    )
