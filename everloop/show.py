"""A replay as a person sees it: a progress bar, a line for each decision, a result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from core import workspace as places
from core.errors import EverloopError
from core.records import Decision
from core.tables import Columns
from everloop.inputs import labelled, rows
from flows.home import Home, open_home

TOLD = ("training", "testing", "rollout", "monitoring", "serving")
COLOUR = {"critical": "red", "warning": "yellow", "info": "default"}


@dataclass(frozen=True)
class Files:
    stream: Path
    initial: Path
    evaluation: Path
    text: str = "text"
    label: str = "label"
    time: str = "timestamp"


def show_replay(
    files: Files,
    place: Path,
    *,
    frozen: bool = False,
    oracle: bool = False,
    delay_hours: float = 0.0,
    json_file: Path | None = None,
) -> tuple[Home, dict[str, Any]]:
    """Replay files in a workspace, made if it is not there, and say what happens."""
    from rich.console import Console

    from everloop.init import init
    from everloop.replay import Replay, label_everything

    if frozen and oracle:
        raise EverloopError("--frozen and --oracle exclude each other", do="choose one")
    if not (place / "params.yaml").exists():
        init(place)
    home = open_home(place)
    home = open_home(place, label_everything(home.strategy)) if oracle else home
    job = Replay(
        rows(home, files.stream, Columns(text=files.text, label=files.label, time=files.time)),
        labelled(home, files.initial, files.text, files.label),
        labelled(home, files.evaluation, files.text, files.label),
        timedelta(hours=delay_hours),
        frozen,
    )
    console = Console(stderr=True, highlight=False)
    result = _run(home, job, console)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _summary(console, home, result)
    return home, result


def _run(home: Home, job: Any, console: Any) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from everloop.replay import run

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("requests"),
        TimeElapsedColumn(),
        console=console,
    )
    home.listen = lambda d: _tell(console, d)
    with bar:
        task = bar.add_task("first model", total=len(job.stream))

        def advance(now: Any, requests: int) -> None:
            bar.update(task, advance=requests, description=f"{now:%Y-%m-%d %H:%M}")

        return run(home, job, advance)


def _tell(console: Any, decision: Decision) -> None:
    """The decisions worth a line: not every wait, and not every pick."""
    waits = decision.verdict.startswith("wait")
    if (decision.stage in TOLD and not waits) or (decision.stage == "triggers" and not waits):
        from rich.text import Text

        when = f"{decision.timestamp:%m-%d %H:%M}"
        line = f"{when}  {decision.stage:<10} {decision.verdict}: {decision.reason}"
        console.print(Text(line, style=COLOUR[decision.severity]), soft_wrap=True)


def _summary(console: Any, home: Home, result: dict[str, Any]) -> None:
    r = result
    console.print(
        f"\n{r['requests']} requests in {r['days']} days: prequential accuracy "
        f"{r['prequential_accuracy']:.3f} (frozen {r['frozen_accuracy']:.3f}); {r['labels']} labels, "
        f"{r['retrains']} retrains, {r['promotions']} promotions, {r['rollbacks']} rollbacks, "
        f"{r['drift_alerts']} drift alerts; "
        f"{r['encoder_passes_per_text']:.2f} encoder passes per text; {r['seconds']:.0f} s"
    )
    console.print(f"workspace: {places.find(home.workspace.root).root}")
