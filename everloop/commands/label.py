"""everloop label: tasks out to people, what they say back in, and what they do not agree on."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.texts import counted
from everloop.commands import label_set
from everloop.commands.options import Group, NowOption, WorkspaceOption, acting, at

if TYPE_CHECKING:
    from pipelines.labeling.judgements import Imported

app = typer.Typer(
    cls=Group, help="Send tasks out for labels and take annotations in.", no_args_is_help=True
)
app.add_typer(label_set.app, name="set")
WIDTH = 96  # characters of a text


class Format(StrEnum):
    csv = "csv"
    jsonl = "jsonl"
    label_studio = "label-studio"
    argilla = "argilla"


FormatOption = Annotated[Format | None, typer.Option("--format", help="Where the suffix does not say.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL, or JSON of Label Studio or Argilla.")],
    form: FormatOption = None,
    workspace: WorkspaceOption = Path(),
    now: NowOption = None,
) -> None:
    """Write the open tasks to a file for annotators.

    CSV and JSONL have an empty label to fill in. Tasks for Label Studio and records for Argilla come
    with the model's answer as a suggestion; Label Studio's labelling config lies beside them, as .xml.

    Where the model writes its answers, CSV has an empty answer to fill in, and JSONL has chats as files
    for fine-tuning have them: an id and messages. The last message is the assistant's, and is to be
    filled in.

    Example: everloop label export tasks.json --format label-studio
    """
    from flows.labels import export_tasks
    from flows.session import open_session

    session = open_session(workspace)
    count, config = export_tasks(session, file, form.value if form else None, at(now))
    task, chats = session.task, file.suffix.lower() != ".csv" and not session.task.labelled
    if not count:
        empty = "no task" if chats or file.suffix.lower() == ".json" else "only its header"
        typer.echo(f"no open task; {file} has {empty}")
    elif config:
        how = f"{config} is the labelling config of its project"
        typer.echo(
            f"{counted(count, 'task')} in {file}; {how}\nits JSON export: {_back('EXPORT.json')}"
        )
    elif file.suffix.lower() == ".json":
        how = f"dataset.records.from_json, and its to_json: {_back('EXPORT.json')}"
        typer.echo(f"{counted(count, 'record')} in {file}; {how}")
    else:
        what = "`content` of the last message" if chats else f"`{task.column}`"
        typer.echo(f"{counted(count, 'task')} in {file}; fill in {what}, then: {_back(file)}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What came back: CSV, JSONL, Parquet or JSON.")],
    form: FormatOption = None,
    workspace: WorkspaceOption = Path(),
    annotator: Annotated[str, typer.Option(help="Who labelled, where the file does not say.")] = "file",
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="Labels that nobody has used yet are meant.")
    ] = False,
    now: NowOption = None,
) -> None:
    """Take annotations in: each is its annotator's vote, with a label or with a written answer.

    As soon as `labeling.annotators` votes agree, the task has its label; where they differ, see
    `everloop label status`.

    A label that nobody has used yet may be a slip. Such rows are stored and wait until the label is
    meant: import the file again with --new-labels, or use `everloop label set add`. Rows that cannot be
    taken, such as an answer against `task.json_schema`, go to a quarantine file with their reasons. In
    both cases the exit code is 1.

    Example: everloop label import tasks.csv --annotator ana
    """
    from core.label_names import in_words
    from core.tables import write_quarantine
    from everloop.inputs import warn_refused
    from flows.labels import import_labels, labels_in_use
    from flows.session import open_session

    session = open_session(workspace)
    when = acting(session, now)
    done = import_labels(session, file, form.value if form else None, annotator, when, new_labels)
    typer.echo(_told(done, session.task.column))
    if done.waiting:
        slips = ", ".join(in_words(done.waiting, labels_in_use(session, when)))
        rows = sum(done.waiting.values())
        wait = f"{counted(rows, 'row')} wait{'s' if rows == 1 else ''}"
        typer.echo(
            f"warning: {file.name}: {wait}, since nobody has used these labels yet: {slips}\n"
            "correct them and import the file again; if they are meant: "
            f"{_back(file)} --new-labels",
            err=True,
        )
    if done.refused:
        page = session.workspace.quarantine / f"annotations-{file.stem}.csv"
        warn_refused(file, done.refused, write_quarantine(done.refused, page))
    if done.refused or done.waiting:
        raise typer.Exit(1)


@app.command()
def status(workspace: WorkspaceOption = Path(), now: NowOption = None, as_json: Json = False) -> None:
    """The queue, who labelled how much, how far they agree, disputes, and names that wait.

    Cohen's kappa is of two annotators, Krippendorff's alpha of all; 1 is perfect, 0 is chance.

    Example: everloop label status -w shop
    """
    from everloop.labels import picture, text
    from flows.labels import labels_in_use
    from flows.session import open_session

    session = open_session(workspace)
    when = at(now)
    found = picture(session.store.at(when), when, labels_in_use(session, when))
    typer.echo(json.dumps(found, indent=2) if as_json else text(found))


@app.command()
def feedback(
    workspace: WorkspaceOption = Path(),
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    ask: Annotated[int, typer.Option(min=0, help="Make tasks of so many that wait.")] = 0,
    now: NowOption = None,
    as_json: Json = False,
) -> None:
    """What users say of answers, and why it trains, is asked of a person, or waits.

    Nothing is dropped: what waits is judged again with every retrain, by what people labelled since.
    With --ask the first ones that wait become tasks at once, whatever the reason.

    Example: everloop label feedback -w shop --ask 5
    """
    from everloop.labels import words_json, words_text
    from flows.labels import ask_about, waiting_words
    from flows.session import open_session

    session, when = open_session(workspace), at(now)
    asked = ask_about(session, when, ask) if ask else 0
    rulings = waiting_words(session, when)
    if as_json:
        typer.echo(json.dumps({"asked": asked, "words": words_json(rulings)}, indent=2))
        return
    if ask:
        typer.echo(f"{counted(asked, 'new task')}: everloop label export tasks.csv")
    typer.echo(words_text(rulings, limit))


@app.command()
def adjudicate(
    prediction: Annotated[str, typer.Argument(help="The prediction id, as `label status` shows it.")],
    label: Annotated[str, typer.Argument(help="The label that holds, or the answer.")],
    workspace: WorkspaceOption = Path(),
    annotator: Annotated[str, typer.Option(help="Who decides.")] = "adjudicator",
    new_label: Annotated[
        bool, typer.Option("--new-label", help="A label that nobody has used yet is meant.")
    ] = False,
    now: NowOption = None,
) -> None:
    """Settle what annotators dispute, answer a review, or correct a label or a written answer.

    A label that a dataset has by now goes into the next one again; the last one stays as it was.

    Example: everloop label adjudicate ID track_order
    """
    from flows.labels import settle
    from flows.session import open_session

    session = open_session(workspace)
    taken = settle(session, prediction, label, annotator, acting(session, now), new_label)
    typer.echo(f"{prediction} is {taken}, says {annotator}")


@app.command()
def review(
    workspace: WorkspaceOption = Path(),
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    now: NowOption = None,
    as_json: Json = False,
) -> None:
    """Look for labels that look wrong, with cleanlab, and list them.

    Each label is judged by a head that learnt from other rows. Nothing is dropped: a suspect stays as
    it is, and under review, until somebody says what holds.

    Example: everloop label review -w shop --limit 10
    """
    from core.stored import plain
    from flows.labels import review as look
    from flows.session import open_session

    session = open_session(workspace)
    when = acting(session, now)
    new, rows = look(session, when)
    store = session.store.at(when)
    waiting = store.reviews.count()
    if as_json:
        shown = [plain(r) for r in store.reviews.open(limit)]
        typer.echo(
            json.dumps({"labels": rows, "new": new, "waiting": waiting, "reviews": shown}, indent=2)
        )
        return
    typer.echo(f"{counted(rows, 'label')} looked at: {waiting} look wrong, {new} of them new")
    for r in store.reviews.open(limit):
        typer.echo(
            f"{r.prediction_id}  {r.label}, or {r.suggested}?  ({r.score:.3f})  {_short(r.text)}"
        )
    if waiting:
        typer.echo("answer: everloop label adjudicate ID LABEL")


def _told(done: Imported, what: str) -> str:
    parts = [
        counted(done.accepted, f"new {what}"),
        f"{done.already} known already",
        f"{done.unlabelled} not filled in",
        *([f"{counted(done.drafts, 'draft')}, not submitted"] if done.drafts else []),
        *([f"{done.skipped} skipped"] if done.skipped else []),
        *([f"{done.renamed} given under an old name"] if done.renamed else []),
    ]
    return ", ".join(parts)


def _back(file: object) -> str:
    return f"everloop label import {file}"


def _short(text: str) -> str:
    from everloop.table import shortened

    return shortened(" ".join(text.split()), WIDTH)
