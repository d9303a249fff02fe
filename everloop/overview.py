"""The picture of a window that a person reads in ten seconds: all well or not, why, what to do."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import typer

from core.episodes import words_now
from core.evidence import AlertEvidence
from core.records.decisions import Decision, Severity
from core.records.signals import Signal
from core.texts import counted
from everloop.plot import sparkline
from everloop.table import shortened, table
from monitoring.alerts.decisions import describe, length
from monitoring.alerts.findings import spec_of, unproven

KINDS = ("quality", "drift", "proxy", "confidence", "feedback", "accuracy", "system")
COLOUR: Mapping[str, str] = {"critical": "red", "warning": "yellow", "info": "cyan", "over": "green"}
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
HEADER = ("kind", "", "signal", "segment", "value", "unit", "95 % interval", "limit", "lately", "note")
OF_MODEL = "model_version="  # always one, so no news; --segments shows it too
Place = tuple[str, str]


@dataclass(frozen=True)
class Picture:
    """What `everloop monitor` shows."""

    signals: Sequence[Signal]
    alerts: Sequence[Decision]  # open ones, and those that end with this window
    lately: Mapping[Place, list[float | None]] = field(default_factory=dict)  # (signal, segment)
    notes: Sequence[str] = ()
    workspace: str = ""  # as `-w` named it


def status(alerts: Sequence[Decision], signals: Sequence[Signal]) -> str:
    """`healthy`, how many alerts of which severity are open, or that nobody can say yet."""
    counts = Counter(a.severity for a in alerts if a.verdict == "alert")
    nothing = unproven(signals)
    if not counts:
        return nothing or "healthy: no alert is open"
    parts = ", ".join(f"{counts[s]} {s}" for s in SEVERITIES if counts[s])
    if set(counts) == {"info"} and not nothing:
        return f"healthy: {parts}, nothing that is known to cost accuracy"
    total = counts.total()
    return f"{counted(total, 'alert')} open: {parts}"


def overview(picture: Picture, segments: bool = False) -> str:
    """Status, alerts, and the signals grouped by kind; those of segments only when asked for."""
    worst = next((s for s in SEVERITIES if any(a.severity == s for a in picture.alerts)), None)
    line = status(picture.alerts, picture.signals)
    colour = "green" if line.startswith("healthy") else COLOUR[worst or "warning"]
    whole = [s for s in picture.signals if not s.segment]
    first = whole[0]
    week = next((s for s in whole if s.name == "alerts.week" and s.value is not None), None)
    often = f"; {week.value:.1f} alerts a week lately" if week else ""
    shown = picture.signals if segments else whole
    blocks = [
        typer.style(line, fg=colour, bold=True) + often,
        f"window: {first.window_start:%Y-%m-%d %H:%M} to {first.window_end:%Y-%m-%d %H:%M} UTC",
        *(f"\n{told(a, first.window_end, picture.workspace)}" for a in picture.alerts),
        "",
        table(HEADER, fitted(HEADER, list(_rows(shown, picture)))),
    ]
    parts = {s.segment for s in picture.signals if s.segment}
    folded = sorted(p for p in parts if not p.startswith(OF_MODEL))
    if folded and not segments:
        count = counted(len(folded), "segment")
        blocks.append(f"\n{count} folded ({', '.join(folded)}): --segments shows them")
    blocks += [f"\n{note}" for note in picture.notes]
    return "\n".join(blocks)


def past_alerts(picture: Picture, week: Signal, everything: bool) -> str:
    """Open alerts, then those that are over; past ones that cost no accuracy only when asked for."""
    alerts, workspace = picture.alerts, picture.workspace
    still = [a for a in alerts if not a.read(AlertEvidence).over]
    gone = [a for a in alerts if a not in still]
    shown = gone if everything else [a for a in gone if a.severity != "info"]
    often = week.note if week.value is None else f"{week.value:.1f} ({week.note})"
    blocks = [f"{status(still, picture.signals)}\nalerts a week: {often}"]
    blocks += [told(a, week.window_end, workspace) for a in (*still, *shown)]
    if len(gone) > len(shown):
        blocks.append(f"{len(gone) - len(shown)} more that were over, of severity info: --all")
    return "\n\n".join(blocks)


def told(alert: Decision, now: datetime, workspace: str = "") -> str:
    """An alert, since when, what is known of it, and what to run next."""
    label = alert.severity if alert.verdict == "alert" else alert.verdict
    seen = alert.read(AlertEvidence)
    over, windows = seen.over, seen.windows
    lines = [alert.reason if over else words_now(alert)]
    if alert.verdict == "alert":
        end = over or now
        count = f"bad in {counted(windows, 'window')}"
        begin = f"{alert.timestamp:%Y-%m-%d %H:%M}"
        until = f"{begin} to {end:%Y-%m-%d %H:%M}" if over else f"since {begin}"
        lasted = f" ({length(end - alert.timestamp)})" if end > alert.timestamp else ""
        lines.append(f"{until}{lasted}, {count}")
        lines += describe(alert) if not over else []
        if workspace and not over and seen.command:
            lines[-1] += f" -w {workspace}"
    head = typer.style(f"{label:<9}", fg=COLOUR.get(label))
    return f"{head} " + f"\n{'':>10}".join(lines)


def _rows(signals: Sequence[Signal], picture: Picture) -> Iterable[list[Any]]:
    open_ = [a.read(AlertEvidence) for a in picture.alerts if a.verdict == "alert"]
    bad = {(e.signal, e.segment) for e in open_}

    def kind(signal: Signal) -> int:
        return KINDS.index(spec_of(signal.name).kind)

    for number, group in groupby(sorted(signals, key=kind), key=kind):
        name = KINDS[number]
        for s in group:
            place = (s.name, s.segment)
            lately = sparkline(picture.lately.get(place, []))
            yield [name, "!" if place in bad else "", *_cells(s), lately, s.note]
            name = ""


def _cells(s: Signal) -> list[Any]:
    return [s.name, s.segment, number(s.value), s.unit, interval(s), limit(s)]


def interval(s: Signal) -> str:
    return f"{s.low:.3f}..{s.high:.3f}" if s.low is not None and s.high is not None else ""


def limit(s: Signal) -> str:
    """The side of its limit on which a value is fine."""
    if s.baseline is None:
        return ""
    side = {"above": "<= ", "below": ">= ", "whole": ">= "}.get(spec_of(s.name).bad or "", "")
    return f"{side}{number(s.baseline)}"


def number(x: float | None) -> str:
    if x is None:
        return "-"
    return f"{x:,.0f}" if x == int(x) else f"{x:.4g}"


def fitted(header: Sequence[str], rows: list[list[Any]]) -> list[list[Any]]:
    """Rows whose last column, the note, is cut to what a terminal has room for."""
    columns = list(zip(*[row[:-1] for row in rows], strict=True))
    taken = sum(
        2 + max(len(name), *(len(str(c)) for c in column))
        for name, column in zip(header, columns, strict=False)
        if any(c != "" for c in column)
    )
    room = max(16, shutil.get_terminal_size((120, 24)).columns - taken)
    return [[*row[:-1], shortened(row[-1], room)] for row in rows]
