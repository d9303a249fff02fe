"""/docs: the OpenAPI document as one plain page. Nothing in it is fetched from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from core.page import render

TEMPLATE = Path(__file__).with_name("docs.html")
Document = dict[str, Any]
Body = tuple[str, str, list[str]]  # title, media type, examples


@dataclass(frozen=True)
class _Call:
    """What a call takes, what it gives, and examples of both."""

    group: str
    method: str
    path: str
    about: str
    parameters: list[dict[str, Any]]
    bodies: list[Body]


def page(document: Document) -> str:
    """Every call, group by group."""
    info = document["info"]
    groups = [(group, list(calls)) for group, calls in groupby(_calls(document), lambda c: c.group)]
    return render(TEMPLATE, title=info["title"], about=info["description"], groups=groups)


def _calls(document: Document) -> Iterator[_Call]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            bodies = [*_bodies("takes", call.get("requestBody", {}), document)]
            for code, answer in sorted(call["responses"].items()):
                bodies += _bodies(code, answer, document)
            group, about = call.get("tags", ["Other"])[0], call.get("description", "")
            yield _Call(group, method, path, about, call.get("parameters", []), bodies)


def _bodies(title: str, body: dict[str, Any], document: Document) -> Iterator[Body]:
    for kind, content in body.get("content", {}).items():
        found = examples(content, document)
        yield title, kind, [e if isinstance(e, str) else json.dumps(e, indent=2) for e in found]


def examples(content: dict[str, Any], document: Document) -> list[Any]:
    """The examples of a body: its own, or those of the models it refers to."""
    if "example" in content:
        return [content["example"]]
    schema = content["schema"]
    found: list[Any] = list(schema.get("examples", []))
    for part in [schema, *schema.get("anyOf", [])]:
        if "$ref" in part:
            name = part["$ref"].rpartition("/")[2]
            found += document["components"]["schemas"][name].get("examples", [])
    return found
