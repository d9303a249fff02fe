"""Names in monitoring are the field's, and no class there is called like another one of the product."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "pipelines", "monitoring", "serving", "flows", "everloop")
OUR_OWN = {"alike", "heard", "moved", "other", "kinds", "days", "witness", "marks"}


def test_no_file_class_or_function_has_a_word_that_only_we_use() -> None:
    for path in (ROOT / "monitoring").rglob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        named = {n.name for n in tree if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        assert OUR_OWN.isdisjoint({n.strip("_").lower() for n in named}), path
        assert path.stem not in OUR_OWN | {"rule"}, path


def test_no_class_has_the_name_of_another() -> None:
    classes: Counter[str] = Counter()
    ours: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            top = ast.parse(path.read_text(encoding="utf-8")).body
            found = [n.name for n in top if isinstance(n, ast.ClassDef)]
            classes.update(found)
            ours |= set(found) if room == "monitoring" else set()
    assert {name for name in ours if classes[name] > 1} == set()
