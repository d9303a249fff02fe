"""A workspace that names functions is code: nobody runs it before somebody here has said so."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import collections, trust
from core.errors import DataError, TrustError, WorkspaceError
from everloop.commands.serve import _labelling
from everloop.init import init
from flows.session import open_session
from tests.command_line import Ran, everloop

HOOK = "def upper(text):\n    return text.upper()\n"


def name(root: Path, **sections: dict[str, Any]) -> None:
    """Change params.yaml as its owner would."""
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for section, values in sections.items():
        params[section] |= values
    path.write_text(yaml.safe_dump(params))


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that brings a function, in a module that writes down that it was imported."""
    root = init(tmp_path / "shop").root
    (root / "house_rules.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{HOOK}")
    name(root, logging={"redact_with": "house_rules:upper"})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.delitem(sys.modules, "house_rules", raising=False)
    return root


COMMANDS = {
    "predict": ["predict", "in.csv", "out.csv"],
    "train": ["train", "in.csv", "--eval", "in.csv"],
    "serve": ["serve"],
    "stage": ["stage", "training"],
    "loop": ["loop"],
    "monitor": ["monitor"],
    "replay": ["replay", "in.csv", "--initial", "in.csv", "--eval", "in.csv"],
}


FLOW = {"flow": ["schedule", "--once", "monitor"]}  # starts a Prefect server


def run(command: str, root: Path) -> Ran:
    rows = root.parent / "in.csv"
    rows.write_text("text,label,timestamp\nhello,a,2026-01-05\nyou,b,2026-01-06\n")
    given = [str(root.parent / x) if x.endswith(".csv") else x for x in (COMMANDS | FLOW)[command]]
    return everloop(*given, "-w", root)


@pytest.mark.parametrize("command", [*COMMANDS, pytest.param("flow", marks=pytest.mark.slow)], ids=str)
def test_no_command_runs_its_code(command: str, foreign: Path, tmp_path: Path) -> None:
    ran = run(command, foreign)
    assert (ran.code, ran.err) == (
        2,
        "error: this workspace names code, and nobody has trusted it yet\n"
        f"  where:    {foreign}/params.yaml\n"
        "  got:      logging.redact_with: house_rules:upper (house_rules.py)\n"
        "  expected: code that you have read, or wrote yourself\n"
        f"  do:       read it, then: everloop check --trust -w {foreign}\n",
    )
    assert not (tmp_path / "ran").exists()


def test_it_runs_once_it_is_trusted_and_until_its_code_changes(foreign: Path, tmp_path: Path) -> None:
    said = everloop("check", "-w", foreign)
    assert (said.code, said.out.splitlines()[-1]) == (
        0,
        f"# not trusted yet: read it, then: everloop check --trust -w {foreign}",
    )
    said = everloop("check", "--trust", "-w", foreign)
    assert (said.code, said.out.splitlines()[-2:]) == (
        0,
        [
            "# it names code: logging.redact_with: house_rules:upper (house_rules.py)",
            f"# trusted, as it is now: {tmp_path}/config/everloop/trusted.json",
        ],
    )
    assert not (tmp_path / "ran").exists()
    assert everloop("check", "-w", foreign).code == 0
    assert open_session(foreign).strategy.logging.clean("hello") == "HELLO"
    assert (tmp_path / "ran").exists()
    (foreign / "house_rules.py").write_text(HOOK + "# another\n")
    with pytest.raises(TrustError, match="nobody has trusted it yet"):
        open_session(foreign)


CHANGES = {
    "another function": lambda root: name(root, logging={"redact_with": "house_rules:lower"}),
    "one more function": lambda root: name(root, monitoring={"hook": "house_rules:lower"}),
    "a file that it can import": lambda root: (root / "more.py").write_text("x = 1\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_not_trusted_is_asked_about(change: str, foreign: Path) -> None:
    everloop("check", "--trust", "-w", foreign)
    open_session(foreign)
    CHANGES[change](foreign)
    with pytest.raises(TrustError, match="everloop check --trust"):
        open_session(foreign)


def test_a_copy_is_another_workspace(foreign: Path, tmp_path: Path) -> None:
    everloop("check", "--trust", "-w", foreign)
    copy = Path(shutil.copytree(foreign, tmp_path / "copy", symlinks=True))
    with pytest.raises(TrustError, match="nobody has trusted it yet"):
        open_session(copy)
    open_session(foreign)


def test_a_workspace_that_names_no_function_never_asks(tmp_path: Path) -> None:
    root = init(tmp_path / "shop").root
    (root / "house_rules.py").write_text(HOOK)
    open_session(root)
    assert "names code" not in everloop("check", "-w", root).out


def test_trust_does_not_come_with_the_workspace(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everloop("check", "--trust", "-w", foreign)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(foreign / "config"))
    with pytest.raises(TrustError, match="no place outside the workspace"):
        open_session(foreign)


def test_a_damaged_memory_trusts_nothing(foreign: Path, tmp_path: Path) -> None:
    everloop("check", "--trust", "-w", foreign)
    (tmp_path / "config" / "everloop" / "trusted.json").write_text("[")
    with pytest.raises(TrustError, match="nobody has trusted it yet"):
        open_session(foreign)


def test_a_function_of_an_installed_package_is_known_by_its_name(tmp_path: Path) -> None:
    named = {"monitoring.hook": "json:dumps"}
    trust.grant(tmp_path, named)
    assert trust.in_words(tmp_path, named) == ["monitoring.hook: json:dumps"]
    trust.require(tmp_path, named)
    known = Path(trust._file(tmp_path))
    assert str(tmp_path) in json.loads(known.read_text())


@pytest.mark.parametrize("guideline", ["../secret.md", "/etc/passwd", "link.md", "folder/secret.md"])
def test_a_guideline_that_leads_out_is_refused(guideline: str, tmp_path: Path) -> None:
    root = init(tmp_path / "shop").root
    (tmp_path / "secret.md").write_text("secret")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path)
    name(root, labeling={"guideline": guideline})
    ran = everloop("check", "-w", root)
    assert (ran.code, "it leads out of the workspace" in ran.err) == (2, True)
    with pytest.raises(WorkspaceError, match="labeling\\.guideline leads out of the workspace"):
        _labelling(open_session(root))


def test_a_collection_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = init(tmp_path / "shop").root
    (tmp_path / "secret.csv").write_text("text,label\na,b\n")
    (root / "data" / "collections").mkdir(parents=True)
    (root / "data" / "collections" / "x.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(DataError, match="a collection is a link that leads out of the workspace"):
        collections.files(root)
