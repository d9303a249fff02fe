"""What params.yaml names and is not there: files, collections, folders, functions. Nothing is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from core import collections, params
from core.errors import ParamsError
from core.readers import nearest
from core.workspace import Workspace, inside
from flows.fits import Key, sections
from flows.strategy import Strategy
from monitoring.alerts.rules.base import RENAMED
from pipelines.curation.like_these import LikeThese

HUB = re.compile(r"\w[\w.-]*(/[\w.-]+)?")  # what may be a model's name, and need not be a folder


def check_references(place: Workspace, strategy: Strategy) -> None:
    """Raises ParamsError that tells all of it, each with its line and what to do."""
    found = [
        *_guideline(place.root, strategy),
        *_encoder(strategy),
        *_hook(place.root, strategy),
        *_collections(place.root, strategy),
    ]
    if not found:
        return
    lines = [
        f"  - line {params.line_of(place.params, key)}, {'.'.join(map(str, key))}: {words}"
        for key, words in found
    ]
    count = f"{len(found)} thing{'s that are' if len(found) > 1 else ' that is'} not there"
    raise ParamsError(
        "\n".join([f"params.yaml names {count}", *lines]),
        where=str(place.params),
        do="make them or mend the lines above, then: everloop check",
    )


def renamed(place: Workspace) -> list[str]:
    """What params.yaml calls by a name of older versions, which is still understood."""
    return [
        f"line {params.line_of(place.params, key)}, {'.'.join(map(str, key))}: {old} is called "
        f"{RENAMED[old]} now"
        for key, old in params.named(place.params, "signal")
        if isinstance(old, str) and old in RENAMED
    ]


def _guideline(root: Path, strategy: Strategy) -> Iterator[tuple[Key, str]]:
    named = strategy.labeling.guideline
    if named and not inside(root, named):
        yield (
            ("labeling", "guideline"),
            f"{named!r}: it leads out of the workspace, to {(root / named).resolve()}, expected a "
            "Markdown or text file in it",
        )
    elif named and not (root / named).is_file():
        got = "a folder" if (root / named).is_dir() else "nothing there"
        yield (
            ("labeling", "guideline"),
            f"{named!r}: {got}, expected a Markdown or text file at {root / named}",
        )


def _encoder(strategy: Strategy) -> Iterator[tuple[Key, str]]:
    named = strategy.model.encoder
    if not HUB.fullmatch(named) and not Path(named).is_dir():
        expected = "a folder with an encoder, or a name such as sentence-transformers/all-MiniLM-L6-v2"
        yield ("model", "encoder"), f"{named!r}: nothing there, expected {expected}"


def _hook(root: Path, strategy: Strategy) -> Iterator[tuple[Key, str]]:
    """Only whether its package can be found: importing it would run it."""
    package = strategy.monitoring.hook.partition(":")[0].partition(".")[0]
    if package and not _there(package, root):
        got = f"{strategy.monitoring.hook!r}: no package or module {package}"
        yield ("monitoring", "hook"), f"{got}, expected one of the workspace, or installed"


def _there(package: str, root: Path) -> bool:
    if package in sys.modules or PathFinder.find_spec(package, [str(root)]):
        return True
    return find_spec(package) is not None


def _collections(root: Path, strategy: Strategy) -> Iterator[tuple[Key, str]]:
    asked = [
        ((*at, "collection"), part.collection)
        for at, part in sections(strategy.curation, ("curation",))
        if isinstance(part, LikeThese) and part.collection
    ]
    there = collections.files(root) if asked else {}
    for key, name in asked:
        if name not in there:
            near = nearest(name, there)
            hint = f"; did you mean {near!r}?" if near else ""
            yield (
                key,
                f"{name!r}: no such collection, expected {collections.FOLDER}/{name}.csv or one of "
                f"{', '.join(there) or 'none yet'}{hint}; everloop collection add {name} FILE",
            )
