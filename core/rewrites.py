"""What is done to old rows whose targets are no longer right: data/rewrites.json.

    everloop data rewrite --where '.target.name == "alarm_set"' --jq '.target.name = "alarm_create"'
    everloop data rewrite --where '.target.name == "alarm_set"' --retire

`where` and `jq` are jq programs on {"input", "target", "time"}; what is JSON is there as JSON. A row
keeps what it says on disk: a version of a dataset reads it through the rewrites it was made under.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import DataError
from core.files import write_whole
from core.times import utc

FILE = "data/rewrites.json"
Row = dict[str, Any]  # input, target, time


@dataclass(frozen=True)
class Rewrite:
    """One rule for old rows: new targets for those that `where` means, or none of them any more."""

    where: str
    jq: str = ""  # "" leaves the rows out
    at: str = ""  # ISO 8601; it counts in versions made from then on
    by: str = ""
    why: str = ""
    undone: str = ""  # since when it counts no more

    def counts(self, now: datetime) -> bool:
        return _before(self.at, now) and not (self.undone and _before(self.undone, now))

    def to_text(self) -> str:
        """
        >>> Rewrite(".target == 1").to_text()
        'leave out where .target == 1'
        """
        return (
            f"rewrite with {self.jq} where {self.where}" if self.jq else f"leave out where {self.where}"
        )


def _before(at: str, now: datetime) -> bool:
    return utc(datetime.fromisoformat(at)) <= now


def load(root: Path) -> tuple[Rewrite, ...]:
    """Every rewrite there was, the first one first. Raises DataError for a bad file."""
    path = root / FILE
    try:
        found = tuple(Rewrite(**x) for x in json.loads(path.read_text(encoding="utf-8"))["rewrites"])
        for rewrite in found:  # one whose time is none
            _before(rewrite.undone or rewrite.at, utc(datetime.max))
        return found
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as fault:
        raise DataError(
            "these are no rewrites",
            where=str(path),
            got=str(fault),
            expected="rewrites, each with where and at",
            do=f"git checkout -- {FILE}",
        ) from None


def save(root: Path, rewrites: Sequence[Rewrite]) -> None:
    text = json.dumps({"rewrites": [asdict(r) for r in rewrites]}, indent=1, ensure_ascii=False)
    write_whole(root / FILE, text + "\n")


def in_force(rewrites: Iterable[Rewrite], now: datetime) -> tuple[Rewrite, ...]:
    """Those that count at a time, without who made them: all that a version needs to know."""
    return tuple(Rewrite(r.where, r.jq) for r in rewrites if r.counts(now))


def as_plain(rewrites: Iterable[Rewrite]) -> list[dict[str, str]]:
    """As a version keeps them: the programs."""
    return [{"where": r.where, "jq": r.jq} for r in rewrites]


def from_plain(raw: Iterable[dict[str, str]]) -> tuple[Rewrite, ...]:
    return tuple(Rewrite(**x) for x in raw)


def undo(rewrites: Sequence[Rewrite], number: int, now: datetime) -> tuple[Rewrite, ...]:
    """With one of them, counted from 1, undone. Raises DataError."""
    if not 1 <= number <= len(rewrites) or rewrites[number - 1].undone:
        live = [str(i) for i, r in enumerate(rewrites, 1) if not r.undone]
        raise DataError(
            "there is no such rewrite to undo",
            where=FILE,
            got=str(number),
            expected=f"one of {', '.join(live)}" if live else "a rewrite, and there is none",
            do="everloop data rewrite",
        )
    ended = replace(rewrites[number - 1], undone=now.isoformat())
    return (*rewrites[: number - 1], ended, *rewrites[number:])


def rewritten(
    rewrites: Sequence[Rewrite],
    inputs: Sequence[str],
    targets: Sequence[str],
    times: Sequence[datetime],
) -> list[str | None]:
    """The target of each row by now; None where the row is left out. Raises DataError for a program
    that fails.

    >>> from datetime import UTC
    >>> rows = [["wake me"], ['{"name": "alarm_set"}'], [datetime(2026, 1, 5, tzinfo=UTC)]]
    >>> rename = Rewrite('.target.name == "alarm_set"', '.target.name = "alarm_create"')
    >>> rewritten([rename], *rows), rewritten([Rewrite('.time < "2026-02"')], *rows)
    (['{"name": "alarm_create"}'], [None])
    """
    given = zip(inputs, targets, times, strict=True)
    return [_through(rewrites, input, target, time) for input, target, time in given]


def _through(rewrites: Sequence[Rewrite], input: str, target: str, time: datetime) -> str | None:
    row = row_of(input, target, time)
    changed = False
    for rewrite in rewrites:
        if not meant(rewrite.where, row):
            continue
        if not rewrite.jq:
            return None
        row = _checked(rewrite.jq, row)
        changed = True
    said = row["target"]
    if not changed:
        return target
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def row_of(input: str, target: str, time: datetime) -> Row:
    """A row as programs see it."""
    return {"input": _read(input), "target": _read(target), "time": stamp(time)}


def stamp(time: datetime) -> str:
    """A time as programs compare it, as text."""
    return f"{utc(time):%Y-%m-%dT%H:%M:%SZ}"


def meant(where: str, row: Row) -> bool:
    """Whether a program says true of a row. One that fails on it does not: forms differ."""
    try:
        return next(iter(_program(where).input_value(row)), None) is True
    except ValueError:
        return False


def _read(text: str) -> Any:
    """A text, or the object or list that it is as JSON."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _checked(program: str, before: Row) -> Row:
    """A row after a program: its target may be another, nothing else."""
    try:
        after: Any = next(iter(_program(program).input_value(before)), None)
    except ValueError as fault:
        raise _unusable(
            program, f"{fault}, for {json.dumps(before, ensure_ascii=False)[:200]}"
        ) from None
    fair = isinstance(after, dict) and {**before, "target": after.get("target")} == after
    if not fair or not after["target"]:
        raise DataError(
            "a rewrite gives the row with another target",
            where=program,
            got=json.dumps(after, ensure_ascii=False)[:200],
            expected='the row as it was but for its target, as .target.name = "new" gives it',
            do="everloop data rewrite --help",
        )
    return {**before, "target": after["target"]}


@cache
def _program(text: str) -> Any:
    """A jq program. Raises DataError."""
    import jq

    try:
        return jq.compile(text)
    except ValueError as fault:
        raise _unusable(text, str(fault)) from None


def _unusable(program: str, got: str) -> DataError:
    return DataError(
        "a jq program cannot be used",
        where=program,
        got=" ".join(got.split()),
        expected='a program on {"input", "target", "time"}, as .target.name == "alarm_set"',
        do="everloop data rewrite --help",
    )
