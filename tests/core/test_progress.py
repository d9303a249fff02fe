"""Whoever waits is told what for: lines in a pipe, a bar on a terminal, and stdout stays clean."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.progress import STARTING, begin, doing, now, whole
from everloop import progress
from tests import ROOT
from tests.command_line import everloop

WORK = """
import sys, time
from everloop import progress
from core.progress import doing
progress.AFTER = 0.2
with progress.shown():
    doing("reading texts", 640, 3000, "texts")
    time.sleep(1)
    print("an answer")
"""


def test_lines_in_a_pipe(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = everloop("data", "verify", "-w", shop)
    monkeypatch.setattr(progress, "AFTER", 0.0)
    told = everloop("data", "verify", "-w", shop)
    assert (told.code, told.out) == (0, quiet.out)
    assert quiet.err == ""
    lines = told.err.splitlines()
    assert lines
    assert all(re.fullmatch(r"[a-zA-Z].* \(\d+ s\)", line) for line in lines)


def test_a_step_is_told_once_and_again_after_a_while(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "AFTER", 0.1)
    monkeypatch.setattr(progress, "BEAT", 1.0)
    with progress.shown():
        doing("training")
        time.sleep(1.6)
    assert [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()] == ["training"] * 2


def test_what_is_quick_needs_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown():
        doing("training")
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_and_a_clean_stdout() -> None:
    """stderr is a terminal, stdout goes to a file."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", WORK]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert ran.stdout == b"an answer\n"
    assert "reading texts" in shown
    assert "640/3,000 texts" in shown


def test_the_count_of_the_whole_stands_beside_the_step() -> None:
    begin()
    whole(40, 120, "requests")
    doing("training")
    assert now().words() == "training: 40 of 120 requests"
    begin()
    assert now() == STARTING


def test_a_step_says_the_workspace_is_opened_and_what_is_hashed(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everloop("data", "verify", "-w", shop)
    assert now().what == "comparing rows that train with rows that evaluate"
