"""Commands that look at what is watched: the newest window, its alerts, the history of a signal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.commands.options import NowOption, WorkspaceOption, at, since

if TYPE_CHECKING:
    from core.records.decisions import Decision
    from core.records.signals import Signal
    from core.store import Store
    from everloop.overview import Place
    from flows.monitor import Observation
    from flows.session import Session

LATELY = 14  # windows of a sparkline
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[
    str, typer.Option("--since", help="How far back: 36h, 14d, 8w, or a time (ISO 8601, UTC).")
]


def monitor(
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
    segments: Annotated[bool, typer.Option("--segments", help="Show every segment too.")] = False,
    as_json: Json = False,
    report: Annotated[bool, typer.Option("--report", help="Write a page about it too.")] = False,
    docs: Annotated[
        bool, typer.Option("--docs", help="Write a page of what each data quality check found.")
    ] = False,
    failed: Annotated[
        str | None,
        typer.Option(help="List the rows that failed a quality check, so far back: 36h, 14d, 8w."),
    ] = None,
) -> None:
    """Is all well? The newest window's signals and alerts.

    It only looks: signals and alerts are stored by the loop. Pages go to the workspace's reports/. Rows
    that fail a quality check are never picked for labels.

    Example: everloop monitor --segments --report --docs
    """
    from core.state import Champion
    from core.stored import plain
    from everloop.overview import Picture, overview, status
    from flows import alerts as rules
    from flows.monitor import look
    from flows.session import open_session
    from monitoring.alerts.findings import unsaid

    if failed is not None:
        typer.echo(_failed(workspace, failed, at(now)))
        return
    session, when = open_session(workspace), at(now)
    modelled = session.store.state.read(Champion).version is not None
    seen = look(session, when) if modelled else None
    signals = seen.signals if seen else []
    raised = rules.shown(session, signals, when) if seen else []
    if as_json:
        told = {"signals": [plain(s) for s in signals], "alerts": [plain(d) for d in raised]}
        state = status(raised, signals) if seen else "no model serves yet"
        typer.echo(json.dumps({"status": state, **told}, indent=2))
        for line in _pages(session, seen, raised, when, (report, docs)) if seen else ():
            typer.echo(line, err=True)
        return
    if seen is None:
        typer.echo("not enough to say anything: no model serves yet")
        typer.echo("the first: everloop train TRAIN.csv --eval EVAL.csv")
        return
    notes = [
        *_quiet(session, signals),
        *unsaid(signals, session.strategy.monitoring.rules, rules.past(session)),
    ]
    lately = _lately(session, signals, when)
    picture = Picture(signals, raised, lately, notes, _named(workspace))
    typer.echo(overview(picture, segments))
    for line in _pages(session, seen, raised, when, (report, docs)):
        typer.echo(f"\n{line}")


def _failed(workspace: Path, back: str, now: datetime) -> str:
    """The rows that failed a quality check, and which."""
    from everloop.table import table
    from flows.session import open_store

    rows = open_store(workspace).signals.quarantine(since(back, now, "--failed"))
    shown = [[r.request_id, f"{r.timestamp:%Y-%m-%d %H:%M}", ", ".join(r.reasons)] for r in rows]
    if not shown:
        return f"no row failed a check since {back}"
    return table(["request", "time (UTC)", "failed"], shown)


def _pages(
    session: Session,
    seen: Observation,
    raised: list[Decision],
    when: datetime,
    asked: tuple[bool, bool],
) -> Iterator[str]:
    """Write the pages that are asked for (report, Data Docs), and say where they lie."""
    from flows.monitor import write_docs, write_report
    from monitoring.explain.explanation import explain
    from monitoring.page import WindowStory

    report, docs = asked
    if seen.view is None:
        yield from ["no page: logging.policy is profile, which keeps no text"] * any(asked)
        return
    if report:
        story = WindowStory(seen.view, seen.signals, alerts=raised, explanation=explain(seen.view))
        yield f"report: {write_report(session, story, when, True)}"
    if docs:
        yield f"data docs: {write_docs(session, seen.view)}"


def _quiet(session: Session, signals: list[Signal]) -> list[str]:
    from core.state import CuratedUntil

    turned = session.store.state.read(CuratedUntil).time
    if signals[0].value or not turned:
        return []
    when = f"{turned:%Y-%m-%dT%H:%M}"
    return [f"no traffic in this window; the loop last turned at: everloop monitor --now {when}"]


def _lately(session: Session, signals: list[Signal], now: datetime) -> dict[Place, list[float | None]]:
    """The last values that were stored of each signal, and the one just seen."""
    hours = max(session.strategy.schedule.loop_hours, 1)
    start = now - timedelta(hours=hours * LATELY)
    found: dict[Place, list[float | None]] = {}
    for s in session.store.signals.read(start, until=now - timedelta(seconds=1)):
        found.setdefault((s.name, s.segment), []).append(s.value)
    places = {(s.name, s.segment): s.value for s in signals}
    return {p: [*found.get(p, [])[1 - LATELY :], value] for p, value in places.items()}


def alerts(
    workspace: WorkspaceOption = Path(),
    back: Since = "28d",
    everything: Annotated[bool, typer.Option("--all", help="Past ones of severity info too.")] = False,
    as_json: Json = False,
    now: NowOption = None,
) -> None:
    """Alerts: open ones, those lately over, and how many a week.

    Example: everloop alerts --since 14d
    """
    from core.stored import plain
    from everloop.overview import Picture, past_alerts
    from flows.alerts import alerts_a_week, recent
    from flows.session import open_store

    store, when = open_store(workspace), at(now)
    found = recent(store, since(back, when), when)
    week = alerts_a_week(store, when)
    if as_json:
        picture = {"alerts_a_week": week.value, "alerts": [plain(d) for d in found]}
        typer.echo(json.dumps(picture, indent=2))
        return
    typer.echo(
        past_alerts(Picture(_newest(store, when), found, {}, (), _named(workspace)), week, everything)
    )


def _newest(store: Store, now: datetime) -> list[Signal]:
    """The stored signals of the newest window; none where the loop should have turned since, by how
    often it did."""
    past = store.signals.read(name="rows", until=now, segment="")[-2:]
    if not past:
        return []
    last, before = past[-1].window_end, past[0].window_end
    length = last - past[-1].window_start
    late = now > last + length + (last - before or length)
    return [] if late else store.signals.read(last, until=last)


def signals(
    name: Annotated[str | None, typer.Argument(help="One signal; without it, all are listed.")] = None,
    workspace: WorkspaceOption = Path(),
    back: Since = "14d",
    segment: Annotated[str, typer.Option(help="One segment, as plan=pro.")] = "",
    plot: Annotated[bool, typer.Option("--plot", help="Draw it.")] = False,
    as_json: Json = False,
    now: NowOption = None,
) -> None:
    """The history of a signal, or what signals there are.

    Example: everloop signals drift.embeddings --since 14d --plot
    """
    from core.stored import plain
    from everloop import history
    from flows.session import open_session

    session, when = open_session(workspace), at(now)
    start = since(back, when)
    if name:
        history.check(session, name, segment, start)
    found = session.store.signals.read(start, name, when, segment)
    if as_json:
        typer.echo(json.dumps([plain(s) for s in found], indent=2))
    elif not found:
        typer.echo(history.nothing(session, name, segment, back))
    elif name is None:
        typer.echo(history.listed(found))
    else:
        typer.echo(history.drawn(found) if plot else history.values(found))


def _named(workspace: Path) -> str:
    return "" if workspace == Path() else str(workspace)
