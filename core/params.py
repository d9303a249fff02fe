"""params.yaml, read strictly: every fault of the file is found and reported before any work starts.

A stage's policy is one frozen class that holds its settings and does its one verb; the section of
the file chooses it by `policy:`. Components never see the whole file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ParamsError


class Section(BaseModel):
    """A part of params.yaml: unknown keys and wrong types are faults, values never change."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


S = TypeVar("S", bound=Section)


def load(path: Path, shape: type[S]) -> S:
    """The file as a `shape`. Raises ParamsError naming every fault with its line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            "there is no params.yaml here", where=str(path), do="everloop init DIR makes a workspace"
        ) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise ParamsError("params.yaml cannot be read", where=str(path), got=str(fault)) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise ParamsError(
            "params.yaml is not YAML", where=str(path), got=str(fault).replace("\n", " ")
        ) from None
    if not isinstance(raw, dict):
        raise ParamsError(
            "params.yaml must be a mapping of stages", where=str(path), got=type(raw).__name__
        )
    try:
        return shape.model_validate(raw)
    except ValidationError as fault:
        faults = [_fault(e, raw, node, shape) for e in fault.errors(include_url=False)]
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise ParamsError(
            f"params.yaml has {count}\n" + "\n".join(f"  - {f}" for f in faults),
            where=str(path),
            do="mend the lines above, then: everloop check",
        ) from None


def _fault(error: Any, raw: Any, node: yaml.Node | None, shape: type[Section]) -> str:
    """One fault as `line 7, triggers.every_days: got 'x', expected a whole number`."""
    location = _real(error["loc"], raw)
    name = ".".join(str(p) for p in location) or "(top)"
    where = f"line {_line(node, location)}, {name}"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(shape, raw, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"
        return f"{where}: unknown key{hint}"
    if kind == "missing":
        return f"{where}: missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        expected = str(context.get("expected_tags", "a policy")).replace("'", "")
        got = context.get("tag", "no `policy:`")
        near = difflib.get_close_matches(str(got), expected.split(", "), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{where}: got {got!r}, expected one of {expected}{hint}"
    message = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}: got {error['input']!r}, expected {message}"


def _real(loc: tuple[int | str, ...], raw: Any) -> list[int | str]:
    """The path of a fault without the policy names that pydantic puts between the keys."""
    path: list[int | str] = []
    for i, part in enumerate(loc):
        keys = range(len(raw)) if isinstance(raw, list) else raw if isinstance(raw, dict) else ()
        if part in keys:
            raw = raw[part]
        elif i < len(loc) - 1:
            continue  # the tag of a discriminated union, not a key of the file
        path.append(part)
    return path


def _line(node: yaml.Node | None, path: list[int | str]) -> int:
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _known_keys(shape: type[Section], raw: Any, path: list[int | str]) -> list[str]:
    """The field names allowed at a path of the file."""
    model: type[BaseModel] | None = shape
    for part in path:
        raw = raw[part]
        if isinstance(part, int) or model is None:
            continue
        models = _models(model.model_fields[part].annotation)
        models += [m for x in model.model_fields[part].metadata for m in _models(x)]
        policy = raw.get("policy") if isinstance(raw, dict) else None
        by_policy = [m for m in models if policy in _policies(m)]
        model = (by_policy or models or [None])[0]  # type: ignore[list-item]  # no model: no keys
    return sorted(model.model_fields) if model else []


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in _models(a)]


def _policies(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("policy")
    return get_args(field.annotation) if field else ()
