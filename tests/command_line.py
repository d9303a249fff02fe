"""The command line, run in this process: what it printed and how it ended."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from everloop.__main__ import main
from tests import ROOT


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def everloop(*arguments: object) -> Ran:
    """Run a command as a shell would, in a terminal of 100 columns. A traceback fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["everloop", *map(str, arguments)]),
        patch.dict(os.environ, COLUMNS="100"),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int)
    return Ran(code, out.getvalue(), err.getvalue())


def refused(*arguments: object) -> str:
    """The one error of a command that does nothing."""
    ran = everloop(*arguments)
    assert (ran.code, ran.out) == (2, "")
    return ran.err


def with_everloop(folder: Path) -> str:
    """A PATH with `dvc` and this checkout's `everloop`."""
    folder.mkdir()
    root = ROOT
    script = f'#!/bin/sh\nPYTHONPATH={root}${{PYTHONPATH:+:$PYTHONPATH}} exec {sys.executable} -m everloop "$@"\n'
    (folder / "everloop").write_text(script)
    (folder / "everloop").chmod(0o755)
    return f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def typed(commands: str, folder: Path, path: str) -> str:
    """What commands print in a shell of its own, one after another. A failing one fails the test."""
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
