"""Somebody else's class by its import path, and in words what is wrong with it."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from core.errors import EverloopError

B = TypeVar("B")
PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OURS = ("core", "everloop", "flows", "monitoring", "pipelines", "serving")
_workspace: list[str] = []  # the folder whose modules can be imported now, at most one
_taken: dict[str, str] = {}  # packages that classes were taken from, and the path of the last one


class BadCodeError(Exception):
    """A class cannot be used as a policy; the words say why."""


def importable(root: Path) -> None:
    """Modules of this workspace can be imported, after all others. Those of a workspace that was open
    before are forgotten: two may have modules of one name."""
    place = str(root.resolve())
    if place in sys.path:
        return
    for before in _workspace:
        sys.path.remove(before)
        for name in [n for n, m in sys.modules.items() if _lies_in(m, before)]:
            del sys.modules[name]
    _workspace[:] = [place]
    sys.path.append(place)
    importlib.invalidate_caches()


def class_at(path: str, base: type[B]) -> type[B]:
    """The class at `package.module:Class`, if it does what `base` asks. Raises BadCodeError."""
    if not PATH.fullmatch(path):
        raise BadCodeError(
            f"got {path!r}, expected MODULE:CLASS, the module as `import` names it, such as near:Near"
        )
    name, _, wanted = path.partition(":")
    module = _module(name)
    found = getattr(module, wanted, None)
    if found is None:
        hint = _hint(module, wanted, base)
        raise BadCodeError(f"no class {wanted!r} in {name} ({_file(module)}){hint}")
    _check(path, found, base)
    _taken[name.partition(".")[0]] = path
    return found  # type: ignore[no-any-return]  # `_check` saw that it is of `base`


def of_policy(fault: BaseException) -> EverloopError | None:
    """The error to show where a policy of somebody else raised it; None where none did."""
    for frame, _ in reversed(list(traceback.walk_tb(fault.__traceback__))):
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package in _taken and package not in OURS:
            return EverloopError(
                "a policy of another package failed",
                where=_taken[package],
                got=located(fault, package),
                do=f"mend it; pytest --pyargs everloop.laws --policy {_taken[package]} finds more",
            )
    return None


def located(fault: BaseException, module: str) -> str:
    """An exception in a line, and the last line of the module's package that it went through.

    >>> located(KeyError("plan"), "json")
    "KeyError: 'plan'"
    """
    if isinstance(fault, SyntaxError):
        return f"{type(fault).__name__}: {fault.msg} ({fault.filename}, line {fault.lineno})"
    words = next(iter(str(fault).strip().splitlines()), "")[:200]
    said = f"{type(fault).__name__}: {words}" if words else type(fault).__name__
    package = module.partition(".")[0]
    for frame, line in reversed(list(traceback.walk_tb(fault.__traceback__))):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
            return f"{said} ({frame.f_code.co_filename}, line {line})"
    return said


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        if fault.name and (name == fault.name or name.startswith(f"{fault.name}.")):
            raise BadCodeError(_not_found(fault.name)) from None
        raise BadCodeError(f"importing {name} raised {located(fault, name)}") from None
    except (Exception, SystemExit) as fault:
        raise BadCodeError(f"importing {name} raised {located(fault, name)}") from None


def _not_found(name: str) -> str:
    package, _, last = name.rpartition(".")
    above = sys.modules.get(package)
    if above is not None and not hasattr(above, "__path__"):
        return f"no module {name!r}: {package} is the file {_file(above)}, expected a folder"
    places = [*above.__path__] if above else _places()
    near = difflib.get_close_matches(last, [m.name for m in pkgutil.iter_modules(places)], n=1)
    hint = f"; did you mean '{package + '.' if package else ''}{near[0]}'?" if near else ""
    return f"no module {name!r} in {', '.join(places)}{hint}"


def _places() -> list[str]:
    """Where modules are looked for, without Python's own."""
    own = {sysconfig.get_path(p) for p in ("stdlib", "platstdlib")}
    own |= {str(Path(p) / "lib-dynload") for p in own}
    found = [str(Path(p).resolve()) for p in sys.path if not p.endswith(".zip") and p not in own]
    return list(dict.fromkeys(found))


def _hint(module: ModuleType, wanted: str, base: type) -> str:
    hidden = _hidden(module)
    if hidden:
        return f"; {hidden} comes after it on the path: rename it"
    classes = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, base)]
    own = [n for n in classes if vars(module)[n].__module__ == module.__name__]
    near = difflib.get_close_matches(wanted, own, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; it has {', '.join(own)}" if own else f"; it has no {base.__name__}"


def _hidden(module: ModuleType) -> str:
    """The file of the workspace that has this module's name and is not it."""
    spec = PathFinder.find_spec(module.__name__.partition(".")[0], _workspace)
    top = sys.modules[module.__name__.partition(".")[0]]
    return spec.origin or "" if spec and spec.origin != getattr(top, "__file__", None) else ""


def _check(path: str, found: Any, base: type) -> None:
    what = f"{base.__module__}:{base.__name__}"
    if not isinstance(found, type):
        raise BadCodeError(f"{path} is a {type(found).__name__}, expected a class that extends {what}")
    if not issubclass(found, base):
        bases = ", ".join(f"{b.__module__}:{b.__name__}" for b in found.__bases__ if b is not object)
        raise BadCodeError(f"{path} extends {bases or 'nothing'}, expected {what}")
    for verb in sorted(getattr(found, "__abstractmethods__", ())):
        raise BadCodeError(f"{path} has no `{_called(base, verb)}`, which {what} asks for")
    for verb, ours, theirs in _overridden(found, base):
        if not _fits(ours, theirs):
            got = f"{verb}({', '.join(inspect.signature(theirs).parameters)})"
            raise BadCodeError(f"{path}: `{got}` cannot be called as `{_called(base, verb)}`")
    if not getattr(found, "__pydantic_complete__", True):
        _complete(path, found)


def _complete(path: str, found: Any) -> None:
    """A class whose annotations name what was not there when it was made."""
    try:
        found.model_rebuild()
    except Exception as fault:
        raise BadCodeError(f"{path} is not complete: {located(fault, found.__module__)}") from None


def _overridden(
    found: type, base: type
) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """The methods of the base that the class has its own of."""
    for verb, ours in vars(base).items():
        theirs = inspect.getattr_static(found, verb, None)
        if inspect.isfunction(ours) and inspect.isfunction(theirs) and theirs is not ours:
            yield verb, ours, theirs


def _fits(ours: Callable[..., Any], theirs: Callable[..., Any]) -> bool:
    """Whether it can be called with all that its base is called with."""
    given = inspect.signature(ours).parameters.values()
    named = {p.name: None for p in given if p.kind is p.KEYWORD_ONLY}
    try:
        inspect.signature(theirs).bind(*[None for p in given if p.kind is not p.KEYWORD_ONLY], **named)
    except TypeError:
        return False
    return True


def _called(base: type, verb: str) -> str:
    ours = inspect.getattr_static(base, verb, None)
    if not inspect.isfunction(ours):
        return verb
    return f"{verb}({', '.join(p.lstrip('_') for p in inspect.signature(ours).parameters)})"


def _file(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or next(iter(module.__path__), "?"))


def _lies_in(module: ModuleType, folder: str) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(str(file)).is_relative_to(folder)
