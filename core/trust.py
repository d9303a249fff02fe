"""A workspace is code where its params.yaml names functions or classes; who has not written it is
asked first.

What is trusted stands outside every workspace, in `~/.config/everloop/trusted.json` (XDG_CONFIG_HOME
moves it): the folder, and a hash of the names and of the Python files they lead to in the workspace. A
changed file, another name or another folder is asked about again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from core.errors import TrustError
from core.files import make_folder, write_whole

Named = Mapping[str, str]  # a key of params.yaml -> module:function or module:Class


def known(root: Path, named: Named) -> bool:
    """Whether all the code that it names is trusted, as it is now."""
    return not named or _read(root).get(str(root.resolve())) == _digest(root, named)


def require(root: Path, named: Named) -> None:
    """Raises TrustError where the workspace names code that nobody here has trusted as it is now."""
    if known(root, named):
        return
    raise TrustError(
        "this workspace names code, and nobody has trusted it yet",
        where=str(root / "params.yaml"),
        got="; ".join(in_words(root, named)),
        expected="code that you have read, or wrote yourself",
        do=f"read it, then: everloop check --trust -w {root}",
    )


def grant(root: Path, named: Named) -> Path:
    """Trust the code that the workspace names, as it is now; where that is written."""
    path = _file(root)
    make_folder(path.parent)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marks = {**_read(root), str(root.resolve()): _digest(root, named)}
        write_whole(path, json.dumps(marks, indent=1, sort_keys=True) + "\n", mode=0o600)
    return path


def in_words(root: Path, named: Named) -> list[str]:
    """What would run, and the files of it that lie in the workspace."""
    lines = []
    for key, function in named.items():
        files = [str(p.relative_to(root.resolve())) for p in _files(root, function)]
        lines.append(f"{key}: {function}" + (f" ({', '.join(files[:5])})" if files else ""))
    return lines


def _digest(root: Path, named: Named) -> str:
    digest = hashlib.sha256()
    for key, function in sorted(named.items()):
        digest.update(f"{key}\0{function}\0".encode())
        for path in _files(root, function):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root.resolve())}\0{content}\0".encode())
    return digest.hexdigest()


def _files(root: Path, function: str) -> list[Path]:
    """The Python files of the workspace that a function may come from: its module, and those beside it,
    which that can import. Nothing is imported to find them."""
    place = root.resolve()
    folders = {f for f in _folders(place, function) if f.is_relative_to(place)}
    found = {p.resolve() for f in folders for p in f.rglob("*.py")}
    inside = (p for p in found if p.is_relative_to(place))
    return sorted(p for p in inside if not _hidden(p.relative_to(place)))


def _hidden(path: Path) -> bool:
    """In a folder such as .venv, which holds what was installed."""
    return any(part.startswith(".") for part in path.parts)


def _folders(root: Path, function: str) -> Iterator[Path]:
    """Where its package lies, and the workspace's own of that name, which comes last on the path."""
    package = function.partition(":")[0].partition(".")[0]
    try:
        specs = [find_spec(package), PathFinder.find_spec(package, [str(root)])]
    except (ImportError, ValueError):
        return
    for spec in filter(None, specs):
        if spec.origin:
            yield Path(spec.origin).resolve().parent
        for folder in spec.submodule_search_locations or ():  # it may have no __init__.py
            yield Path(folder).resolve()


def _read(root: Path) -> dict[str, str]:
    path = _file(root)
    try:
        marks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}


def _file(root: Path) -> Path:
    """Raises TrustError where it would lie in the workspace itself, or nowhere."""
    named = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    if not named.is_absolute() or named.resolve().is_relative_to(root.resolve()):
        raise TrustError(
            "there is no place outside the workspace to remember what is trusted",
            where=str(root),
            got=f"the folder {named}",
            expected="a home folder that is not the workspace",
            do="set XDG_CONFIG_HOME to a folder of your own, an absolute path",
        )
    return named / "everloop" / "trusted.json"
