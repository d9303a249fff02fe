"""The reference pages, made from the code: `make docs` writes them, a test holds them to it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from core.plugins import shapes


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
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _paths(inner, [*at, name])


def settings() -> str:
    """docs/params.md: every key of params.yaml, its default and what it means."""
    from flows.strategy import Strategy

    parts = [
        "# params.yaml\n\nMade by `make docs`. A stage with policies is one of the tables under it.\n"
    ]
    for stage, field in Strategy.model_fields.items():
        parts.append(f"## {stage}\n")
        for shape in shapes(field):
            parts += _section(shape, stage)
            for name, inner in _listed(shape):
                parts += _section(inner, f"{stage}.{name}")
    return "\n".join(p for p in parts if p)


def _section(shape: type[BaseModel], name: str) -> list[str]:
    policy, rows = _policy(shape), list(_table(shape))
    return [
        f"### {name}, `policy: {policy}`\n" if policy else "",
        (shape.__doc__ or "").strip().splitlines()[0] + "\n" if shape.__doc__ else "",
        "\n".join(rows) + "\n" if len(rows) > 1 else "It has no settings.\n",
    ]


def _listed(shape: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The parts that a key may list, where it lists none unless told."""
    for name, field in shape.model_fields.items():
        if field.get_default(call_default_factory=True) == []:
            yield from ((name, inner) for inner in shapes(field))


def _policy(shape: type[BaseModel]) -> str:
    field = shape.model_fields.get("policy")
    return str(get_args(field.annotation)[0]) if field else ""


def _table(shape: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |\n|---|---|---|"
    yield from _keys(shape, "")


def _keys(shape: type[BaseModel], before: str) -> Iterator[str]:
    for name, field in shape.model_fields.items():
        if name == "policy":
            continue
        default = field.get_default(call_default_factory=True)
        shown = "required" if default is PydanticUndefined else f"`{_yaml(default)}`"
        yield f"| `{before}{name}` | {shown} | {field.description or ''} |"
        if default is None or isinstance(default, BaseModel):  # a part that may be left out whole
            for inner in shapes(field):
                yield from _keys(inner, f"{before}{name}.")


def explained(strategy: BaseModel) -> str:
    """A strategy as params.yaml writes it, its defaults filled in, each key with its meaning."""
    return "\n".join(_lines(strategy, ""))


def _lines(section: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        parts = value if isinstance(value, list | tuple) else []
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        elif parts and all(isinstance(p, BaseModel) for p in parts):
            yield f"{indent}{name}:"
            for part in parts:
                first, *rest = _lines(part, "")
                yield f"{indent}  - {first}"
                yield from (f"{indent}    {line}" for line in rest)
        else:
            meaning = f"  # {field.description}" if field.description else ""
            yield f"{indent}{name}: {_yaml(value)}{meaning}"
    for name, value in (section.model_extra or {}).items():  # of a class that is not imported yet
        yield f"{indent}{name}: {_yaml(value)}"


def _yaml(value: Any) -> str:
    """A value on one line, as params.yaml may have it."""
    plain = _plain(value)
    written = yaml.safe_dump(plain, default_flow_style=True, width=math.inf, allow_unicode=True)
    return written.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    """Sections as mappings of what was set in them."""
    if isinstance(value, BaseModel):
        return {k: _plain(getattr(value, k)) for k in sorted(value.model_fields_set)}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def signals() -> str:
    """The table of docs/monitoring.md: every signal, and when it is bad."""
    from monitoring.alerts.findings import SIGNALS

    side = {None: "", "whole": "its whole interval is below its limit"}
    rows = [
        f"| `{s.name}` | {s.unit} | {s.kind} | {side.get(s.bad, f'{s.bad} its limit')} |"
        for s in SIGNALS.values()
    ]
    return "\n".join(["| signal | unit | kind | bad when |\n|---|---|---|---|", *rows, ""])


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "monitoring.md"
    if page.exists():
        before, _, after = page.read_text(encoding="utf-8").partition("| signal |")
        _, _, rest = f"| signal |{after}".partition("\n\n")
        page.write_text(f"{before}{signals()}\n{rest}", encoding="utf-8")
    (folder / "cli.md").write_text(commands(), encoding="utf-8")
    (folder / "params.md").write_text(settings(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
