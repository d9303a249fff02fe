"""Truth that changes: found among all labels there are, told, and old rows that differ are changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from core import rewrites
from core.arrays import stacked
from core.episodes import Episode, Episodes
from core.errors import DataError
from core.evidence import AlertEvidence
from core.records.decisions import Decision
from core.rewrites import Rewrite
from core.texts import counted
from flows.alerts import decisions, deliver
from flows.session import Session
from flows.suspicions import check_suspicions, known_rows
from monitoring.alerts.episodes import Change
from monitoring.alerts.findings import SUSPECTED, TRUTH
from pipelines.datasets.contradictions import Contradiction, Findings, Suspicion, look
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.partitions import read

if TYPE_CHECKING:
    import pandas as pd

RULE = "datasets.supersede"
COMMAND = "everloop data contradictions"
REWRITES = "everloop data rewrite"


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


def contradictions(session: Session, now: datetime) -> tuple[pd.DataFrame, Findings]:
    """What changed, and what may have; and the rows that it was found in."""
    rows = known_rows(session, now)
    if not len(rows):
        return rows, Findings()
    times = [t.to_pydatetime() for t in rows["timestamp"]]
    return rows, look(rows["text"].tolist(), rows["target"].tolist(), stacked(rows["embedding"]), times)


def notice(session: Session, now: datetime) -> list[Decision]:
    """Look for truth that has changed; tell of each change once, as an alert, and do to old rows what
    is the rule. What is only suspected is told, too, and asked about. Returns the new alerts."""
    if session.task.labelled:
        return []
    with session.timed("datasets"):
        rows, found = contradictions(session, now)
        asked = check_suspicions(session, rows, found.suspicions, now)
        told = [_suspected(s, rows, asked, now) for s in found.suspicions]
        told += [_decision(session, c, rows, now) for c in found.changes]
        new = _store(session, told, now)  # first: a change whose rows are changed is not found again
        for change in found.changes:
            if rule := _rule(session, change, now):
                add(session, rule)
    return new


def _store(session: Session, told: Sequence[Decision], now: datetime) -> list[Decision]:
    """Open an alert for each that is new. A suspicion is over once it is none any more, a change once a
    model serves that learnt of it. All of it is stored, or nothing."""
    new = [d for d in told if session.store.decisions.get(d.key) is None]
    known, keys = session.store.state.read(Episodes), {d.key for d in told}
    ended = [e for e in known.open if e.signal == SUSPECTED and e.key not in keys]
    ended = [replace(e, over=now) for e in ended]
    ends = [decisions(session, Change("over", e, why="labels have settled it"), now) for e in ended]
    if new or ended:
        after = known.but([*ended, *(_episode(session, d, now) for d in new)], len(new))
        session.store.decisions.put([*new, *(d for end in ends for d in end)], [after])
        for decision in (*new, *(end[-1] for end in ends)):
            session.listen(decision)
        deliver(session, now)
    return new


def _episode(session: Session, alert: Decision, now: datetime) -> Episode:
    seen = alert.read(AlertEvidence)
    model = session.store.state.champion() if seen.signal == TRUTH else ""
    return Episode(alert.key, seen.signal, seen.segment, alert.severity, now, now, model=model)


def _rule(session: Session, change: Contradiction, now: datetime) -> Rewrite | None:
    """What becomes of the older rows."""
    supersede = session.strategy.datasets.supersede
    if supersede == "ask":
        return None
    jq = change.jq if supersede == "rewrite" and change.renames else ""
    return Rewrite(change.where, jq, now.isoformat(), RULE, change.title)


def _suspected(found: Suspicion, rows: pd.DataFrame, asked: int, now: datetime) -> Decision:
    row = str(rows["row_id"][found.row])
    tell = f"{counted(asked, 'request')} like it will tell" if asked else "no request like it is new"
    return Decision(
        key=f"suspicion/{row}",
        stage="datasets",
        timestamp=now,
        verdict="alert",
        reason=f'the truth may have changed: a row has "{found.new}", which no row had before, though '
        f'{len(found.near)} rows near it have "{found.old}"; {tell}',
        evidence=AlertEvidence(
            signal=SUSPECTED,
            segment=f'"{found.new}" for "{found.old}"',
            kind="concept",
            window_end=now,
            last=now,
            command=COMMAND,
            others={"old": found.old, "new": found.new, "row": row},
        ),
        severity="info",
    )


def _decision(session: Session, change: Contradiction, rows: pd.DataFrame, now: datetime) -> Decision:
    ids = rows["row_id"]
    pairs = [{"before": str(ids[near]), "since": str(ids[row])} for near, row in change.pairs[:3]]
    rule = _rule(session, change, now)
    ends = "say otherwise" if rule is None else _ends(rule, len(change.outdated))
    return Decision(
        key=f"concept/{change.title}",
        stage="datasets",
        timestamp=now,
        verdict="alert",
        reason=f"{in_words(change)}; {counted(len(change.outdated), 'older row')} {ends}",
        evidence=AlertEvidence(
            signal=TRUTH,
            segment=change.title,
            kind="concept",
            window_start=change.since,
            window_end=now,
            last=now,
            command=COMMAND if rule is None else REWRITES,
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


def _ends(rule: Rewrite, rows: int) -> str:
    are = "is" if rows == 1 else "are"
    return f"{are} {'given the new name' if rule.jq else 'left out'} from the next version on"


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
