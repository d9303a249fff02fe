"""The page about a window: what is wrong, what changed, what is new, and every signal with its past.

One HTML file that needs nothing but itself. It shows texts, so it stays in the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from core.episodes import words_now
from core.evidence import AlertEvidence
from core.page import write_page
from core.records.decisions import Decision
from core.records.signals import Signal
from monitoring.alerts.decisions import length
from monitoring.alerts.findings import broken, unproven
from monitoring.explain.explanation import Explanation
from monitoring.explain.shifts import ShareShift
from monitoring.sparkline import Sparkline, sparkline
from monitoring.topics.tracking import TrackedTopic
from monitoring.view import View

TEMPLATE = Path(__file__).with_name("window.html")
TOPICS = 6  # before the rest is folded away
SHOWN = 8  # labels and segments whose share moved, before the rest is folded away


@dataclass(frozen=True)
class WindowStory:
    """All there is to tell of a window. `history` are stored signals, the window's own included."""

    view: View
    signals: Sequence[Signal]
    history: Sequence[Signal] = ()
    alerts: Sequence[Decision] = ()
    explanation: Explanation = field(default_factory=Explanation)
    topics: Sequence[tuple[TrackedTopic, Sequence[str]]] = ()  # with texts of each
    comparison: str = ""  # the address of Evidently's page, beside this one


def window_page(story: WindowStory, path: Path) -> Path:
    """Write the page to `path`; every text in it is escaped."""
    span = _span(story)
    return write_page(
        path,
        TEMPLATE,
        title=f"Everloop: {span}",
        headline=_headline(story),
        span=span,
        numbers=_numbers(story),
        alerts=[_alert(d, story.view.whole.end) for d in story.alerts],
        changes=story.explanation,
        shifts=list(_shifts(story.explanation)),
        topics=story.topics,
        signals=_signals(story),
        comparison=story.comparison,
        TOPICS=TOPICS,
        SHOWN=SHOWN,
    )


def _headline(story: WindowStory) -> str:
    alerts = [d for d in story.alerts if d.verdict == "alert"]
    if count := len(alerts):
        new = sum(d.timestamp >= story.view.whole.end for d in alerts)
        fresh = f", {new} of them new" if 0 < new < count else ""
        return f"{count} alert{'s' * (count > 1)} open{fresh}"
    if story.topics:
        return f"No alert, {len(story.topics)} new topic{'s' * (len(story.topics) > 1)}"
    nothing = unproven(story.signals)
    return nothing[:1].upper() + nothing[1:] if nothing else "Nothing to act on"


def _span(story: WindowStory) -> str:
    window = story.view.whole
    return f"{window.start:%a %d %b %Y %H:%M} to {window.end:%a %d %b %H:%M}"


def _numbers(story: WindowStory) -> list[tuple[str, str]]:
    view = story.view
    return [
        (f"{len(view.whole):,}", "answers in the window"),
        (f"{len(view.whole_reference):,}", f"in the reference ({view.reference_name})"),
        (view.model.version, "model version that serves"),
        (str(len(story.topics)), "open new topics"),
    ]


def _alert(alert: Decision, end: datetime) -> tuple[Decision, str, str, str]:
    """An open alert; its words with the numbers of this window, or of its end in its own; since when it
    is open; and the next command."""
    words = words_now(alert) if alert.verdict == "alert" else alert.reason
    lasted = length(end - alert.timestamp)
    since = f"open since {alert.timestamp:%a %d %b %H:%M} UTC, {lasted}" if lasted[0] != "0" else "new"
    return alert, words, since, alert.read(AlertEvidence).command


def _shifts(found: Explanation) -> Iterator[tuple[str, float, list[ShareShift]]]:
    """Of each column its shifts, and the largest share among them."""
    every = [*found.labels, *found.segments]
    for column in dict.fromkeys(m.column for m in every):
        ours = [m for m in every if m.column == column]
        yield column, max(max(m.now, m.before) for m in ours) or 1.0, ours


def _signals(story: WindowStory) -> dict[str, list[tuple[Signal, bool, Sparkline | None]]]:
    """By segment, those of all traffic first: each with whether it is bad, and its past."""
    past: dict[tuple[str, str], list[Signal]] = {}
    for signal in story.history or story.signals:
        past.setdefault((signal.name, signal.segment), []).append(signal)
    found: dict[str, list[tuple[Signal, bool, Sparkline | None]]] = {"": []}
    for signal in story.signals:
        series = past.get((signal.name, signal.segment), [])
        row = (signal, broken(signal), sparkline(series, [broken(s) for s in series]))
        found.setdefault(signal.segment, []).append(row)
    return found
