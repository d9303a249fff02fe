"""What the README says is what is there."""

from __future__ import annotations

import re

import yaml

from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> list[str]:
    """The paths of the annotated tree."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, flags=re.S | re.M)
    block = next(b for b in blocks if b.startswith("everloop/ "))
    paths, parent = [], ""
    for line in block.splitlines():
        name = line.split()[0]
        if line.startswith("  "):
            paths.append(parent + name)
        else:
            parent = name if name.endswith("/") else ""
            paths.append(name)
    return paths


def test_every_path_of_the_tree_exists_and_says_what_it_is() -> None:
    missing = [p for p in tree() if not (ROOT / p).exists()]
    assert missing == []
    assert len(tree()) > 40


def test_no_room_is_missing_from_the_tree() -> None:
    rooms = {p.parent.name + "/" for p in ROOT.glob("*/__init__.py")}
    assert rooms - {"build/"} <= set(tree())
    stages = {p.name + "/" * p.is_dir() for p in (ROOT / "pipelines").iterdir()}
    named = {p.removeprefix("pipelines/") for p in tree() if p.startswith("pipelines/")}
    assert stages - {"__init__.py", "__pycache__/"} <= named


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_strategy_shown_is_the_one_shipped() -> None:
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", README, flags=re.S)[0])
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert {k: shipped[k] for k in shown} == shown


def test_the_repository_root_is_the_workspace_that_init_makes() -> None:
    for name in ("params.yaml", "dvc.yaml"):
        assert (ROOT / name).read_bytes() == (ROOT / "everloop" / "templates" / name).read_bytes()


def test_every_command_named_exists() -> None:
    from typer.main import get_command

    from everloop.commands import app

    root = get_command(app)
    known = set(root.commands)  # type: ignore[attr-defined]  # a group
    named = set(re.findall(r"^everloop (\w+)", README, flags=re.M)) | set(
        re.findall(r"`everloop (\w+)", README)
    )
    assert named <= known


def test_stages_have_one_name_everywhere() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for stage in stages:
        assert stage in params
        assert (ROOT / "pipelines" / stage).is_dir()
