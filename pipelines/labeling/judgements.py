"""What a file says of tasks, whatever its format: a row becomes a vote, or is refused with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.cells import unstorable
from core.errors import LabelError
from core.label_names import normal
from core.label_set import LabelSet
from core.readers import Refused, excerpt, nearest
from core.records.labels import Vote
from core.store import Store
from core.tasks import Task
from core.writers import groups
from pipelines.labeling import Labeling

AT_ONCE = 2000  # votes in one transaction


@dataclass(frozen=True)
class Judgement:
    """What one annotator says of one prediction, as the file has it: a label or a written answer, None
    (skipped), or "" (not filled in yet, or only a draft)."""

    row: int
    prediction_id: str
    annotator: str
    label: Any
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
    waiting: dict[str, int] = field(default_factory=dict)  # labels that nobody has used: their rows


def take(
    found: Iterable[Judgement | Refused],
    store: Store,
    settings: Labeling,
    now: datetime,
    names: Collection[str] | None = None,
    clean: Callable[[str], str] = str,
) -> Imported:
    """Store what was said as votes; a label that was merged counts under its name in `store.labels`. A
    row that contradicts a label, in the file or in the store, is refused, and the first one stands.
    Taking the same again changes nothing. An answer that was written is stored as `clean` leaves it.

    names: the labels in use, where any other may be a slip: votes for it wait, see `release`. Without,
    every label is meant.
    """
    refused: list[Refused] = []
    said: list[Judgement] = []
    blank = renamed = drafts = 0
    labels = store.label_set
    closed = None if settings.closed is None else labels.current(settings.closed)
    for given in found:
        one = given if isinstance(given, Refused) else _read(given, store.task, clean)
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
    slips = [] if names is None else [j for j in said if j.label is not None and j.label not in names]
    there = store.queue.ids([j.prediction_id for j in slips])
    slips = [j for j in slips if j.prediction_id in there]  # the others are refused as all such are
    known = _known(store, said)
    held = {id(j) for j in slips}
    meant = [j for j in said if id(j) not in held]
    labelled, skipped, wrong = _vote(store, meant, settings.annotators, now)
    store.queue.let_go([_as_vote(j, now) for j in labelled])  # what they said before they were asked
    waiting, late = _put_aside(store, slips, now)
    fresh = {(j.prediction_id, j.annotator) for j in labelled} - known
    refused = sorted([*refused, *late, *wrong], key=lambda r: r.row)
    already, later = len(labelled) - len(fresh), dict(Counter(waiting))
    return Imported(len(fresh), already, blank, refused, skipped, renamed, drafts, later)


def release(store: Store, settings: Labeling, names: Collection[str]) -> int:
    """Cast the votes that waited for a name that is in use by now; returns how many waited. One that
    comes too late goes on waiting, unless its annotator has said something else."""
    ready = [v for v in store.queue.waiting() if v.label in names]
    done: list[Vote] = []
    for part in groups(ready, AT_ONCE):
        given = {
            (v.prediction_id, v.annotator) for v in store.queue.votes([v.prediction_id for v in part])
        }
        states = store.queue.vote_all(part, settings.annotators, replace=False)
        done += [
            vote
            for vote, state in zip(part, states, strict=True)
            if not isinstance(state, LabelError) or (vote.prediction_id, vote.annotator) in given
        ]
    store.queue.let_go(done)
    return len(done)


def _put_aside(
    store: Store, slips: Sequence[Judgement], now: datetime
) -> tuple[list[str], list[Refused]]:
    """Store votes that wait for their names, but for those that would be too late under any name.
    Returns the labels that wait, row by row, and what was refused."""
    ids = [j.prediction_id for j in slips]
    settled = store.labels.of(ids)
    given = {(v.prediction_id, v.annotator): str(v.label) for v in store.queue.votes(ids) if v.label}
    aside: list[Judgement] = []
    refused = []
    for one in slips:
        mine = (one.prediction_id, one.annotator)
        if label := settled.get(one.prediction_id):
            reason = f"this prediction is already labelled '{label}'"
        elif given.setdefault(mine, str(one.label)) != one.label:
            reason = f"{one.annotator} has labelled it '{given[mine]}'"
        else:
            aside.append(one)
            continue
        refused.append(Refused(one.row, reason, excerpt(one.label)))
    store.queue.put_aside([_as_vote(j, now) for j in aside])
    return [str(j.label) for j in aside], refused


def _read(one: Judgement, task: Task, clean: Callable[[str], str]) -> Judgement | Refused:
    """With the label or the answer as the store has it, "" where the cell has none."""
    if one.label is None or one.draft:
        return one
    if not isinstance(one.label, (list, dict)) and not normal(one.label):
        return replace(one, label="")
    try:
        target = task.target(one.label)
    except ValueError as why:
        return Refused(one.row, str(why), excerpt(one.label))
    return replace(one, label=target if task.labelled else clean(target))


def _as_vote(one: Judgement, now: datetime) -> Vote:
    return Vote(one.prediction_id, one.annotator, one.label, now, one.note)


def _called(one: Judgement, labels: LabelSet) -> Judgement:
    return one if one.label is None else replace(one, label=labels.now(one.label))


def _known(store: Store, said: Sequence[Judgement]) -> set[tuple[str, str]]:
    """Whose labels would be no news: given before, or of a task that has its label."""
    ids = [j.prediction_id for j in said]
    settled = store.labels.of(ids)
    given = {(v.prediction_id, v.annotator) for v in store.queue.votes(ids) if v.label is not None}
    return given | {(j.prediction_id, j.annotator) for j in said if j.prediction_id in settled}


def _vote(
    store: Store, said: Sequence[Judgement], needed: int, now: datetime
) -> tuple[list[Judgement], int, list[Refused]]:
    """Labels that were taken, how many skips were, and what was refused."""
    labelled: list[Judgement] = []
    skipped, wrong = 0, []
    tasks = store.queue.ids([j.prediction_id for j in said])
    for part in groups(said, AT_ONCE):
        votes = [_as_vote(j, now) for j in part]
        for one, state in zip(part, store.queue.vote_all(votes, needed, replace=False), strict=True):
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
    if bad := unstorable("".join([one.prediction_id, one.annotator, one.label or "", one.note])):
        return bad
    if one.label is None or closed is None or one.label in closed:
        return ""
    near = nearest(one.label, closed)
    return "a label that was never declared" + (f"; did you mean '{near}'?" if near else "")
