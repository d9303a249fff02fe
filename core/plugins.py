"""Which class a `policy:` of params.yaml names: ours, an installed package's, or any by its path.

    policy: margin                  pipelines/curation/margin.py, which says `policy: Literal["margin"]`
    policy: near-misses             an entry point `near-misses` of the group `everloop.curation`
    policy: mypackage.module:Class  any class that can be imported

A stage's section is annotated with its base class and `of(base)`. The stage's folder holds that base,
and each policy of ours in a file of its own name. Only the class that is named is imported.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from core.imported import BadCodeError, class_at, located

B = TypeVar("B", bound=BaseModel)
NO_CODE = {"code": False}  # the context in which no class is imported by its path
BAD_CODE = "policy_code"  # the type of a fault that lies in somebody's class


class Unread(BaseModel):
    """A section whose class may not be imported yet: its settings as they were written."""

    model_config = ConfigDict(extra="allow", frozen=True)

    policy: str


class Policies(Generic[B]):
    """The policies of one stage."""

    def __init__(self, base: type[B], without: Collection[str] = (), stage: str = "") -> None:
        self.base, self.without = base, without
        self.stage = stage or self.folder.rpartition(".")[2]

    @property
    def folder(self) -> str:
        """The package of the stage: `pipelines.curation`."""
        return self.base.__module__.rpartition(".")[0]

    def ours(self) -> list[str]:
        """Names of our own, found by looking at the stage's folder."""
        found = [path.stem.replace("_", "-") for path in sorted(self._place.glob("*.py"))]
        return [name for name in found if self._is_ours(name)]

    @property
    def _place(self) -> Path:
        return Path(str(sys.modules[self.base.__module__].__file__)).parent

    def _is_ours(self, name: str) -> bool:
        path = self._place / f"{name.replace('-', '_')}.py"
        known = re.fullmatch(r"[a-z-]+", name) and name not in self.without and path.is_file()
        return bool(known) and f'    policy: Literal["{name}"]' in path.read_text(encoding="utf-8")

    def offers(self) -> Iterator[EntryPoint]:
        """What installed packages offer; one that is found twice on the path is offered once."""
        seen = set()
        for point in entry_points(group=f"everloop.{self.stage}"):
            if (key := (point.name, point.value, _package(point))) not in seen:
                seen.add(key)
                yield point

    def shapes(self) -> list[type[B]]:
        """Every class of ours."""
        return [self.find(name) for name in self.ours()]

    def names(self) -> list[str]:
        """Ours, then those of installed packages."""
        return list(dict.fromkeys([*self.ours(), *(p.name for p in self.offers())]))

    def find(self, name: str) -> type[B]:
        """The class of a name or an import path. Raises KeyError for a name that nobody has, and
        BadCodeError for code that cannot be used."""
        if ":" in name:
            return class_at(name, self.base)
        if self._is_ours(name):
            module = importlib.import_module(f"{self.folder}.{name.replace('-', '_')}")
            [shape] = [s for s in vars(module).values() if name in _policies(s)]
            return shape  # type: ignore[no-any-return]
        offered = [p for p in self.offers() if p.name == name]
        if not offered:
            raise KeyError(name)
        if len(offered) > 1:
            both = " and ".join(f"{_package(p)} ({p.value})" for p in offered)
            raise BadCodeError(f"two packages offer {name!r}: {both}; write one of these paths instead")
        return class_at(offered[0].value, self.base)

    def clashes(self) -> list[str]:
        """Offers of installed packages that are never taken, since the name is one of ours."""
        return [
            f"{_package(p)} offers {p.name!r} for {self.stage}, too: ours is taken, and theirs is "
            f"`policy: {p.value}`"
            for p in self.offers()
            if self._is_ours(p.name)
        ]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def _read(self, value: Any, info: core_schema.ValidationInfo) -> BaseModel:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("model_attributes_type", "a mapping with a `policy:`")
        if "policy" not in value:
            raise PydanticCustomError("union_tag_not_found", "a `policy:`")
        name, context = str(value["policy"]), info.context or {}
        if ":" in name and context.get("code") is False:
            return Unread.model_validate(value)
        try:
            return made(self.find(name), value, context)
        except KeyError:
            raise PydanticCustomError("union_tag_invalid", "a known policy", {"tag": name}) from None
        except BadCodeError as fault:
            raise PydanticCustomError(BAD_CODE, "{words}", {"words": str(fault)}) from None


def of(base: type[B], without: Collection[str] = (), stage: str = "") -> Policies[B]:
    """For an annotation: `Annotated[Curation, of(Curation)]`. `stage` is the folder's unless told."""
    return Policies(base, without, stage)


def choices(field: FieldInfo) -> list[type[BaseModel] | Policies[Any]]:
    """The sections that a field may hold, and the stages whose policies it may."""
    return [c for part in (field.annotation, *field.metadata) for c in _choices(part)]


def shapes(field: FieldInfo) -> list[type[BaseModel]]:
    """The same, with each policy of ours in the place of its stage."""
    return [s for c in choices(field) for s in (c.shapes() if isinstance(c, Policies) else [c])]


def _choices(annotation: Any) -> list[type[BaseModel] | Policies[Any]]:
    if isinstance(annotation, Policies):
        return [annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if getattr(annotation, "__abstractmethods__", ()) else [annotation]
    return [c for a in get_args(annotation) for c in _choices(a)]


def meant(name: str, names: Collection[str]) -> str:
    """`; did you mean 'margin'?`, where something is near."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def made(shape: type[B], value: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> B:
    """The section, called what the file calls it, whatever name its class knows."""
    own = _policies(shape)
    known = own and value["policy"] not in own
    try:
        section = shape.model_validate({**value, "policy": own[0]} if known else value, context=context)
    except (ValidationError, PydanticCustomError):
        raise
    except Exception as fault:  # a validator of somebody else's
        raise BadCodeError(f"its class raised {located(fault, shape.__module__)}") from None
    return section.model_copy(update={"policy": value["policy"]}) if known else section


def _policies(shape: Any) -> tuple[Any, ...]:
    """The names that a class of policies gives itself."""
    field = getattr(shape, "model_fields", {}).get("policy")
    return get_args(field.annotation) if field else ()


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
