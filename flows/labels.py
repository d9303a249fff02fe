"""Labels of a workspace: tasks out to people, what they say back in, doubts, what datasets take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from core.errors import LabelError
from core.ids import uuid7
from core.label_names import normal
from core.label_set import LabelSet
from core.progress import doing
from core.readers import excerpt, nearest
from core.records.labels import AnnotationTask, Review
from core.state import Champion, FeedbackRead
from core.tables import EPOCH
from flows.annotators import second_opinions
from flows.label_set import check_labelled, declared, given
from flows.session import Session
from flows.words import Ruling, check, hear, judge
from pipelines.datasets.partitions import read
from pipelines.datasets.reservoir import embeddings, from_claim
from pipelines.labeling import argilla, chats, judgements, label_studio, tables
from pipelines.labeling.files import Format, read_as, written_as
from pipelines.labeling.handout import Handout, ModelAnswer
from pipelines.labeling.judgements import Imported, take

GIVEN = ("train", "eval", "audit")  # sets of rows that somebody labelled one by one


def export_tasks(
    session: Session, path: Path, named: Format | None, now: datetime
) -> tuple[int, Path | None]:
    """Write the open tasks in a format; returns how many there are, and where the labelling config is
    that Label Studio needs. Raises DataError for a format that does not fit the file's name."""
    form = written_as(path, named)
    store = session.store.at(now)
    tasks = store.queue.open()
    if form == "csv" or (form == "jsonl" and session.task.labelled):
        tables.write(tasks, path, lines=form == "jsonl", question=session.task.column)
        return len(tasks), None
    handout = _handout(session, tasks, now)
    if form == "label-studio":
        return len(tasks), label_studio.write(handout, path)
    (argilla if form == "argilla" else chats).write(handout, path)
    return len(tasks), None


def _handout(session: Session, tasks: list[AnnotationTask], now: datetime) -> Handout:
    """The tasks with what the model answered and was asked, and the labels that may be given."""
    store, closed = session.store.at(now), declared(session, now)
    found = store.answers.known([t.request_id for t in tasks]).values()
    answers = {
        p.prediction_id: ModelAnswer(p.model_version, p.confidence, session.task.turns(p.input))
        for p in found
    }
    names, labels = store.label_set, list(closed or ())
    if session.task.labelled and not labels:
        labels = names.current([*known_labels(session, names), *(t.predicted for t in tasks)])
    owner, question = project(session, now), session.task.column
    return Handout(owner, tasks, answers, labels, open=closed is None, question=question)


def import_labels(
    session: Session, path: Path, named: Format | None, annotator: str, now: datetime, new: bool = False
) -> Imported:
    """Take what a file says as votes; those for labels that nobody has used wait, unless they are meant
    as `new` ones. Raises DataError when the file cannot be used, or is another's."""
    form, question = read_as(path, named), session.task.column
    if form in ("csv", "jsonl"):
        found = tables.read(path, annotator, question)
    else:
        reader = label_studio.read if form == "label-studio" else argilla.read
        found = reader(path, project(session, now), annotator, question)
    known = new or not session.task.labelled or declared(session, now) is not None
    names = None if known else labels_in_use(session, now)
    strategy = session.strategy
    clean = str if session.task.labelled else strategy.logging.clean
    done = take(found, session.store.at(now), strategy.labeling, now, names, clean)
    release(session, now)
    return done


def release(session: Session, now: datetime) -> int:
    """Cast the votes that waited for a name that is in use by now; returns how many waited."""
    store = session.store.at(now)
    if not store.queue.waiting():
        return 0
    return judgements.release(store, session.strategy.labeling, labels_in_use(session, now))


def settle(
    session: Session, prediction_id: str, label: str, annotator: str, now: datetime, new: bool = False
) -> str:
    """Adjudicate; returns the label as it is called today, or the answer as it is stored. Raises
    LabelError for a label outside the set, one that nobody has used and is not meant as a `new` one, an
    answer that cannot be used, and for what is no task."""
    reviews = session.store.at(now).reviews
    reviews.check(prediction_id)
    if not session.task.labelled:
        answer = _answer(session, prediction_id, label)
        reviews.adjudicate(prediction_id, answer, annotator, now)
        return answer
    closed, label = declared(session, now), given(session, normal(label), now)
    names = labels_in_use(session, now)
    if not label or (label not in names and not (new and closed is None)):
        near = nearest(label, names)
        unknown = f"a label that {'nobody has used yet' if closed is None else 'was never declared'}"
        raise LabelError(
            unknown if label else "an empty label",
            where=prediction_id,
            got=f"'{label}'",
            expected=f"'{near}'" if near else ", ".join(names),
            do="--new-label if it is meant" if label and closed is None else "",
        )
    reviews.adjudicate(prediction_id, label, annotator, now)
    return label


def _answer(session: Session, prediction_id: str, given: str) -> str:
    """An answer that somebody wrote, as it is stored. Raises LabelError that says why it cannot be."""
    try:
        return session.strategy.logging.clean(session.task.target(given))
    except ValueError as why:
        raise LabelError(str(why), where=prediction_id, got=excerpt(given)) from None


def review(session: Session, now: datetime) -> tuple[int, int]:
    """Look for labels that look wrong among all there are, and put them under review; returns how many
    are new, and how many labels were looked at: those with an embedding of the commonest encoder."""
    from pipelines.labeling.suspects import suspects

    check_labelled(session)
    doing("looking for labels that look wrong")
    store = session.store.at(now)
    rows = labelled(session, now, store.label_set)
    if not len(rows):
        return 0, 0
    same = rows[rows["encoder"] == rows["encoder"].mode()[0]].reset_index(drop=True)
    found = suspects(embeddings(same), same["target"].tolist())
    reviews = [
        Review(str(r["row_id"]), now, str(r["target"]), s.suggested, s.score, str(r["text"]))
        for s in found
        for r in [same.iloc[s.row]]
    ]
    return store.reviews.add(reviews), len(same)


