"""The label set of a workspace: what it is, and changes to it, with what they leave to be labelled."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from core.errors import LabelError
from core.label_set import LabelSet, Operation
from core.records import Review
from flows.home import Home

AT_ONCE = 500  # reviews in one transaction


def declared(home: Home) -> tuple[str, ...] | None:
    """The labels that may be given today; None where any may."""
    closed = home.strategy.labeling.closed
    return None if closed is None else tuple(LabelSet.load(home.workspace.root).current(closed))


def given(home: Home, label: str) -> str:
    """What a label that somebody gives is called today. Raises LabelError for one that is no more."""
    labels = LabelSet.load(home.workspace.root)
    if why := labels.refusal(label):
        raise LabelError(why, where=label, do="everloop label set show")
    return labels.now(label) or label


def change(home: Home, asked: Operation) -> tuple[LabelSet, int]:
    """Change the label set. Returns it, and how many labels of what was split are now under review.

    Raises LabelError. The same change again is harmless.
    """
    from flows.labels import known_labels

    before = LabelSet.load(home.workspace.root)
    last = before.operations[-1] if before.operations else None
    again = last is not None and replace(last, at=asked.at, by=asked.by, why=asked.why) == asked
    after = before if again else before.after(asked, known_labels(home))
    if not again:
        after.save(home.workspace.root)
    return after, _reopen(home, asked, after) if asked.op == "split" else 0


def _reopen(home: Home, split: Operation, labels: LabelSet) -> int:
    """Put what has the label, by any of its names, under review: answered, it comes into the next
    dataset under one of the new labels."""
    from flows.labels import labelled

    (gone,) = split.labels
    now = datetime.fromisoformat(split.at)
    earlier = LabelSet(labels.operations[:-1])
    rows = labelled(home, now)
    rows = rows[[earlier.now(label) == gone for label in rows["label"]]]
    reviews = [
        Review(str(i), now, str(label), ", ".join(split.into), 0.0, str(text))
        for i, label, text in zip(rows["row_id"], rows["label"], rows["text"], strict=True)
    ]
    parts = [reviews[i : i + AT_ONCE] for i in range(0, len(reviews), AT_ONCE)]
    return sum(home.store.add_reviews(part) for part in parts)
