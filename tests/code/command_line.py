"""The command line, run in this process: what it printed and how it ended."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from everloop.__main__ import main


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