def labelled(session: Session, now: datetime, labels: LabelSet) -> pd.DataFrame:
    """row_id, timestamp, input, text, target, encoder and embedding (float16 bytes) of every label that
    there is under a label set: as the reservoir has it, or as it is by now."""
    store = session.store.under(labels)
    stored = ["row_id", "timestamp", "input", "target", "encoder", "embedding"]
    columns = [*stored, "text"]
    known = read(session.workspace.reservoir, sets=GIVEN, columns=stored)
    known["text"] = session.texts(known)
    log = store.answers.labelled(EPOCH, now)
    fresh = log.rows.rename(columns={"prediction_id": "row_id", "truth": "target"})
    fresh["embedding"] = [e.astype(np.float16).tobytes() for e in log.embeddings]
    fresh = fresh[fresh["target"].notna() & ~fresh["row_id"].isin(known["row_id"])]
    fresh["input"] = fresh["row_id"].map(store.answers.chats(fresh["row_id"].tolist()))
    fresh["input"] = fresh["input"].fillna(fresh["text"])
    corrected = session.store.labels.of(known["row_id"].tolist())
    known["target"] = [
        labels.now(corrected.get(i, label))
        for i, label in zip(known["row_id"], known["target"], strict=True)
    ]
    known = known.loc[known["target"].notna(), columns].reset_index(drop=True)
    return pd.concat([known, fresh[columns]], ignore_index=True) if len(fresh) else known


def project(session: Session, now: datetime) -> str:
    """What tells this workspace's tasks from another's: made once, and kept in its store."""
    made = {"id": uuid7(now, str(session.workspace.root.resolve()))}
    return str(session.store.state.once("labeling/project", lambda: made)["id"])


def claimed(session: Session, partition: str, as_of: datetime) -> pd.DataFrame:
    """The rows of a new reservoir partition: labels from the log, and corrections of rows that only the
    reservoir has. The same rows again whenever it is asked."""
    trusted, store = session.strategy.labeling.trusted, session.store.at(as_of)
    labels = known_labels(session, store.label_set)
    if session.task.labelled:
        second_opinions(session, as_of, partition)
    heard = session.store.state.once(
        f"words/{partition}", lambda: hear(session, as_of, labels, partition)
    )
    rows = from_claim(store.labels.claim(partition, as_of, trusted, labels, set(heard["trains"])))
    corrected, aside = session.store.labels.corrected(partition), session.store.reviews.set_aside()
    if not corrected and not aside:
        return rows
    before = read(session.workspace.reservoir)
    out = before[before["row_id"].isin(aside)].assign(set="out")
    before = before[before["row_id"].isin(list(corrected))]
    before["target"] = [corrected[i][0] for i in before["row_id"]]
    before["annotator"] = [corrected[i][1] for i in before["row_id"]]
    return pd.concat([x for x in (rows, before, out) if len(x)], ignore_index=True)


def verify(session: Session, now: datetime) -> None:
    """Make tasks of users' words, where some are new or still to be asked."""
    if not words_due(session, now):
        return
    newest = session.store.feedback.newest(now)
    with session.timed("labeling"):
        labels = known_labels(session, session.store.at(now).label_set)
        found = session.store.state.once(f"words/{now.isoformat()}", lambda: hear(session, now, labels))
        session.store.state.write(FeedbackRead(newest, found["unasked"]))


def words_due(session: Session, now: datetime) -> bool:
    """Whether users said something new, or said something that is still to be asked."""
    newest, heard = session.store.feedback.newest(now), session.store.state.read(FeedbackRead)
    return newest is not None and (heard.until != newest or heard.unasked > 0)


def waiting_words(session: Session, now: datetime) -> list[Ruling]:
    """What would become of each of users' words that no dataset has and no task checks."""
    return judge(session, now, known_labels(session, session.store.at(now).label_set))


def ask_about(session: Session, now: datetime, count: int) -> int:
    """Make tasks of so many words that would not train, in order of time; returns how many that are."""
    rulings = [r for r in waiting_words(session, now) if r.fate != "trains"]
    session.store.queue.add([check(r.word, now) for r in rulings[:count]])
    return len(rulings[:count])


def labels_in_use(session: Session, now: datetime) -> list[str]:
    """The labels that may be given without a question: as `known_labels`, and those of single votes."""
    store = session.store.at(now)
    given = session.task.labelled and declared(session, now) is None
    voted = store.labels.in_use() if given else []
    return store.label_set.current([*known_labels(session, store.label_set), *voted])


def unknown_labels(session: Session, labels: Iterable[str], now: datetime) -> dict[str, int]:
    """Of the labels of some rows those that nobody has used, and how many rows have them; none where no
    label is in use yet."""
    names, used = session.store.label_set_at(now), set(labels_in_use(session, now))
    found = Counter(names.last(x) for x in labels)
    return {x: n for x, n in found.items() if used and x not in used}


def known_labels(session: Session, labels: LabelSet) -> list[str]:
    """The declared labels; where they are open, those of the model that serves and of people so far.
    None where answers are no labels."""
    if not session.task.labelled:
        return []
    closed = session.strategy.labeling.closed
    names = {*_learnt(session), *session.store.labels.names()} if closed is None else closed
    return labels.current(names)


def _learnt(session: Session) -> list[str]:
    """The labels of the model that serves; none before the first one is trained."""
    version = session.store.state.read(Champion).version
    return [] if version is None else session.registry.labels(version)
