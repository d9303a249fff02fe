"""Undoing a promotion, and holding the version that serves.

A rollback is stored first, with who asked for it and why, and then carried out: the registry's alias
moves, then the store's. Killed in between, it is finished by the same command or by the next turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from core.errors import RolloutError
from core.evidence import AdoptEvidence, PinEvidence, RollbackEvidence, RolloutEvidence
from core.records.decisions import Decision
from core.state import Pin, RollbackBegun, RolledBack
from flows.session import Session
from flows.state import set_champion
from pipelines.rollout import roll_back

STATUS = "everloop rollout status"


@dataclass(frozen=True)
class Requester:
    """Who asks for something, and why."""

    by: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.by}: {self.why}" if self.why else self.by


@dataclass(frozen=True)
class Reign:
    """How a version came to serve."""

    version: str
    before: str
    since: datetime


def reigns(session: Session) -> list[Reign]:
    """Every change of champion after the first model, in order of time."""
    found = [
        Reign(r.candidate, r.champion, r.stage_started)
        for r in session.store.decisions.rollouts()
        if r.stage == "promoted"
    ]
    moved = [d for d in session.store.decisions.read("serving") if d.verdict == "adopt"]
    adopted = [(d.timestamp, d.read(AdoptEvidence)) for d in moved]
    found += [Reign(e.version, e.before, when) for when, e in adopted]
    undone = [(d.timestamp, d.read(RollbackEvidence)) for d in session.store.decisions.read("rollout")]
    found += [Reign(e.to, e.before, when) for when, e in undone if e.to and e.before]
    return sorted(found, key=lambda r: r.since)


def undo(session: Session, now: datetime, asked: Requester, to: str | None = None) -> Decision:
    """Make `to` the champion again, the version before unless told; the one that serves now is not
    promoted again by the loop. Raises RolloutError or ModelError for a version that cannot be meant."""
    finished = finish(session)
    if finished and to in (None, finished.read(RollbackEvidence).to):
        return finished
    version = session.store.state.champion()
    target = _before(session, version) if to is None else to
    check(session, target)
    decision = Decision(
        key=f"rollout/undo/{version}-{target}/{now.isoformat()}",
        stage="rollout",
        timestamp=now,
        verdict="rollback",
        reason=f"version {version} -> rollback to version {target}: by {asked}",
        evidence=RollbackEvidence(version, target, asked.by, asked.why),
        severity="warning",
    )
    undone = {**_undone(session), version: decision.key}
    undone.pop(target, None)
    session.store.decisions.put([decision], [RollbackBegun(decision.key), RolledBack(undone)])
    finish(session)
    session.listen(decision)
    return decision


def finish(session: Session) -> Decision | None:
    """Carry out a rollback that was stored and not done; returns it."""
    key = session.store.state.read(RollbackBegun).decision
    decision = session.store.decisions.get(key) if key else None
    if decision and (to := decision.read(RollbackEvidence).to):
        set_champion(session, to)
        session.store.state.write(RollbackBegun())
    return decision


def barred(session: Session, version: str) -> str:
    """Why the loop does not promote a version, "" when it may."""
    key = _undone(session).get(version)
    decision = session.store.decisions.get(key) if key else None
    if decision is None:
        return ""
    e = decision.read(RollbackEvidence)
    when = f"{decision.timestamp:%Y-%m-%d %H:%M}"
    return f"version {version} was rolled back on {when} by {Requester(e.by, e.why)}"


def undone(session: Session) -> list[str]:
    """Every version that the loop does not promote again, in words."""
    return [why for v in sorted(_undone(session), key=_number) if (why := barred(session, v))]


def pinned(session: Session) -> str:
    """Which version is held, by whom and why; "" when none is."""
    pin = session.store.state.read(Pin)
    return f"version {pin.version} is pinned by {Requester(pin.by, pin.why)}" if pin else ""


def pin(session: Session, now: datetime, asked: Requester, version: str | None = None) -> Decision:
    """Hold the champion: it answers everybody until it is unpinned. Raises RolloutError for a version
    that does not serve."""
    finish(session)
    champion = session.store.state.champion()
    if version not in (None, champion):
        raise RolloutError(
            "only the version that serves can be pinned",
            got=f"version {version}",
            expected=f"version {champion}",
            do=_way_to(session, str(version)),
        )
    held = Pin(champion, now, asked.by, asked.why)
    seen = PinEvidence(champion, now, asked.by, asked.why)
    reason = f"version {champion} -> pin: by {asked}"
    decision = Decision(f"rollout/pin/{now.isoformat()}", "rollout", now, "pin", reason, seen)
    session.store.decisions.put([decision], [held])
    session.listen(decision)
    return decision


def _way_to(session: Session, version: str) -> str:
    """How a version that does not serve comes to serve."""
    live = session.store.decisions.live_rollout()
    if live and live.candidate == version:
        return f"everloop rollout promote, then: everloop rollout pin {version}"
    if version in _served(session, reigns(session)):
        return f"everloop rollout rollback --to {version}, then: everloop rollout pin {version}"
    return f"{STATUS}; without a number, pin holds the version that serves"


def unpin(session: Session, now: datetime, asked: Requester) -> Decision:
    """Let the loop go on. A rollout that waited begins its stage anew. Raises RolloutError when no
    version is pinned."""
    held = session.store.state.read(Pin)
    if not held:
        raise RolloutError("no version is pinned", do=STATUS)
    reason = f"version {held.version} -> unpin: by {asked}"
    evidence = PinEvidence(held.version, None, asked.by, asked.why)
    decision = Decision(f"rollout/unpin/{now.isoformat()}", "rollout", now, "unpin", reason, evidence)
    live = session.store.decisions.live_rollout()
    session.store.decisions.put([decision], [Pin()], replace(live, stage_started=now) if live else None)
    session.listen(decision)
    return decision


def check_unpinned(session: Session, what: str) -> None:
    """Raises RolloutError while a version is held."""
    if held := pinned(session):
        raise RolloutError(f"{what} while a version is pinned", got=held, do="everloop rollout unpin")


def check(session: Session, target: str) -> None:
    """Raises RolloutError or ModelError where a version cannot be made champion again."""
    check_unpinned(session, "nothing is rolled back")
    if target == session.store.state.champion():
        raise RolloutError(f"version {target} serves already", do=STATUS)
    session.registry.candidate(target)  # there is such a version
    served = _served(session, reigns(session))
    if target not in served:
        others = [v for v in served if v != session.store.state.champion()]
        raise RolloutError(
            "this version never served everybody",
            got=f"version {target}",
            expected=" or ".join(others) or "none: no other version ever served",
            do=STATUS,
        )
    session.registry.labels(target)  # there, and whole; a server looks at the rest of it


def end_barred(session: Session, now: datetime) -> None:
    """End a rollout whose candidate was rolled back."""
    live = session.store.decisions.live_rollout()
    if live and (why := barred(session, live.candidate)):
        ended, decision = roll_back(live, now, why)
        session.record(decision, rollout=ended)


def _before(session: Session, version: str) -> str:
    """The version that the newest promotion replaced. Raises RolloutError where there is none, or where
    it is undone already: a command that is run twice takes one step."""
    past = reigns(session)
    came = next((r for r in reversed(past) if r.version == version), None)
    if came is None:
        raise RolloutError(
            "there is no promotion to roll back",
            got=f"version {version} serves and replaced none",
            do=STATUS,
        )
    by_hand = [
        d
        for d in session.store.decisions.read("rollout", since=came.since)
        if d.verdict == "rollback" and d.read(RolloutEvidence).by
    ]
    if not by_hand:
        return came.before
    further = [v for v in _served(session, past) if v != version]
    raise RolloutError(
        "the last rollback is done already",
        where=f"version {version} serves",
        got=f"{by_hand[-1].timestamp:%Y-%m-%d %H:%M}, {by_hand[-1].reason}",
        expected="a promotion since then",
        do=f"everloop rollout rollback --to {' | '.join(further)}",
    )


def _served(session: Session, past: list[Reign]) -> list[str]:
    """The versions that were champion, oldest first."""
    names = {session.store.state.champion(), *(v for r in past for v in (r.version, r.before))}
    return sorted(names, key=_number)


def _number(version: str) -> tuple[int, str]:
    return len(version), version


def _undone(session: Session) -> dict[str, str]:
    return session.store.state.read(RolledBack).versions
