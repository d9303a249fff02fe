"""Commands that run the whole loop on a stream of the past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.commands.options import TargetColumn, TaskOption, TextColumn

INTERRUPTED = 130  # what a shell gives a command that Ctrl-C ended


def replay(
    stream: Annotated[Path, typer.Argument(help="Requests with their truth: CSV, JSONL or Parquet.")],
    initial: Annotated[Path, typer.Option(help="Labelled rows the first model is trained on.")],
    evaluation: Annotated[Path, typer.Option("--eval", help="Labelled rows to evaluate on.")],
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Default: replays/STREAM, made if missing.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="Never retrain: the lower line.")] = False,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Label everything, retrain daily: the upper line.")
    ] = False,
    label_delay: Annotated[
        float, typer.Option(min=0, max=24 * 365, help="Hours until the oracle answers a task.")
    ] = 0.0,
    thumbs: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the answers that users give thumbs.")
    ] = 0.0,
    corrections: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of the answers that users correct where they are wrong."
        ),
    ] = 0.0,
    text_column: TextColumn = "text",
    label_column: TargetColumn = None,
    time_column: Annotated[str, typer.Option(help="Column with the time.")] = "timestamp",
    task: TaskOption = "classification",
) -> None:
    """Drive every stage over a stream of the past.

    The real serving path and all stages, on a simulated clock. Killed and run again, it goes on where
    it stopped.

    Example: everloop replay stream.csv --initial train.csv --eval eval.csv
    """
    from datetime import timedelta

    from everloop.people import People
    from everloop.show import Files, show_replay

    files = Files(stream, initial, evaluation, text_column, label_column, time_column)
    place = workspace or Path("replays") / f"{stream.stem}{'-frozen' * frozen}{'-oracle' * oracle}"
    try:
        show_replay(
            files,
            place,
            task=task,
            frozen=frozen,
            oracle=oracle,
            people=People(timedelta(hours=label_delay), thumbs, corrections),
            json_file=json_file,
        )
    except KeyboardInterrupt:
        typer.echo("stopped; nothing is lost, the same command again goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None


def demo(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", "-w", help="Default: demo, or demo-generation. An earlier one is replaced."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Only write the demo's files (CSV) into this folder.")
    ] = None,
    task: TaskOption = "classification",
) -> None:
    """The whole loop on a bundled sample stream.

    30 days of a text classifier in about two minutes; ten days of a model that writes function calls
    in about six.

    Example: everloop demo
    """
    if data:
        from everloop.sample import copy_sample

        copy_sample(data, task)
        typer.echo(f"train.csv, eval.csv, stream.csv and events.json in {data}")
        return
    from everloop.demo import run_demo

    run_demo(workspace or Path("demo" if task == "classification" else f"demo-{task}"), task)
