"""The report of a replay or a demo: what the loop did, why, and what it was worth. One HTML file."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from core.page import bars, figures, table, tag, text, write_page
from core.records import Decision

TONES = {
    "retrain": "loop",
    "promote": "good",
    "pass": "good",
    "advance": "good",
    "rollback": "bad",
    "fail": "bad",
    "cannot judge": "bad",
}


def run_report(
    result: dict[str, Any],
    decisions: Sequence[Decision],
    picture: Path,
    path: Path,
    commands: Sequence[str] = (),
) -> Path:
    """Write the page of a run to `path`.

    `result` is what a replay returns, `picture` the PNG of `accuracy_picture`, `commands` what to type
    to look further.
    """
    title = "A run of the loop"
    return write_page(path, title, _body(result, decisions, picture, commands))


def _body(
    result: dict[str, Any],
    decisions: Sequence[Decision],
    picture: Path,
    commands: Sequence[str],
) -> Iterator[str]:
    days = result["daily_accuracy"]
    span = f", {days[0]['day']} to {days[-1]['day']}" if days else ""
    yield f"<h1>{text(_headline(result))}</h1>"
    yield f'<p class="soft">{result["requests"]:,} requests in {result["days"]} days{text(span)}.</p>'
    yield figures(_figures(result))
    yield _image(picture)
    yield from _decisions(decisions)
    yield from _daily(result)
    yield from _time(result)
    yield from _commands(commands)


def _headline(result: dict[str, Any]) -> str:
    looped, frozen = result["prequential_accuracy"], result.get("frozen_accuracy")
    if frozen is None:
        return f"{looped:.3f} of all answers right"
    return f"{looped:.3f} of all answers right with the loop, {frozen:.3f} frozen"


def _figures(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield f"{result['prequential_accuracy']:.3f}", "prequential accuracy"
    if result.get("frozen_accuracy") is not None:
        yield f"{result['frozen_accuracy']:.3f}", "the first model, frozen"
    share = result["labels"] / max(result["requests"], 1)
    yield f"{result['labels']:,}", f"labels, {share:.1%} of the requests"
    yield str(result["retrains"]), "retrains"
    yield str(result["promotions"]), f"promotions, {result['rollbacks']} rolled back"
    yield str(result["drift_alerts"]), "drift alerts"
    yield f"{result['encoder_passes_per_text']:.2f}", "encoder passes a text"


def _image(picture: Path) -> str:
    kind = "svg+xml" if picture.suffix == ".svg" else "png"
    data = base64.b64encode(picture.read_bytes()).decode()
    return f'<figure><img alt="Accuracy day by day" src="data:image/{kind};base64,{data}"></figure>'


TURN = "serving rollout monitoring curation triggers training testing"  # the order of a turn


def _decisions(decisions: Sequence[Decision]) -> Iterator[str]:
    """Everything that was decided, in order of time; what only went on as before is folded away."""
    yield "<h2>What was decided, and why</h2>"
    ordered = sorted(decisions, key=lambda d: (d.timestamp, TURN.find(d.stage)))
    loud = sum(not _quiet(d) for d in ordered)
    yield f'<p class="soft">{loud} decisions that changed or flagged something, of {len(ordered)}.</p>'
    yield '<ol class="time">'
    for quiet, group in groupby(ordered, _quiet):
        items = list(group)
        if quiet:
            yield _folded(items)
        else:
            yield from map(_decision, items)
    yield "</ol>"


def _quiet(decision: Decision) -> bool:
    routine = decision.verdict == "wait" or decision.stage == "curation"
    return routine and decision.severity == "info"


def _decision(d: Decision) -> str:
    tone = {"critical": "bad", "warning": "bad"}.get(d.severity, TONES.get(d.verdict, ""))
    return (
        f"<li><time>{d.timestamp:%d %b %H:%M}</time><span>{tag(d.stage)}</span>"
        f'<span class="said">{tag(d.verdict, tone)} {text(d.reason)}</span></li>'
    )


def _folded(items: Sequence[Decision]) -> str:
    inner = "".join(_decision(d) for d in items)
    what = f"{len(items)} routine decision{'s' if len(items) > 1 else ''}"
    return (
        f'<li class=fold><details><summary>{what}</summary><ol class="time">{inner}</ol></details></li>'
    )


def _daily(result: dict[str, Any]) -> Iterator[str]:
    frozen = {d["day"]: d["accuracy"] for d in result.get("frozen_daily_accuracy", [])}
    rows = [_daily_row(d, frozen.get(d["day"])) for d in result["daily_accuracy"]]
    head = ("day", "requests", "with the loop", "frozen", "")
    yield "<h2>Day by day</h2>"
    yield f"<details><summary>{len(rows)} days</summary>{table(head, rows, (1, 2, 3))}</details>"


def _daily_row(day: dict[str, Any], frozen: float | None) -> list[str]:
    before = "–" if frozen is None else f"{frozen:.3f}"
    return [
        text(day["day"]),
        f"{day['requests']:,}",
        f"<b>{day['accuracy']:.3f}</b>",
        before,
        bars(day["accuracy"], frozen),
    ]


def _time(result: dict[str, Any]) -> Iterator[str]:
    stages = sorted(result["seconds_per_stage"].items(), key=lambda item: -item[1])
    longest = max((s for _, s in stages), default=0.0) or 1.0
    rows = [[text(name), f"{seconds:.1f}", bars(seconds / longest)] for name, seconds in stages]
    yield "<h2>Where the time went</h2>"
    yield f'<p class="soft">{result["seconds"]:.0f} seconds in all.</p>'
    if rows:
        yield table(("stage", "seconds", ""), rows, (1,))


def _commands(commands: Sequence[str]) -> Iterator[str]:
    if commands:
        lines = "\n".join(commands)
        yield f"<h2>Look further</h2><pre>{text(lines)}</pre>"
