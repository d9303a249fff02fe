"""The reference pages, made from the code: `make docs` writes them, a test holds them to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


def commands() -> str:
    """docs/cli.md: the help of every command."""
    import typer
    from typer.testing import CliRunner

    from everloop.commands import app

    runner = CliRunner()
    root: Any = typer.main.get_command(app)
    parts = ["# Commands\n\nMade by `make docs` from the commands themselves.\n"]
    for path in _paths(root, []):
        text = runner.invoke(app, [*path, "--help"], prog_name="everloop", terminal_width=100).output
        parts.append(f"## {' '.join(['everloop', *path])}\n\n```\n{text.strip()}\n```\n")
    return "\n".join(parts)


def _paths(command: Any, at: list[str]) -> Iterator[list[str]]:
    yield at
    for name in getattr(command, "commands", {}):
        yield from _paths(command.commands[name], [*at, name])


def settings() -> str:
    """docs/params.md: every key of params.yaml, its default and what it means."""
    from flows.strategy import Strategy

    parts = [
        "# params.yaml\n\nMade by `make docs`. A stage with policies is one of the tables under it.\n"
    ]
    for stage, field in Strategy.model_fields.items():
        parts.append(f"## {stage}\n")
        for shape in _shapes(field.annotation):
            policy = _policy(shape)
            parts.append(f"### {stage}, `policy: {policy}`\n" if policy else "")
            parts.append((shape.__doc__ or "").strip().splitlines()[0] + "\n" if shape.__doc__ else "")
            parts.append("\n".join(_table(shape)) + "\n")
    return "\n".join(p for p in parts if p)


def _shapes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [s for a in get_args(annotation) for s in _shapes(a)]


def _policy(shape: type[BaseModel]) -> str:
    field = shape.model_fields.get("policy")
    return str(get_args(field.annotation)[0]) if field else ""


def _table(shape: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |\n|---|---|---|"
    for name, field in shape.model_fields.items():
        if name == "policy":
            continue
        default = "required" if field.default is PydanticUndefined else f"`{field.default}`"
        yield f"| `{name}` | {default} | {field.description or ''} |"


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(commands(), encoding="utf-8")
    (folder / "params.md").write_text(settings(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
