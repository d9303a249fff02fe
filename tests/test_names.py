"""Names are the field's, and no class is called like another one of the product."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests import ROOT

ROOMS = ("core", "pipelines", "monitoring", "serving", "flows", "everloop")
OUR_OWN = {
    *(
        "alike",
        "heard",
        "moved",
        "other",
        "others",
        "kinds",
        "days",
        "witness",
        "light",
        "mark",
        "marks",
    ),
    *("desk", "door", "lane", "lanes", "crown", "home"),
}
FILES = {"policy", "rule"}  # there were five of one name, and one beside `rules`


def modules() -> list[Path]:
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


def test_no_file_class_or_function_has_a_word_that_only_we_use() -> None:
    for path in modules():
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        named = {n.name for n in tree if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        assert OUR_OWN.isdisjoint({n.strip("_").lower() for n in named}), path
        assert path.stem not in OUR_OWN | FILES, path


def test_no_class_has_the_name_of_another() -> None:
    classes: Counter[str] = Counter()
    for path in modules():
        top = ast.parse(path.read_text(encoding="utf-8")).body
        classes.update(n.name for n in top if isinstance(n, ast.ClassDef))
    assert {name for name, count in classes.items() if count > 1} == set()
