"""Truth that changes: found among all labels there are, told, and old rows that differ retired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core import rewrites
from core.errors import DataError
from core.evidence import AlertEvidence
from core.records.decisions import Decision
from core.rewrites import Rewrite
from core.texts import counted
from flows.session import Session
from pipelines.datasets.contradictions import Contradiction, changes
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.partitions import read

if TYPE_CHECKING:
    import pandas as pd

RULE = "datasets.supersede"
COMMAND = "everloop data contradictions"


@dataclass(frozen=True)
class Effect:
    """What a rewrite would do."""

    rows: int  # labelled rows there are
    meant: int
    pairs: list[tuple[str, str, str | None]]  # request, target, and the target by now


def check_written(session: Session) -> None:
    """Raises DataError where answers are labels: those have commands of their own."""
    if session.task.labelled:
        raise DataError(
            "answers are labels here",
            where=str(session.workspace.params),
            got=f"task: {session.task.policy}",
            expected="a task whose answers are free text",
            do="everloop label set merge OLD --into NEW renames a label",
        )


def contradictions(session: Session, now: datetime) -> tuple[pd.DataFrame, list[Contradiction]]:
    """What changed; and the rows it was found in: every label there is, as rewrites make it, that the
    commonest encoder read."""
    from core.arrays import stacked
    from flows.labels import labelled

    rows = labelled(session, now, session.store.at(now).label_set)
    if not len(rows):
        return rows, []
    rows = rows[rows["encoder"] == rows["encoder"].mode()[0]].reset_index(drop=True)
    rules = rewrites.in_force(rewrites.load(session.workspace.root), now)
    if rules:
        rows["target"] = rewrites.rewritten(rules, rows["text"], rows["target"], rows["timestamp"])
        rows = rows[rows["target"].notna()].reset_index(drop=True)
    times = [t.to_pydatetime() for t in rows["timestamp"]]
    found = changes(rows["text"].tolist(), rows["target"].tolist(), stacked(rows["embedding"]), times)
    return rows, found


def notice(session: Session, now: datetime) -> list[Decision]:
    """Look for truth that has changed; tell of each change once, and retire old rows where that is the
    rule."""
    if session.task.labelled:
        return []
    with session.timed("datasets"):
        rows, found = contradictions(session, now)
        known = session.store.decisions
        told = [_decision(session, c, rows, now) for c in found]
        new = [d for d in told if known.get(d.key) is None]
        session.record(*new)  # first: once its rows are retired, a change is not found again
        if session.strategy.datasets.supersede == "retire":
            for change in found:
                add(session, Rewrite(change.where, "", now.isoformat(), RULE, change.title))
    return new


def _decision(session: Session, change: Contradiction, rows: pd.DataFrame, now: datetime) -> Decision:
    retires = session.strategy.datasets.supersede == "retire"
    asked, said = rows["text"], rows["target"]
    pairs = [
        {"request": asked[row], "before": said[near], "since": said[row]}
        for near, row in change.pairs[:3]
    ]
    old = counted(len(change.outdated), "older row")
    ends = f"{old} are retired from the next version on" if retires else f"{old} say otherwise"
    return Decision(
        key=f"concept/{change.title}",
        stage="datasets",
        timestamp=now,
        verdict="alert",
        reason=f"{in_words(change)}; {ends}",
        evidence=AlertEvidence(
            signal="truth",
            kind="concept",
            window_start=change.since,
            window_end=now,
            command=COMMAND,
            others={
                "old": change.old.text,
                "new": change.new.text,
                "before": list(change.before),
                "after": list(change.after),
                "chance": change.chance,
                "where": change.where,
                "outdated": len(change.outdated),
                "pairs": pairs,
            },
        ),
        severity="warning",
    )


def in_words(change: Contradiction) -> str:
    """What changed, since when, and how sure that is."""
    (kept, early), (late, new) = change.before, change.after
    return (
        f"the truth has changed: {change.title} since {change.since:%Y-%m-%d %H:%M}. Of rows near each "
        f"other {kept} of {kept + early} had the old name before, {new} of {late + new} have the new "
        f"one since (by chance: {change.chance:.1g})"
    )


def effect(session: Session, rewrite: Rewrite) -> Effect:
    """What a rewrite would do to the rows of the reservoir. Raises DataError for one that fails."""
    rows = read(session.workspace.reservoir, columns=["input", "target", "timestamp"])
    given = [rows[c].tolist() for c in ("input", "target", "timestamp")]
    asked = [rewrites.row_of(*row) for row in zip(*given, strict=True)]
    meant = [i for i, row in enumerate(asked) if rewrites.meant(rewrite.where, row)]
    after = rewrites.rewritten([rewrite], *([column[i] for i in meant] for column in given))
    texts = session.texts(rows)
    pairs = [(texts[i], given[1][i], said) for i, said in zip(meant, after, strict=True)]
    return Effect(len(rows), len(meant), pairs)


def add(session: Session, rewrite: Rewrite) -> int:
    """Declare a rewrite; its number. The same again changes nothing. What somebody undid, the rule does
    not do again."""
    root = session.workspace.root
    with Repository(root).exclusive():
        known = rewrites.load(root)
        for number, one in enumerate(known, 1):
            same = (one.where, one.jq) == (rewrite.where, rewrite.jq) and not one.undone
            if same or (rewrite.by == RULE and (one.by, one.why) == (RULE, rewrite.why)):
                return number
        rewrites.save(root, (*known, rewrite))
        return len(known) + 1


def take_back(session: Session, number: int, now: datetime) -> Rewrite:
    """Undo a rewrite: the next version reads its rows as they were. Raises DataError."""
    root = session.workspace.root
    with Repository(root).exclusive():
        after = rewrites.undo(rewrites.load(root), number, now)
        rewrites.save(root, after)
        return after[number - 1]
