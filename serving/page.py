"""/docs: the OpenAPI document as one plain page. Nothing in it is fetched from anywhere else."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
pre{background:#f4f4f4;padding:.6rem;overflow:auto}summary{cursor:pointer;padding:.3rem 0}
summary b{display:inline-block;width:3.5rem}code{background:#f4f4f4}"""


def page(document: dict[str, Any]) -> str:
    """Every call with what it takes, what it gives, and examples of both."""
    title, about = (_text(document["info"][name]) for name in ("title", "description"))
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>",
        f"<h1>{title}</h1><p>{about} ",
        'As a document for programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    group = ""
    for path, method, call in _calls(document):
        if (tags := call.get("tags", ["Other"]))[0] != group:
            group = tags[0]
            parts.append(f"<h2>{_text(group)}</h2>")
        parts.append(f"<details><summary><b>{method.upper()}</b> <code>{_text(path)}</code></summary>")
        parts += _call(call, document)
        parts.append("</details>")
    return "\n".join(parts)


def _calls(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield path, method, call


def _call(call: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield f"<p>{_text(call.get('description', ''))}</p>"
    for given in call.get("parameters", []):
        example = _text(given.get("example", ""))
        yield f"<p>{given['in']} <code>{given['name']}</code>, e.g. {example}</p>"
    yield from _bodies("takes", call.get("requestBody", {}), document)
    for code, answer in sorted(call["responses"].items()):
        yield from _bodies(code, answer, document)


def _bodies(title: str, body: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    for kind, content in body.get("content", {}).items():
        yield f"<h4>{title} <code>{kind}</code></h4>"
        for example in examples(content, document):
            shown = example if isinstance(example, str) else json.dumps(example, indent=2)
            yield f"<pre>{_text(shown)}</pre>"


def examples(content: dict[str, Any], document: dict[str, Any]) -> list[Any]:
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


def _text(value: Any) -> str:
    return html.escape(str(value))
