"""A replay as a person sees it: a progress bar, a line for each decision, a result."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import workspace as places
from core.errors import EverloopError, WorkspaceError
from core.files import write_whole
from core.label_set import LabelSet
from core.progress import doing, whole
from core.records.decisions import Decision
from core.tables import Columns
from core.tasks import CLASSIFICATION
from everloop.init import init, template
from everloop.inputs import pair, rows
from everloop.people import People
from flows.session import Session, open_session
from flows.strategy import Strategy, load

if TYPE_CHECKING:
    from everloop.replay import Replay

TOLD = ("training", "testing", "rollout", "monitoring", "serving")
COLOUR = {"critical": "red", "warning": "yellow", "info": "default"}


@dataclass(frozen=True)
class Files:
    stream: Path
    initial: Path
    evaluation: Path
    text: str = "text"
    target: str | None = None  # the column of the task, unless told
    time: str = "timestamp"


def show_replay(
    files: Files,
    place: Path,
    *,
    task: str = CLASSIFICATION,
    frozen: bool = False,
    oracle: bool = False,
    people: People | None = None,
    json_file: Path | None = None,
) -> tuple[Session, dict[str, Any]]:
    """Replay files in a workspace, made if it is not there, and say what happens."""
    from everloop import progress

    if json_file:
        _check_file(json_file)
    session, job = prepared(files, place, task=task, frozen=frozen, oracle=oracle, people=people)
    console = progress.console()
    result = _run(session, job, console)
    if json_file:
        write_whole(json_file, json.dumps(result, indent=2) + "\n")
    _summary(console, session, result)
    return session, result


def prepared(
    files: Files,
    place: Path,
    *,
    task: str = CLASSIFICATION,
    frozen: bool = False,
    oracle: bool = False,
    people: People | None = None,
) -> tuple[Session, Replay]:
    """A workspace, made if it is not there, and what is to be replayed in it. Raises EverloopError
    before there is any progress to show."""
    from everloop.replay import Replay, claim, label_everything

    if frozen and oracle:
        raise EverloopError("--frozen and --oracle exclude each other", do="choose one")
    strategy = _strategy(place, task)
    quarantine = places.Workspace(place).quarantine
    labelled = Columns(text=files.text, label=files.target or strategy.task.column)
    names = LabelSet.load(place) if place.is_dir() else LabelSet()
    job = Replay(
        rows(files.stream, "stream", replace(labelled, time=files.time), strategy, quarantine),
        *pair((files.initial, files.evaluation), labelled, strategy, quarantine, names),
        people or People(),
        frozen,
    )
    if _fresh(place):
        init(place, task=task)
    session = open_session(place, label_everything(strategy) if oracle else strategy)
    claim(session, job)
    return session, job


def _fresh(place: Path) -> bool:
    """Nothing but what `init` makes is there, and perhaps not all of that: it may have been killed."""
    found = {p.name for p in place.iterdir()} if place.is_dir() else set()
    return all(n.startswith(".") or n in ("params.yaml", "dvc.yaml", "data") for n in found)


def _strategy(place: Path, task: str) -> Strategy:
    """The strategy of a workspace, or of the one that will be made there. Raises WorkspaceError for one
    of another task."""
    if not _fresh(place):
        places.find(place)
    written = place / "params.yaml"
    found = load(written if written.exists() else template(task), place)
    if found.task.policy != task:
        raise WorkspaceError(
            "this workspace is for another task",
            where=str(written),
            got=f"task: {found.task.policy}",
            expected=task,
            do=f"--task {found.task.policy}, or choose another --workspace",
        )
    return found


def _check_file(path: Path) -> None:
    """Better now than after the work. Raises EverloopError when a file cannot be written here."""
    if path.is_dir():
        raise EverloopError(
            "this is a folder", where=str(path), expected="a file to write the result to"
        )
    path.parent.mkdir(parents=True, exist_ok=True)


def _run(session: Session, job: Any, console: Any) -> dict[str, Any]:
    from everloop.replay import run

    session.listen = lambda d: _tell(console, d)
    answered = 0
    whole(0, len(job.stream), "requests")

    def advance(now: Any, requests: int) -> None:
        nonlocal answered
        answered += requests
        whole(answered, len(job.stream), "requests")
        doing(f"{now:%Y-%m-%d %H:%M}")

    return run(session, job, advance)


def _tell(console: Any, decision: Decision) -> None:
    """The decisions worth a line: not every wait, and not every pick."""
    waits = decision.verdict.startswith("wait")
    if (decision.stage in TOLD and not waits) or (decision.stage == "triggers" and not waits):
        from rich.text import Text

        said = decision.reason
        if decision.stage != "rollout":  # whose reason starts with the verdict
            said = f"{decision.verdict}: {said}"
        when = f"{decision.timestamp:%m-%d %H:%M}"
        line = f"{when}  {decision.stage:<10} {said}"
        console.print(Text(line, style=COLOUR[decision.severity]), soft_wrap=True)


def _summary(console: Any, session: Session, result: dict[str, Any]) -> None:
    r = result
    frozen = "" if r["frozen_accuracy"] is None else f" (frozen {r['frozen_accuracy']:.3f})"
    feedback = f"{r['feedback']} words of users, " if r["feedback"] else ""
    console.print(
        f"\n{r['requests']} requests in {r['days']} days, {r['seconds']:.0f} s: prequential accuracy "
        f"{r['prequential_accuracy']:.3f}{frozen}\n"
        f"{r['labels']} {session.task.truth}s, {feedback}{r['retrains']} retrains, "
        f"{r['promotions']} promotions, {r['rollbacks']} rollbacks, {r['drift_alerts']} drift alerts, "
        f"{r['encoder_passes_per_text']:.2f} encoder passes per text\n"
        f"workspace: {session.workspace.root}",
        soft_wrap=True,
    )
