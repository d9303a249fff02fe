"""The report of a replay or a demo: what the loop did, why, and what it was worth. One HTML file."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from core.page import write_page
from core.records.decisions import Decision

TEMPLATE = Path(__file__).with_name("report.html")
TURN = "serving rollout monitoring curation triggers training testing"  # the order of a turn
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
    ordered = sorted(decisions, key=lambda d: (d.timestamp, TURN.find(d.stage)))
    return write_page(
        path,
        TEMPLATE,
        title="A run of the loop",
        headline=_headline(result),
        span=_span(result),
        numbers=list(_numbers(result)),
        picture=_image(picture),
        decisions=[(quiet, list(group)) for quiet, group in groupby(ordered, _quiet)],
        loud=sum(not _quiet(d) for d in ordered),
        decided=len(ordered),
        tone=_tone,
        days=list(_daily_rows(result)),
        stages=list(_stages(result)),
        seconds=result["seconds"],
        commands=commands,
    )


def _headline(result: dict[str, Any]) -> str:
    looped, frozen = result["prequential_accuracy"], result.get("frozen_accuracy")
    if frozen is None:
        return f"{looped:.3f} of all answers right"
    return f"{looped:.3f} of all answers right with the loop, {frozen:.3f} frozen"


def _span(result: dict[str, Any]) -> str:
    days = result["daily_accuracy"]
    span = f", {days[0]['day']} to {days[-1]['day']}" if days else ""
    return f"{result['requests']:,} requests in {result['days']} days{span}"


def _numbers(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield f"{result['prequential_accuracy']:.3f}", "prequential accuracy"
    if result.get("frozen_accuracy") is not None:
        yield f"{result['frozen_accuracy']:.3f}", "the first model, frozen"
    share = result["labels"] / max(result["requests"], 1)
    yield f"{result['labels']:,}", f"{result.get('truth', 'label')}s, {share:.1%} of the requests"
    yield str(result["retrains"]), "retrains"
    yield str(result["promotions"]), f"promotions, {result['rollbacks']} rolled back"
    yield str(result["drift_alerts"]), "drift alerts"
    yield f"{result['encoder_passes_per_text']:.2f}", "encoder passes a text"


def _image(picture: Path) -> str:
    """The picture within the page."""
    kind = "svg+xml" if picture.suffix == ".svg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _quiet(decision: Decision) -> bool:
    """It only went on as before."""
    routine = decision.verdict == "wait" or decision.stage == "curation"
    return routine and decision.severity == "info"


def _tone(d: Decision) -> str:
    return {"critical": "bad", "warning": "bad"}.get(d.severity, TONES.get(d.verdict, ""))


def _daily_rows(result: dict[str, Any]) -> Iterator[tuple[dict[str, Any], float | None]]:
    """Each day, and how right the first model was on it."""
    frozen = {d["day"]: d["accuracy"] for d in result.get("frozen_daily_accuracy", [])}
    for day in result["daily_accuracy"]:
        yield day, frozen.get(day["day"])


def _stages(result: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Each stage with its seconds, and those as a share of the longest one's."""
    stages = sorted(result["seconds_per_stage"].items(), key=lambda item: -item[1])
    for name, seconds in stages:
        yield name, seconds, seconds / (stages[0][1] or 1.0)
