"""A module of the user's that has the name of one of ours is one clear error, not an odd import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """With ours on the path, as an installed package is; an editable one is found after any folder."""
    command, env = (
        [sys.executable, "-m", "everloop", "--version"],
        {**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("file", "name"), [("core.py", "core"), ("flows/__init__.py", "flows")])
def test_a_module_of_the_same_name_is_named_with_ours(file: str, name: str, tmp_path: Path) -> None:
    theirs = tmp_path / file
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("")
    said = run(tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (
        2,
        "",
        f"error: another '{name}' comes before Everloop's on Python's path\n"
        f"  where:    {theirs}\n"
        f"  expected: {ROOT / name / '__init__.py'}\n"
        "  do:       rename it, or run from another folder, and without it on PYTHONPATH\n",
    )


def test_a_folder_that_is_no_package_is_no_clash(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "monitoring").mkdir()
    assert run(tmp_path).returncode == 0
