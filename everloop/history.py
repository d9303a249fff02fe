"""The history of signals as text: a list of them, the values of one, or its picture."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Sequence
from datetime import datetime

from core.errors import DataError
from core.records.signals import Signal
from core.state import CuratedUntil
from everloop.overview import fitted, interval, limit, number
from everloop.plot import plot, sparkline
from everloop.table import table
from flows.session import Session
from monitoring.alerts.findings import SIGNALS, spec_of


def check(session: Session, name: str, segment: str, since: datetime) -> None:
    """Raises DataError when there is no such signal, or nothing of such a segment since then."""
    stored = session.store.signals.names()
    known = sorted({*SIGNALS, *stored})
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise DataError(
            "no such signal",
            where="NAME",
            got=name,
            expected=" or ".join(near) if near else ", ".join(known),
            do="everloop signals lists them",
        )
    if not segment:
        return
    seen = sorted({s.segment for s in session.store.signals.read(since, name)} - {""})
    if segment not in seen:
        raise DataError(
            f"nothing was stored of {name} for this segment",
            where="--segment",
            got=segment,
            expected=" or ".join(seen) or "a segment; none had rows enough lately",
        )


def nothing(session: Session, name: str | None, segment: str, back: str) -> str:
    """Why there is nothing to show."""
    of = f" of {segment}" if segment else ""
    turned = session.store.state.read(CuratedUntil).time
    last = f"the loop last turned at {turned:%Y-%m-%dT%H:%M}" if turned else "the loop never turned"
    return f"nothing was stored of {name or 'any signal'}{of} since {back}; {last}"


def listed(signals: Sequence[Signal]) -> str:
    """Each signal with its newest value."""
    found: dict[str, list[Signal]] = {}
    for s in signals:
        found.setdefault(s.name, []).append(s)
    rows = [[name, *_newest(past)] for name, past in sorted(found.items())]
    return table(["signal", "kind", "value", "unit", "window to", "lately"], rows)


def values(signals: Sequence[Signal]) -> str:
    """One line a window."""
    header = ["window to", "value", "unit", "95 % interval", "limit", "reference", "note"]
    rows = [
        [_when(s), number(s.value), s.unit, interval(s), limit(s), s.reference, s.note] for s in signals
    ]
    return table(header, fitted(header, rows))


def drawn(signals: Sequence[Signal]) -> str:
    """A picture, and what it is of."""
    last = signals[-1]
    of = f" of {last.segment}" if last.segment else ""
    held = f", {limit(last)}" if last.baseline is not None else ""
    said = f"{last.name}{of}, {last.unit}: {number(last.value)} at {_when(last)}{held}"
    if last.reference:
        said += f", against {last.reference}"
    times = [s.window_end for s in signals]
    width = min(100, shutil.get_terminal_size((80, 24)).columns)
    picture = plot(times, [s.value for s in signals], [s.baseline for s in signals], width)
    return f"{said}\n\n{picture}"


def _newest(past: Sequence[Signal]) -> list[str]:
    last = past[-1]
    lately = sparkline([s.value for s in past[-14:]])
    return [spec_of(last.name).kind, number(last.value), last.unit, _when(last), lately]


def _when(signal: Signal) -> str:
    return f"{signal.window_end:%Y-%m-%d %H:%M}"
