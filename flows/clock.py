"""The time that a command acts at, held against what the workspace knows already.

A turn looks back from its time: what is later does not count. So a time before the last turn would
decide on half of what is known, and one far ahead would make every later turn one of the past. Both are
refused. A replay has a clock of its own and never asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.errors import ClockError
from core.evidence import AnyEvidence
from core.records.decisions import Decision
from core.state import CuratedUntil, Retrains
from core.store.clock import ARRIVES
from core.times import utc
from flows.session import Session

SKEW = timedelta(minutes=1)  # that the clocks of two machines may differ
LATE = timedelta(hours=1)  # that a turn may run after its time, while answers and labels come in
AHEAD = timedelta(days=1)  # that a turn may be ahead of all that is known, where that is ahead of us


@dataclass(frozen=True)
class NewestRecord:
    """The newest record of one kind."""

    what: str
    time: datetime
    arrives: bool = False  # by itself, while a turn is under way

    @property
    def allowed(self) -> datetime:
        """The earliest time that a command may act at."""
        return self.time - (LATE if self.arrives else SKEW)


def acting(session: Session, now: datetime | None) -> datetime:
    """The time a command acts at: the machine's unless it is told. Raises ClockError."""
    when, known = now or datetime.now(UTC), newest(session)
    latest = next(iter(sorted(known, key=lambda k: k.allowed)[::-1]), None)
    if now:
        check_ahead(session, now, known)
    if latest and when < latest.allowed and not _begun(session, when, latest):
        raise _before(session, when, latest, by_hand=now is not None)
    return when


def check_ahead(session: Session, now: datetime, known: list[NewestRecord] | None = None) -> None:
    """Raises ClockError for a time ahead of the machine's clock. A workspace that lives ahead of it, by
    its traffic, may go on for a day."""
    here = datetime.now(UTC) + SKEW
    latest = max([k.time for k in (newest(session) if known is None else known)], default=here)
    most = latest + AHEAD if latest > here else here
    if now > most:
        raise ClockError(
            "this time is still to come",
            where="--now",
            got=f"{now:%Y-%m-%d %H:%M}",
            expected=f"{most:%Y-%m-%d %H:%M} at most",
            do="leave --now out, or mend it: every turn after it would be refused as one of the past",
        )


def newest(session: Session) -> list[NewestRecord]:
    """The newest record of each kind that there is."""
    found = [
        NewestRecord(name, time, kind == ARRIVES) for name, kind, time in session.store.clock.newest()
    ]
    turned, made = session.store.state.read(CuratedUntil).time, session.store.state.read(Retrains)
    for what, time in (("a turn", turned), (f"dataset v{made.done:04d}", made.last)):
        if time:
            found.append(NewestRecord(what, utc(time)))
    return sorted(found, key=lambda k: k.time)


def set_back(session: Session, now: datetime, by: str) -> tuple[Decision, dict[str, int]]:
    """Call everything that claims to be later than `now` of now: the way out after a clock ran ahead.

    Nothing is dropped but signals of windows that have not been.
    """
    latest = newest(session)[-1:]
    moved = session.store.clock.set_back(now)
    told = ", ".join(f"{n} {name}" for name, n in sorted(moved.items())) or "nothing was later"
    seen = f" (the latest said {latest[0].time:%Y-%m-%d %H:%M})" if latest and moved else ""
    evidence = AnyEvidence({"by": by, "moved": moved})
    key = f"clock/{now.isoformat()}"
    decision = Decision(key, "clock", now, "set back", f"by {by}: {told}{seen}", evidence)
    session.record(decision)
    return decision, moved


def _begun(session: Session, when: datetime, latest: NewestRecord) -> bool:
    """A turn that was killed goes on under its own time, whatever came in since."""
    if not latest.arrives:
        return False
    plan = session.store.state.read(Retrains).plan
    planned = plan is not None and plan.as_of == when
    return planned or bool(session.store.signals.read(when, "rows", when))


def _before(session: Session, when: datetime, latest: NewestRecord, by_hand: bool) -> ClockError:
    do = "leave --now out, or give a later time" if by_hand else "set this machine's clock"
    return ClockError(
        "this workspace knows of a later time already",
        where=str(session.workspace.root),
        got=f"{when:%Y-%m-%d %H:%M:%S}, {'by --now' if by_hand else 'by the clock of this machine'}",
        expected=f"{latest.allowed:%Y-%m-%d %H:%M:%S} or later: {latest.what} is of "
        f"{latest.time:%Y-%m-%d %H:%M:%S}",
        do=f"{do}; if the later time is the wrong one: everloop check --set-back",
    )
