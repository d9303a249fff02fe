"""The demo does what the README says, twice in the same place, and spares what is not its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import WorkspaceError
from everloop.demo import commands, run_demo


@pytest.mark.slow
def test_the_demo_ends_with_a_picture_a_report_and_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "demo"
    run_demo(place)
    said = capsys.readouterr()
    accuracy = re.search(r"prequential accuracy (0\.\d+) \(frozen (0\.\d+)\)", said.err)
    assert accuracy is not None
    looped, frozen = map(float, accuracy.groups())
    assert looped > 0.8 > 0.7 > frozen
    assert "1.00 encoder passes per text" in said.err
    assert (place / "reports" / "accuracy.png").stat().st_size > 10_000
    assert "retrain" in (place / "reports" / "run.html").read_text(encoding="utf-8")
    for command in ("mlflow ui", "everloop data list", "everloop serve"):
        assert command in said.out


def test_the_demo_never_removes_what_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years")
    with pytest.raises(WorkspaceError, match="this folder is not an earlier demo"):
        run_demo(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "ten years"


def test_commands_to_look_further_can_be_pasted() -> None:
    assert [c.split()[0].split("/")[-1] for c in commands(Path("demo"))] == ["mlflow"] + [
        "everloop"
    ] * 4
