"""The label set of a workspace: what it is, and changes to it, with what they leave to be labelled."""

from __future__ import annotations

from datetime import datetime

from core.errors import LabelError
from core.label_set import LabelSet, Operation
from core.records.labels import Review
from core.times import utc
from flows.session import Session
from pipelines.datasets.dvc_git import Repository

AT_ONCE = 500  # reviews in one transaction


def declared(session: Session, now: datetime) -> tuple[str, ...] | None:
    """The labels that may be given at a time; None where any may."""
    closed = session.strategy.labeling.closed
    return None if closed is None else tuple(session.store.label_set_at(now).current(closed))


def check_labelled(session: Session) -> None:
    """Raises LabelError where answers are no labels."""
    if not session.task.labelled:
        raise LabelError(
            "answers are no labels here",
            where=str(session.workspace.params),
            got=f"task: {session.task.policy}",
            expected="a task whose answers are of a set of labels",
        )


def given(session: Session, label: str, now: datetime) -> str:
    """What a label that somebody gives is called. Raises LabelError for one that is no more."""
    labels = session.store.label_set_at(now)
    if why := labels.refusal(label):
        raise LabelError(why, where=label, do="everloop label set")
    return labels.last(label)


def change(session: Session, asked: Operation) -> tuple[LabelSet, int]:
    """Change the label set. Returns it, and how many labels of what was split are now under review.

    One at a time: it holds the lock of the dataset versions. Raises LabelError. The same change again
    is harmless, and finishes one that was killed.
    """
    from flows.labels import known_labels

    check_labelled(session)
    root = session.workspace.root
    with Repository(root).exclusive():
        labels = LabelSet.load(root)
        place = _place(labels, asked)
        if place == labels.version:
            labels = labels.after(asked, known_labels(session, labels))
            labels.save(root)
    session.store.under(labels).labels.rescore()
    reopened = (
        _reopen(session, asked, LabelSet(labels.operations[:place])) if asked.op == "split" else 0
    )
    return labels, reopened


def _place(labels: LabelSet, asked: Operation) -> int:
    """Where among the operations it stands; after the last one, where it was never made, or would be
    refused now."""
    for i, o in enumerate(labels.operations):
        same = (o.op, o.labels, o.into) == (asked.op, asked.labels, asked.into)
        if same and (o.op != "add" or all(labels.now(x) == x for x in o.labels)):
            return i
    return labels.version


def _reopen(session: Session, split: Operation, before: LabelSet) -> int:
    """Put what has the label, by any of its names, under review: answered, it comes into the next
    dataset under one of the new labels."""
    from flows.labels import labelled

    (gone,) = split.labels
    now = utc(datetime.fromisoformat(split.at))
    rows = labelled(session, now, before)
    rows = rows[rows["target"] == gone]
    reviews = [
        Review(str(i), now, str(label), ", ".join(split.into), 0.0, str(text))
        for i, label, text in zip(rows["row_id"], rows["target"], rows["text"], strict=True)
    ]
    parts = [reviews[i : i + AT_ONCE] for i in range(0, len(reviews), AT_ONCE)]
    return sum(session.store.reviews.add(part) for part in parts)
