"""params.yaml, read strictly: every fault of the file is found and reported before any work starts.

A stage's policy is one frozen class that holds its settings and does its one verb; the section of
the file chooses it by `policy:`. Components never see the whole file.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ParamsError
from core.imported import BadCodeError
from core.plugins import BAD_CODE, Policies, choices, meant
from core.removed_settings import gone
from core.texts import counted


class Section(BaseModel):
    """A part of params.yaml: unknown keys and wrong types are faults, values never change."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


S = TypeVar("S", bound=Section)
Place = tuple[int | str, ...]  # keys from the top of the file
NO_POLICY = ("union_tag_invalid", "union_tag_not_found")
UNKNOWN_KEY = "unknown key"
MEND = "mend the file, then: everloop check"


def load(path: Path, shape: type[S], context: Mapping[str, Any] | None = None) -> S:
    """The file as a `shape`. Raises ParamsError naming every fault with its line.

    With the context `plugins.NO_CODE` no class that the file names by its import path is imported.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            "there is no params.yaml here", where=str(path), do="everloop init DIR makes a workspace"
        ) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise ParamsError(
            "params.yaml cannot be read", where=str(path), got=str(fault), do=MEND
        ) from None
    node, raw = _parsed(path, text)
    if not isinstance(raw, dict):
        got = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise ParamsError("params.yaml must be a mapping of stages", where=str(path), got=got, do=MEND)
    try:
        return shape.model_validate(raw, context=context)
    except ValidationError as fault:
        faults = [text for _, text in _faults(fault, raw, node, shape)]
        count = counted(len(faults), "fault")
        raise ParamsError(
            f"params.yaml has {count}\n" + "\n".join(f"  - {f}" for f in faults),
            where=str(path),
            do="mend the lines above, then: everloop check",
        ) from None


def line_of(path: Path, key: Sequence[int | str]) -> int:
    """Where a key, or the nearest one around it, stands in a file that can be read."""
    return _line(_parsed(path, path.read_text(encoding="utf-8"))[0], key)


def named(path: Path, key: str) -> Iterator[tuple[list[int | str], Any]]:
    """Every place of a key in a file that can be read, and its value."""

    def below(at: list[int | str], raw: Any) -> Iterator[tuple[list[int | str], Any]]:
        listed = enumerate(raw) if isinstance(raw, list) else ()
        for name, value in raw.items() if isinstance(raw, dict) else listed:
            if name == key:
                yield [*at, name], value
            yield from below([*at, name], value)

    yield from below([], _parsed(path, path.read_text(encoding="utf-8"))[1])


def _parsed(path: Path, text: str) -> tuple[yaml.Node | None, Any]:
    """The file's nodes, which know their lines, and its values. Raises ParamsError when not YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_keys(node, set())
        return node, yaml.safe_load(text)
    except yaml.MarkedYAMLError as fault:
        line = f", line {fault.problem_mark.line + 1}" if fault.problem_mark else ""
        raise ParamsError(
            "params.yaml is not YAML", where=f"{path}{line}", got=fault.problem or "", do=MEND
        ) from None
    except yaml.YAMLError as fault:
        got = " ".join(str(fault).split())
        raise ParamsError("params.yaml is not YAML", where=str(path), got=got, do=MEND) from None


def _check_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """YAML forbids a key to be there twice; PyYAML takes the last one and says nothing."""
    if id(node) in seen or not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        return
    seen.add(id(node))
    keys: set[str] = set()
    for part in node.value:
        if isinstance(part, tuple):
            key, part = part
            if key.value in keys and isinstance(key.value, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark
                )
            keys.add(str(key.value))
        _check_keys(part, seen)


def _faults(
    found: ValidationError, raw: Any, node: yaml.Node | None, shape: type[Section]
) -> list[tuple[Place, str]]:
    """Every fault with its place in the file; what an unknown policy hides comes after it."""
    faults: list[tuple[Place, str]] = []
    for error in found.errors(include_url=False):
        place = tuple(_real(error["loc"], raw))
        faults.append((place, _fault(error, raw, node, shape)))
        if error["type"] in NO_POLICY:
            faults += _hidden(place, raw, node, shape)
    return faults


