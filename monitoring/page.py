"""The page about a window: what is wrong, what changed, what is new, and every signal with its past.

One HTML file that needs nothing but itself. It shows texts, so it stays in the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from core.episodes import words_now
from core.page import bars, figures, tag, text, write_page
from core.records import Decision, Signal
from monitoring.alerts.findings import broken, length, unproven
from monitoring.explain.explanation import Explanation
from monitoring.explain.shifts import Moved
from monitoring.explain.texts import Typical
from monitoring.explain.words import Word
from monitoring.signals import SPECS
from monitoring.sparkline import sparkline
from monitoring.topics.tracking import Candidate
from monitoring.view import View

TOPICS = 6  # before the rest is folded away
SHOWN = 8  # labels and segments that moved, before the rest is folded away
STYLE = """
a { color: var(--loop); }
.spark { width: 160px; height: 36px; display: block; overflow: visible; }
.spark path { fill: none; stroke: var(--loop); stroke-width: 1.6; stroke-linecap: round;
  stroke-linejoin: round; } .spark .limit { stroke: var(--soft); stroke-width: 1;
  stroke-dasharray: 2 3; } .spark circle { fill: var(--bad); }
.signal { display: grid; grid-template-columns: minmax(0, 1fr) 150px 160px; gap: 2px 18px;
  align-items: center; border-top: 1px solid var(--line); padding: 9px 0; }
.signal b { font-weight: 600; overflow-wrap: anywhere; } .signal .value { text-align: right;
  font-variant-numeric: tabular-nums; } .signal .value b { font-size: 17px; }
.signal small { display: block; overflow-wrap: anywhere; } .signal.bad .value b { color: var(--bad); }
.move { display: grid; grid-template: "name bars n" / minmax(0, 200px) minmax(80px, 1fr) auto;
  gap: 4px 16px; align-items: center; margin: 8px 0; } .move > span:first-child { grid-area: name; }
.move .bars { grid-area: bars; min-width: 0; } .move .n { grid-area: n; }
.move span { overflow-wrap: anywhere; }
.move .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.pair { display: grid; grid-template-columns: 1fr 1fr; } .pair > div { padding: 12px 16px; }
.pair > div + div { border-left: 1px solid var(--line); } .pair p { margin: 0 0 4px; }
.pair.card { padding: 0; } h3 { font-size: 15px; margin: 26px 0 6px; }
.words { display: flex; flex-wrap: wrap; gap: 6px; margin: 10px 0; }
.words span { border-radius: 7px; padding: 2px 9px; background: var(--good-wash); color: var(--good);
  font-weight: 600; overflow-wrap: anywhere; } .words small { font-weight: 400; color: inherit; }
.words.went span { background: var(--mark); color: var(--soft); text-decoration: line-through; }
.words.went small { display: inline-block; text-decoration: none; }
.topics { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr));
  gap: 14px; margin: 14px 0; } .topics .card { margin: 0; } .card p:last-child { margin-bottom: 0; }
.verdict p { margin: 8px 0 0; } .topic p { margin: 4px 0; }
.topic ul { margin: 8px 0 12px; padding-left: 20px; }
.topic b { font-size: 17px; } code { overflow-wrap: anywhere; }
@media (max-width: 640px) { .signal { grid-template-columns: minmax(0, 1fr) auto; }
  .signal .spark { grid-column: 1 / -1; width: 100%; } .pair { grid-template-columns: 1fr; }
  .pair > div + div { border-left: 0; border-top: 1px solid var(--line); }
  .move { grid-template: "name n" "bars bars" / minmax(0, 1fr) auto; }
  .card { padding: 14px 16px; } }
"""


@dataclass(frozen=True)
class Story:
    """All there is to tell of a window. `history` are stored signals, the window's own included."""

    view: View
    signals: Sequence[Signal]
    history: Sequence[Signal] = ()
    alerts: Sequence[Decision] = ()
    explanation: Explanation = field(default_factory=Explanation)
    topics: Sequence[tuple[Candidate, Sequence[str]]] = ()  # with texts of each
    comparison: str = ""  # the address of Evidently's page, beside this one


