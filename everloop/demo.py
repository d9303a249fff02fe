"""`everloop demo`: the whole loop on a bundled sample, with a picture and a report at the end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from core.errors import WorkspaceError
from core.evidence import AlertEvidence
from core.records.decisions import Decision
from core.store import Store
from core.tasks import CLASSIFICATION
from everloop.init import init
from everloop.picture import accuracy_picture
from everloop.report import run_report
from everloop.sample import bundled
from everloop.show import Files, show_replay


def run_demo(place: Path, task: str = CLASSIFICATION) -> None:
    """Replay the bundled stream of a task in a fresh workspace at `place`; show what came of it."""
    _clear(place)
    init(place, task=task)
    folder = bundled(task)
    files = Files(folder / "stream.csv", folder / "train.csv", folder / "eval.csv")
    session, result = show_replay(files, place, task=task, json_file=place / "reports" / "replay.json")
    shown = Path(os.path.relpath(place))
    picture, report = write_pages(session.workspace.reports, session.store, result, commands(shown))
    typer.echo(f"\npicture:  {os.path.relpath(picture)}\nreport:   {os.path.relpath(report)}")
    typer.echo("\nlook further:")
    for command in commands(shown):
        typer.echo(f"  {command}")


def write_pages(
    folder: Path, store: Store, result: dict[str, Any], further: Sequence[str] = ()
) -> tuple[Path, Path]:
    """The picture of accuracy over time and the report of the run; returns both paths."""
    decisions = store.decisions.read()
    picture = accuracy_picture(
        result["daily_accuracy"],
        result["frozen_daily_accuracy"],
        [e for d in decisions if (e := _event(d))],
        folder / "accuracy.png",
        note=f"{result['labels']} of {result['requests']} requests labelled",
    )
    return picture, run_report(result, decisions, picture, folder / "run.html", further)


def commands(place: Path) -> list[str]:
    """What to run next, ready to paste."""
    beside = Path(sys.executable).parent
    at = "" if shutil.which("everloop") else f"{os.path.relpath(beside)}/"
    return [
        f"{at}mlflow ui --workers 1 --backend-store-uri sqlite:///{place}/.everloop/mlflow.db",
        f"{at}everloop data list -w {place}",
        f"{at}everloop data diff v0001 v0002 -w {place}",
        f"{at}everloop rollout status -w {place}",
        f"{at}everloop serve -w {place}",
    ]


def _event(decision: Decision) -> dict[str, str] | None:
    kinds = {
        ("monitoring", "alert"): "drift",
        ("triggers", "retrain"): "retrain",
        ("rollout", "promote"): "promotion",
        ("rollout", "rollback"): "rollback",
    }
    kind = kinds.get((decision.stage, decision.verdict))
    if kind is None or (kind == "drift" and decision.read(AlertEvidence).kind != "drift"):
        return None
    return {"timestamp": decision.timestamp.isoformat(), "kind": kind, "text": decision.reason}


def _clear(place: Path) -> None:
    """Remove an earlier demo; anything else that lies there stays, and is an error."""
    mark = place / ".everloop" / "demo"
    if place.exists() and any(place.iterdir()) and not mark.exists():
        raise WorkspaceError(
            "this folder is not an earlier demo",
            where=str(place),
            expected="an empty or missing folder",
            do="everloop demo --workspace ANOTHER",
        )
    shutil.rmtree(place, ignore_errors=True)
    mark.parent.mkdir(parents=True)
    mark.touch()
