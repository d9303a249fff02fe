"""What a file says of tasks, whatever its format: a row becomes a vote, or is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.errors import LabelError
from core.label_set import LabelSet
from core.readers import Refused, excerpt, nearest, unstorable
from core.records import Vote
from core.store import Store
from core.writers import groups
from pipelines.labeling import Labeling

AT_ONCE = 2000  # votes in one transaction


@dataclass(frozen=True)
class Judgement:
    """What one annotator says of one prediction: a label, None (skipped), or "" (not filled in yet,
    or only a draft)."""

    row: int
    prediction_id: str
    annotator: str
    label: str | None
    note: str = ""
    draft: bool = False  # begun in the tool, and not submitted


@dataclass(frozen=True)
class Imported:
    """What became of the rows of a labelled file."""

    accepted: int  # new labels
    already: int  # the same label was known
    unlabelled: int  # nothing filled in yet
    refused: list[Refused]
    skipped: int = 0
    renamed: int = 0  # given under a name that was merged into another
    drafts: int = 0  # begun and not submitted


def take(
    found: Iterable[Judgement | Refused],
    store: Store,
    settings: Labeling,
    now: datetime,
) -> Imported:
    """Store what was said as votes; a label that was merged counts under its name in `store.labels`. A
    row that contradicts a label, in the file or in the store, is refused, and the first one stands.
    Taking the same again changes nothing."""
    refused: list[Refused] = []
    said: list[Judgement] = []
    blank = renamed = drafts = 0
    labels = store.labels
    closed = None if settings.closed is None else labels.current(settings.closed)
    for one in found:
        if isinstance(one, Refused):
            refused.append(one)
        elif one.draft:
            drafts += 1
        elif one.label == "":
            blank += 1
        elif reason := labels.refusal(one.label or "") or _fault(_called(one, labels), closed):
            refused.append(Refused(one.row, reason, excerpt(one.label)))
        else:
            said.append(_called(one, labels))
            renamed += said[-1].label != one.label
    known = _known(store, said)
    labelled, skipped, wrong = _vote(store, said, settings.annotators, now)
    fresh = {(j.prediction_id, j.annotator) for j in labelled} - known
    refused = sorted([*refused, *wrong], key=lambda r: r.row)
    already = len(labelled) - len(fresh)
    return Imported(len(fresh), already, blank, refused, skipped, renamed, drafts)


def _called(one: Judgement, labels: LabelSet) -> Judgement:
    return one if one.label is None else replace(one, label=labels.now(one.label))


def _known(store: Store, said: Sequence[Judgement]) -> set[tuple[str, str]]:
    """Whose labels would be no news: given before, or of a task that has its label."""
    ids = [j.prediction_id for j in said]
    settled = store.labels_of(ids)
    given = {(v.prediction_id, v.annotator) for v in store.votes_of(ids) if v.label is not None}
    return given | {(j.prediction_id, j.annotator) for j in said if j.prediction_id in settled}


def _vote(
    store: Store, said: Sequence[Judgement], needed: int, now: datetime
) -> tuple[list[Judgement], int, list[Refused]]:
    """Labels that were taken, how many skips were, and what was refused."""
    labelled: list[Judgement] = []
    skipped, wrong = 0, []
    tasks = store.task_ids([j.prediction_id for j in said])
    for part in groups(said, AT_ONCE):
        votes = [Vote(j.prediction_id, j.annotator, j.label, now, j.note) for j in part]
        for one, state in zip(part, store.votes(votes, needed, replace=False), strict=True):
            if isinstance(state, LabelError):
                value = one.label if one.prediction_id in tasks else one.prediction_id
                wrong.append(Refused(one.row, state.what, excerpt(value)))
            elif one.label is None:
                skipped += 1
            else:
                labelled.append(one)
    return labelled, skipped, wrong


def _fault(one: Judgement, closed: Sequence[str] | None) -> str:
    """Why nobody could take it, or ""."""
    if not one.prediction_id:
        return "no prediction id"
    if not one.annotator:
        return "nobody is named who labelled it"
    if bad := unstorable([one.prediction_id, one.annotator, one.label or "", one.note]):
        return bad
    if one.label is None or closed is None or one.label in closed:
        return ""
    near = nearest(one.label, closed)
    return "a label that was never declared" + (f"; did you mean '{near}'?" if near else "")
