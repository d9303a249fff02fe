"""Whether somebody else's module is found where ours is meant: `core`, `flows` and their neighbours are
names that others use, too. It imports nothing of ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

OURS = ("core", "flows", "monitoring", "pipelines", "serving")


def clash() -> str:
    """The error for the first of them that is another's, "" where all are ours."""
    ours = Path(__file__).resolve().parents[1]
    for name in OURS:
        expected, found = ours / name / "__init__.py", _found(name)
        if found != expected:
            return (
                f"another '{name}' comes before Everloop's on Python's path\n"
                f"  where:    {found}\n"
                f"  expected: {expected}\n"
                "  do:       rename it, or run from another folder, and without it on PYTHONPATH"
            )
    return ""


def _found(name: str) -> Path | None:
    spec = find_spec(name)
    places = (
        [spec.origin]
        if spec and spec.origin
        else list((spec and spec.submodule_search_locations) or ())
    )
    return Path(places[0]).resolve() if places else None
