"""What users said of answers: judged with every turn and retrain, by what people labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from core.arrays import stacked
from core.evidence import UsersLabelsEvidence
from core.label_set import LabelSet
from core.records.decisions import Decision
from core.records.labels import VERIFY, AnnotationTask
from core.store.claims import WEAK
from core.store.feedback import Word
from flows.session import Session
from pipelines.datasets.contents import TRAIN, newest_rows
from pipelines.labeling.words import WHY, Fate, LabelKnowledge, fates

STAGE = "labeling"
DAY = timedelta(days=1)
FEWEST_LABELS = 2  # a head that knows one label bears everything out


@dataclass(frozen=True)
class Ruling:
    """A word and what becomes of it."""

    word: Word
    fate: Fate


def hear(session: Session, now: datetime, labels: Sequence[str], partition: str = "") -> dict[str, Any]:
    """Judge what users said and no dataset has, make tasks of what people are asked, and record it.
    Returns the predictions whose words train, as `trains`, and how many words are still to be asked, as
    `unasked`. `partition`: of the dataset that takes them, "" when none is made now."""
    rulings = judge(session, now, labels)
    if not rulings:
        return {"trains": [], "unasked": 0}
    asked = [r.word for r in rulings if r.fate == "asked"]
    session.store.queue.add([check(w, now) for w in asked])
    session.record(_decision(rulings, now, partition))
    trains = [r.word.prediction_id for r in rulings if r.fate == "trains"]
    return {"trains": trains, "unasked": sum(r.fate == "unlikely" for r in rulings)}


def check(word: Word, now: datetime) -> AnnotationTask:
    """The task that asks a person."""
    return AnnotationTask(word.prediction_id, now, f"{now:%Y-%m-%dT%H:%M}", VERIFY, 1.0, False)


def judge(session: Session, now: datetime, labels: Sequence[str]) -> list[Ruling]:
    """What becomes of each word that no dataset has, if it were decided now; writes nothing."""
    settings, store = session.strategy.labeling, session.store.at(now)
    words = store.feedback.words(now, settings.trusted, labels)
    if not words:
        return []
    room = settings.users.asked_per_day - store.feedback.asked_since(now - DAY)
    encoder = Counter(w.encoder for w in words).most_common(1)[0][0]
    found = fates(words, known(session, now, encoder), settings.users, room)
    return [Ruling(w, fate) for w, fate in zip(words, found, strict=True)]


def known(session: Session, now: datetime, encoder: str) -> LabelKnowledge:
    """What is known beside words whose embeddings are of an encoder."""
    from core.models.classifier.head import fit_head

    store = session.store.at(now)
    rows = trained(session, store.label_set)
    users = rows["annotator"] == WEAK
    category = session.task.category
    people, theirs = (rows.loc[of, "target"].map(category) for of in (~users, users))
    fresh = [(category(x), found) for x, name, found in store.labels.untrained() if name == encoder]
    mine = rows[~users & (rows["encoder"] == encoder)]
    labels = [*people[mine.index], *(label for label, _ in fresh)]
    able = len(set(labels)) >= FEWEST_LABELS
    return LabelKnowledge(
        fit_head(stacked([*mine["embedding"], *(e for _, e in fresh)]), labels) if able else None,
        encoder,
        Counter([*people, *(label for label, _ in fresh)]),
        Counter(theirs),
        store.feedback.words_taken(),
        store.feedback.words_checked(),
        category,
    )


def trained(session: Session, labels: LabelSet) -> pd.DataFrame:
    """The rows that the newest dataset trains on, their labels as they are called."""
    columns = ["row_id", "target", "encoder", "embedding", "annotator"]
    rows = newest_rows(session.workspace, TRAIN, columns)
    rows["target"] = rows["target"].map(labels.now)
    return rows[rows["target"].notna()]


def _decision(rulings: Sequence[Ruling], now: datetime, partition: str) -> Decision:
    counts = Counter(r.fate for r in rulings)
    waiting = len(rulings) - counts["trains"] - counts["asked"]
    train = f"{counts['trains']} {'train' if partition else 'can train'}"
    reasons = [f"{counts[fate]} {why}" for fate, why in WHY.items() if counts[fate]]
    return Decision(
        key=f"{STAGE}/words/{partition or now.isoformat()}",
        stage=STAGE,
        timestamp=now,
        verdict=f"{train}, {counts['asked']} asked, {waiting} wait",
        reason=f"users' labels of {len(rulings)} answers: {', '.join(reasons)}",
        evidence=UsersLabelsEvidence(
            partition, len(rulings), {str(fate): n for fate, n in counts.items()}, _by_source(rulings)
        ),
    )


def _by_source(rulings: Sequence[Ruling]) -> dict[str, dict[str, int]]:
    """The sources that said most, each with its words by what became of them."""
    said = Counter(r.word.source for r in rulings)
    return {
        source: dict(Counter(r.fate for r in rulings if r.word.source == source))
        for source, _ in said.most_common(10)
    }
