"""everloop runtimes: which runtime serves this workspace's model best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from everloop.commands.options import WorkspaceOption

if TYPE_CHECKING:
    from flows.runtimes import Measured


def runtimes(workspace: WorkspaceOption = Path()) -> None:
    """Measure the champion on every runtime, and say which to take.

    Size, speed, and how often its labels are torch's on the evaluation rows: alone, in batches of 64
    and shuffled in batches of 17. A runtime under 99.5 % is refused. Takes a minute.

    Example: everloop runtimes -w shop
    """
    from everloop.table import table
    from flows.runtimes import best
    from flows.runtimes import runtimes as measure
    from flows.session import open_session

    measured = measure(open_session(workspace))
    header = ["runtime", "MB", "1 at a time", "in batches", "alone", "of 64", "of 17", "verdict"]
    typer.echo(table(header, [_row(m) for m in measured]))
    for m in (m for m in measured if m.refused):
        typer.echo(f"\n{m.refused}")
    chosen = best(measured)
    typer.echo(
        "\nTexts of 12 tokens a second on this machine; labels as torch's on the evaluation rows."
        f"\nFastest of those that pass; in params.yaml:\n\nmodel:\n  runtime: {chosen.runtime}"
    )


def _row(m: Measured) -> list[Any]:
    """The cells of one runtime; empty where there is nothing to say."""
    if m.refused:
        return [m.runtime, "", "", "", "", "", "", "cannot run here"]
    speeds = [f"{m.megabytes:.0f}", f"{m.alone:.0f}", f"{m.together:.0f}"]
    if m.agreement is None:
        return [m.runtime, *speeds, "", "", "", "what the others must match"]
    a = m.agreement
    shares = [f"{share:.2%}" for share in (a.alone, a.batches, a.shuffled)]
    verdict = "passes" if a.passed else f"refused: {a.worst:.2%} is too few"
    return [m.runtime, *speeds, *shares, verdict]