def window_page(story: Story, path: Path) -> Path:
    """Write the page to `path`; every text in it is escaped."""
    return write_page(path, f"Everloop: {_span(story)}", _body(story), STYLE)


def _body(story: Story) -> Iterator[str]:
    yield f"<h1>{text(_headline(story))}</h1>"
    yield f'<p class="soft">{text(_span(story))} UTC</p>'
    yield figures(_figures(story))
    yield from (_alert(d, story.view.whole.end) for d in story.alerts)
    yield from _changes(story.explanation)
    yield from _topics(story.topics)
    yield from _signals(story)
    if story.comparison:
        yield "<h2>Look further</h2>"
        link = f'<a href="{text(story.comparison)}">Every column beside the reference</a>'
        yield f"<p>{link} (Evidently).</p>"


def _headline(story: Story) -> str:
    count = sum(d.verdict == "alert" for d in story.alerts)
    new = sum(_is_new(story, d) for d in story.alerts)
    if count:
        fresh = f", {new} of them new" if 0 < new < count else ""
        return f"{count} alert{'s' * (count > 1)} open{fresh}"
    if story.topics:
        return f"No alert, {len(story.topics)} new topic{'s' * (len(story.topics) > 1)}"
    nothing = unproven(story.signals)
    return nothing[:1].upper() + nothing[1:] if nothing else "Nothing to act on"


def _is_new(story: Story, alert: Decision) -> bool:
    return alert.verdict == "alert" and alert.timestamp >= story.view.whole.end


def _span(story: Story) -> str:
    window = story.view.whole
    return f"{window.start:%a %d %b %Y %H:%M} to {window.end:%a %d %b %H:%M}"


def _figures(story: Story) -> Iterator[tuple[str, str]]:
    view = story.view
    yield f"{len(view.whole):,}", "answers in the window"
    yield f"{len(view.whole_reference):,}", f"in the reference ({view.reference_name})"
    yield view.model.version, "model version that serves"
    yield str(len(story.topics)), "open new topics"


def _alert(alert: Decision, end: datetime) -> str:
    """An open alert with the numbers of this window; one that ends with it is said in its own words."""
    if alert.verdict != "alert":
        return f'<div class="card">{tag(alert.verdict, "good")} {text(alert.reason)}</div>'
    after = alert.evidence.get("next", "")
    todo = f"<p>next: <code>{text(after)}</code></p>" if after else ""
    lasted = length(end - alert.timestamp)
    since = f"open since {alert.timestamp:%a %d %b %H:%M} UTC, {lasted}" if lasted[0] != "0" else "new"
    return (
        f'<div class="card verdict no">{tag(alert.severity, "bad")} {tag(since)} '
        f'<span class="said">{text(words_now(alert))}</span>{todo}</div>'
    )


def _changes(found: Explanation) -> Iterator[str]:
    yield "<h2>What changed</h2>"
    if found.note or found.nothing:
        yield f'<p class="soft">{text(found.lines()[0])}.</p>'
        return
    if found.labels or found.segments:
        yield (
            '<p class="soft"><i class="key"></i> now <i class="key before"></i> before. '
            "Only what luck and ordinary days do not explain.</p>"
        )
    for column in dict.fromkeys(m.column for m in (*found.labels, *found.segments)):
        moves = [m for m in (*found.labels, *found.segments) if m.column == column]
        yield f"<h3>{'Predicted labels' if column == 'label' else f'Segment {text(column)}'}</h3>"
        yield from _moves(moves)
    if found.came or found.went:
        yield "<h3>Words that came and went</h3>"
        yield _words(found.came, "came") + _words(found.went, "went")
    if found.texts:
        yield "<h3>Texts most typical of the change, beside what was nearest to them before</h3>"
        yield from map(_pair, found.texts)


