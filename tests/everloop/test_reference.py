"""The reference pages say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop import reference
from tests import ROOT

DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("page", "made"), [("cli.md", reference.commands), ("params.md", reference.settings)]
)
def test_a_reference_page_is_as_the_code_makes_it(page: str, made: object) -> None:
    assert callable(made)
    assert (DOCS / page).read_text(encoding="utf-8") == made(), "run: make docs"


def test_the_pages_are_written_where_asked(tmp_path: Path) -> None:
    reference.write(tmp_path / "docs")
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == ["cli.md", "params.md"]