def _hidden(
    place: Place, raw: Any, node: yaml.Node | None, shape: type[Section]
) -> list[tuple[Place, str]]:
    """The other faults of a section of no known policy: those under the policy that was meant, or under
    every policy there is."""
    section = _at(raw, place)
    if not isinstance(section, dict):
        return []
    policies = _names_at(shape, raw, list(place))
    near = difflib.get_close_matches(str(section.get("policy")), policies, n=1)
    told = [_under(place, _with(raw, place, p), node, shape) for p in near or policies]
    every = [where for where in told[0] if all(where in t for t in told)]
    return [(w, min((t[w] for t in told), key=lambda text: UNKNOWN_KEY in text)) for w in every]


def _under(place: Place, raw: Any, node: yaml.Node | None, shape: type[Section]) -> dict[Place, str]:
    """The faults of the section at a place."""
    try:
        shape.model_validate(raw)
    except ValidationError as fault:
        found = _faults(fault, raw, node, shape)
        return {where: text for where, text in found if where[: len(place)] == place}
    return {}


def _at(raw: Any, place: Place) -> Any:
    for part in place:
        raw = raw[part]
    return raw


def _with(raw: Any, place: Place, policy: str) -> Any:
    """The file with another policy at a place."""
    changed = copy.deepcopy(raw)
    _at(changed, place)["policy"] = policy
    return changed


def _fault(error: Any, raw: Any, node: yaml.Node | None, shape: type[Section]) -> str:
    """One fault as `line 7, triggers.every_days: got 'x', expected a whole number`."""
    location = _real(error["loc"], raw)
    name = ".".join(str(p) for p in location) or "(top)"
    where = f"line {_line(node, location)}, {name}"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        if became := gone(location):
            return f"{where}: this setting is gone; {became}. Delete the line"
        known = sorted(_shape_at(shape, raw, location[:-1]).model_fields)
        hint = meant(str(location[-1]), known) or f"; known: {', '.join(known)}"
        return f"{where}: {UNKNOWN_KEY}{hint}"
    if kind == "missing":
        return f"{where}: missing"
    if kind == BAD_CODE:
        return f"line {_line(node, [*location, 'policy'])}, {name}.policy: {context['words']}"
    if kind in NO_POLICY:
        policies = _names_at(shape, raw, location)
        expected = ", ".join(policies)
        if "tag" not in context:
            return f"{where}: no `policy:`, expected one of {expected}"
        where = f"line {_line(node, [*location, 'policy'])}, {name}.policy"
        hint = meant(str(context["tag"]), policies)
        return f"{where}: got {context['tag']!r}, expected one of {expected}{hint}"
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


def _line(node: yaml.Node | None, path: Sequence[int | str]) -> int:
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


def _names_at(shape: type[Section], raw: Any, path: Sequence[int | str]) -> list[str]:
    """The policies that a section of the file may choose."""
    found = _choices_at(shape, raw, path)
    return [n for c in found for n in (c.names() if isinstance(c, Policies) else _policies(c))]


def _shape_at(shape: type[Section], raw: Any, path: Sequence[int | str]) -> type[BaseModel]:
    """What a section of the file is, whose policy is known where it has one."""
    [found, *_] = [c for c in _choices_at(shape, raw, path) if not isinstance(c, Policies)]
    return found


def _choices_at(
    shape: type[Section], raw: Any, path: Sequence[int | str]
) -> list[type[BaseModel] | Policies[Any]]:
    """The sections that a path of the file may hold: one, or all that its policy could choose."""
    found: list[type[BaseModel] | Policies[Any]] = [shape]
    for part in path:
        raw = raw[part]
        if isinstance(part, str):
            [inside, *_] = [c for c in found if not isinstance(c, Policies)]
            found = choices(inside.model_fields[part])
        policy = raw.get("policy") if isinstance(raw, dict) else None
        found = [c for c in found if policy in _policies(c)] or found
        found = [_chosen(c, policy) if isinstance(c, Policies) else c for c in found]
    return found


def _chosen(policies: Policies[Any], name: Any) -> type[BaseModel] | Policies[Any]:
    try:
        return policies.find(str(name))
    except (KeyError, BadCodeError):
        return policies


def _policies(model: type[BaseModel] | Policies[Any]) -> tuple[Any, ...]:
    field = None if isinstance(model, Policies) else model.model_fields.get("policy")
    return get_args(field.annotation) if field else ()