def _moves(moves: Sequence[Moved]) -> Iterator[str]:
    most = max(max(m.now, m.before) for m in moves) or 1.0
    rows = [
        f"<div class=move><span>{text(m.value or '(none)')}</span>{bars(m.now / most, m.before / most)}"
        f'<span class="n">{m.before:.1%} → <b>{m.now:.1%}</b></span></div>'
        for m in moves
    ]
    yield "".join(rows[:SHOWN])
    if rows[SHOWN:]:
        inner = "".join(rows[SHOWN:])
        yield f"<details><summary>{len(rows) - SHOWN} more</summary>{inner}</details>"


def _words(found: Sequence[Word], way: str) -> str:
    chips = "".join(
        f'<span title="z {w.z:+.1f}">{text(w.word)} <small>{w.before}→{w.now}</small></span>'
        for w in found
    )
    return f'<div class="words {way}">{chips}</div>' if chips else ""


def _pair(found: Typical) -> str:
    return (
        f'<div class="card pair"><div><p><q>{text(found.text)}</q></p>'
        f"<small>answered {text(found.label)}</small></div>"
        f'<div><p class="soft"><q>{text(found.nearest)}</q></p>'
        f"<small>nearest before, cosine {found.similarity:.2f}</small></div></div>"
    )


def _topics(found: Sequence[tuple[Candidate, Sequence[str]]]) -> Iterator[str]:
    if not found:
        return
    yield "<h2>New topics</h2>"
    yield '<p class="soft">Texts that belong together and to nothing the model has learnt.</p>'
    cards = [_topic(topic, texts) for topic, texts in found]
    yield f'<div class="topics">{"".join(cards[:TOPICS])}</div>'
    if cards[TOPICS:]:
        rest = f'<div class="topics">{"".join(cards[TOPICS:])}</div>'
        yield f"<details><summary>{len(cards) - TOPICS} more</summary>{rest}</details>"


def _topic(topic: Candidate, texts: Sequence[str]) -> str:
    examples = "".join(f"<li><q>{text(e)}</q></li>" for e in texts)
    return (
        f'<div class="card topic"><b>{text(topic.name)}</b> '
        f'<p class="soft">{topic.rows:,} rows since {topic.since:%d %b}, mean confidence '
        f"{topic.confidence:.2f}</p><ul>{examples}</ul>"
        f"<code>everloop topics ask {text(topic.name)}</code></div>"
    )


def _signals(story: Story) -> Iterator[str]:
    yield "<h2>Signals</h2>"
    past: dict[tuple[str, str], list[Signal]] = {}
    for signal in story.history or story.signals:
        past.setdefault((signal.name, signal.segment), []).append(signal)
    overall = [s for s in story.signals if not s.segment]
    yield from (_signal(s, past.get((s.name, s.segment), [])) for s in overall)
    for segment in dict.fromkeys(s.segment for s in story.signals if s.segment):
        own = [s for s in story.signals if s.segment == segment]
        inner = "".join(_signal(s, past.get((s.name, segment), [])) for s in own)
        yield f"<details><summary>{text(segment)}</summary>{inner}</details>"


def _signal(signal: Signal, past: Sequence[Signal]) -> str:
    spec = SPECS.get(signal.name)
    value = "–" if signal.value is None else f"{signal.value:,.4g}"
    limit = "" if signal.baseline is None else f"limit {signal.baseline:,.4g}"
    interval = ""
    if signal.low is not None and signal.high is not None:
        interval = f"{signal.low:.3g} to {signal.high:.3g}"
    notes = "".join(f"<small>{text(n)}</small>" for n in (signal.note,) if n)
    details = "".join(f"<small>{text(n)}</small>" for n in (interval, limit) if n)
    unit = spec.unit if spec else signal.unit
    return (
        f'<div class="signal{" bad" if broken(signal) else ""}">'
        f"<div><b>{text(signal.name)}</b>{notes}</div>"
        f'<div class="value"><b>{value}</b> <small style="display:inline">{text(unit)}</small>'
        f"{details}</div>{sparkline(past, [broken(s) for s in past])}</div>"
    )
