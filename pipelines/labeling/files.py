"""The files that labels travel in: which format a file has, and how it is opened and replaced whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from core.errors import DataError
from core.readers import excerpt

MOST_BYTES = 2**28  # of JSON, which takes about ten times that in memory
Format = Literal["csv", "jsonl", "label-studio", "argilla"]
SUFFIXES: dict[Format, tuple[str, ...]] = {
    "csv": (".csv",),
    "jsonl": (".jsonl", ".ndjson"),
    "label-studio": (".json",),
    "argilla": (".json",),
}


def written_as(path: Path, named: Format | None) -> Format:
    """The format to write: the one that was named, or what the suffix says. Raises DataError where the
    two do not fit, or the suffix does not say."""
    fits = [f for f, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes]
    chosen = [f for f in fits if named in (None, f)]
    if len(chosen) == 1:
        return chosen[0]
    several = named is None and len(fits) > 1
    raise DataError(
        "tasks are written in several formats to such a file"
        if several
        else "tasks cannot be written so",
        where=str(path),
        got=" as ".join([path.suffix or "a name without a suffix", *([named] if named else [])]),
        expected=", ".join(SUFFIXES[named]) if named else "" if several else _known(),
        do=" or ".join(f"--format {f}" for f in fits) if several else "",
    )


def read_as(path: Path, named: Format | None) -> Format:
    """The format to read: the one that was named, or what the suffix and the content say."""
    if named or path.suffix.lower() != ".json" or not path.exists():
        return named or ("jsonl" if path.suffix.lower() in SUFFIXES["jsonl"] else "csv")
    first = next(iter(json_objects(path)), {})
    if "data" in first:
        return "label-studio"
    if "fields" in first or any(key.endswith(".responses") for key in first):
        return "argilla"
    raise DataError(
        "this is no export of Label Studio or Argilla",
        where=str(path),
        got=f"an object of {', '.join(list(first)[:8]) or 'nothing'}",
        expected="Label Studio's JSON (not JSON-MIN), or Argilla's records as JSON",
    )


def json_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON file that is one list. Raises DataError for another one."""
    where = str(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            got, most = f"{path.stat().st_size:,} bytes", f"at most {MOST_BYTES:,}"
            raise DataError(
                "the file is too large to be held in memory",
                where=where,
                got=got,
                expected=most,
                do="export the project in parts",
            )
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError("no such file", where=where) from None
    except OSError as fault:
        raise DataError("the file cannot be read", where=where, got=fault.strerror or "") from None
    except (ValueError, RecursionError) as fault:
        got = str(fault).splitlines()[0]
        raise DataError("this is not a whole JSON file", where=where, got=got) from None
    if not isinstance(found, list) or not all(isinstance(x, dict) for x in found):
        got = f"a {type(found).__name__}" if not isinstance(found, list) else "a list of other things"
        raise DataError("this is not a list of tasks", where=where, got=got, expected="[{…}, {…}]")
    return found


def ours(path: Path, owners: Sequence[Any], project: str, things: str, tool: str) -> list[bool]:
    """Which things of a file are of this project; `owners` says whose each is. Raises DataError where
    none is."""
    if project in owners:
        return [owner == project for owner in owners]
    got = f"{len(owners)} {things} of no workspace"
    if other := next(filter(None, owners), None):
        got = f"{things} of workspace {excerpt(other)}"
    raise DataError(
        f"no task of this {tool} file is of this workspace",
        where=str(path),
        got=got,
        expected="tasks that were exported from here",
        do="everloop label import FILE -w THE_WORKSPACE_IT_CAME_FROM",
    )


def with_the_label(answered: set[str], ours: str) -> str | None:
    """The question that has the label: ours, or under whatever name the only one that was answered.
    None where several were, and none of them is ours."""
    if ours in answered or not answered:
        return ours
    return answered.pop() if len(answered) == 1 else None


def _known() -> str:
    return ".csv, .jsonl or .ndjson; .json with --format label-studio or --format argilla"
