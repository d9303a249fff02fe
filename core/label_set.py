"""The label set of a workspace over time: data/labels.json, a list of operations that only grows.

    everloop label set merge card_lost card_stolen --into card_gone

Version n is what the first n operations make of the labels that were declared, or came up by
themselves. A name that is gone is never used again, so what an old label is called today does not
depend on when it was given, and data of any age can be read forward.

An operation has a time, and counts from then on: at any time it is known what a label was called then.

A name is read in its normal form (core/label_names.py), however it was written when it was stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Literal, get_args

from core.errors import LabelError
from core.files import write_whole
from core.label_names import normal
from core.times import utc

FILE = "data/labels.json"
Names = Callable[[datetime], "LabelSet"]  # the label set at a time
Kind = Literal["add", "merge", "split", "retire"]


@dataclass(frozen=True)
class Operation:
    """One decision. add, retire: `labels`. merge: `labels` into one. split: one label into several."""

    op: Kind
    labels: tuple[str, ...]
    into: tuple[str, ...] = ()
    at: str = ""  # ISO 8601; "" since ever
    by: str = ""
    why: str = ""

    @property
    def gone(self) -> tuple[str, ...]:
        """The names that it ends; none by a merge of two spellings of one name."""
        form: Callable[[str], str] = normal if self.op == "merge" else str
        stay = {form(x) for x in self.into}
        return () if self.op == "add" else tuple(x for x in self.labels if form(x) not in stay)

    def since(self, now: datetime) -> bool:
        """Whether it counts at a time."""
        return not self.at or utc(datetime.fromisoformat(self.at)) <= now

    def to_text(self) -> str:
        """
        >>> Operation("merge", ("a", "b"), ("c",)).to_text()
        'merge a, b into c'
        """
        into = f" into {', '.join(self.into)}" if self.into else ""
        return f"{self.op} {', '.join(self.labels)}{into}"


@dataclass(frozen=True)
class LabelSet:
    """
    >>> merged, retired = Operation("merge", ("lost", "stolen"), ("gone",)), Operation("retire", ("x",))
    >>> labels = LabelSet((merged, retired))
    >>> labels.version, labels.now("lost"), labels.now("x"), labels.now("fee")
    (2, 'gone', None, 'fee')
    """

    operations: tuple[Operation, ...] = ()

    @property
    def version(self) -> int:
        return len(self.operations)

    @property
    def fingerprint(self) -> str:
        """The version and a hash of its operations; "" before the first."""
        plain = json.dumps([asdict(o) for o in self.operations], sort_keys=True)
        return (
            f"{self.version}:{hashlib.sha256(plain.encode()).hexdigest()[:16]}" if self.version else ""
        )

    def at(self, fingerprint: str) -> LabelSet:
        """The label set of a fingerprint. Raises LabelError when the file has another past."""
        past = LabelSet(self.operations[: int(fingerprint.partition(":")[0] or 0)])
        if past.fingerprint != fingerprint:
            raise LabelError(
                "the label set is not the one that the dataset was made under",
                where=FILE,
                got=past.fingerprint,
                expected=fingerprint,
                do=f"git log -p {FILE}: operations may be added to it, never changed",
            )
        return past

    def as_of(self, now: datetime) -> LabelSet:
        """The label set as it was at a time: all before the first operation that came later."""
        return LabelSet(tuple(takewhile(lambda o: o.since(now), self.operations)))

    @cached_property
    def _ends(self) -> dict[str, Operation]:
        return {name: o for o in self.operations for name in o.gone}

    def last(self, label: str) -> str:
        """What a label of any time is called; of one that was retired, or split, its last name."""
        seen: set[str] = set()
        while label not in seen:
            seen.add(label)
            end = self._ends.get(label)
            if end is None:
                label = normal(label)
            elif end.op == "merge":
                label = end.into[0]
        return label

    def now(self, label: str) -> str | None:
        """What a label of any time is called; None for one that was retired, or split."""
        last = self.last(label)
        return None if last in self._ends else last

    def ended(self, label: str) -> Operation | None:
        """What ended a label for good: a split, or that it was retired."""
        return self._ends.get(self.last(label))

    @property
    def gone(self) -> list[str]:
        """Every name that is gone."""
        return list(self._ends)

    @property
    def renamed(self) -> dict[str, str]:
        """Every name that is gone and was merged: what it is called."""
        return {name: new for name in self._ends if (new := self.now(name)) is not None}

    def odd(self, names: Iterable[str]) -> dict[str, str]:
        """Of these names those that are read in another way than they are written, and how."""
        return {x: new for x in set(names) if (new := self.now(x)) is not None and new != x}

    def choices(self, label: str) -> list[str]:
        """The labels there are that a label has become: itself, several after a split, or none."""
        end = self.ended(label)
        if end is None:
            return [self.last(label)]
        return list(dict.fromkeys(x for part in end.into for x in self.choices(part)))

    def refusal(self, label: str) -> str:
        """Why a label cannot be given any more, or ""; one that was merged can, under its new name."""
        end, last = self.ended(label), self.last(label)
        if end is None:
            return ""
        if end.op == "retire":
            return f"'{last}' was retired" + (f": {end.why}" if end.why else "")
        parts = ", ".join(self.choices(label))
        return f"'{last}' was split" + (f": say which of {parts}" if parts else "; its parts are gone")

    def current(self, names: Iterable[str]) -> list[str]:
        """The labels there are, sorted: of these names what is left, and what operations brought."""
        brought = (x for o in self.operations for x in (o.labels if o.op == "add" else o.into))
        return sorted({now for x in (*names, *brought) if (now := self.now(x)) is not None})

    def after(self, change: Operation, names: Iterable[str]) -> LabelSet:
        """With one more operation; `names` are the labels known besides. Raises LabelError."""
        if fault := _fault(self, change, set(self.current(names))):
            what, got, expected = fault
            raise LabelError(what, where=FILE, got=got, expected=expected, do="everloop label set")
        return LabelSet((*self.operations, change))

    @staticmethod
    def load(root: Path) -> LabelSet:
        """The label set of a workspace; without a file, version 0. Raises LabelError for a bad file."""
        path = root / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            found = [
                Operation(**{**o, "labels": tuple(o["labels"]), "into": tuple(o.get("into", ()))})
                for o in raw["operations"]
            ]
            if bad := next((o.op for o in found if o.op not in get_args(Kind)), None):
                raise ValueError(f"operation {bad}")
            for operation in found:  # one whose time is none
                operation.since(datetime.max.replace(tzinfo=UTC))
            return LabelSet(tuple(found))
        except FileNotFoundError:
            return LabelSet()
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise LabelError(
                "this is no label set",
                where=str(path),
                got=str(fault),
                expected="operations, each with op and labels",
                do=f"git checkout -- {FILE}",
            ) from None

    def save(self, root: Path) -> None:
        """Whole or not at all, and on the disk before it returns."""
        text = json.dumps(
            {"operations": [asdict(o) for o in self.operations]}, indent=1, ensure_ascii=False
        )
        write_whole(root / FILE, text + "\n")


@dataclass(frozen=True)
class FreeText(LabelSet):
    """Of outputs that are no names: each is read as it was written, and nobody renames it.

    >>> FreeText().last(" a  text "), FreeText().now("4.0")
    (' a  text ', '4.0')
    """

    def last(self, label: str) -> str:
        return label


def names_of(root: Path) -> Names:
    """The label set of a workspace at any time, read anew whenever it is asked for."""
    return lambda now: LabelSet.load(root).as_of(now)


def _fault(labels: LabelSet, change: Operation, known: set[str]) -> tuple[str, str, str] | None:
    """What is wrong with a change: what, got, expected."""
    op, olds, news = change.op, change.labels, change.into
    named = (*olds, *news)
    if bad := [x for x in named if not x or x != normal(x)]:
        plain = normal(bad[0])
        expected = f"its normal form: {plain!a}" if plain else "at least one visible character"
        return "a label is a name", ascii(bad[0]), expected
    if twice := [x for group in (olds, news) for x in group if group.count(x) > 1]:
        return "a label twice", twice[0], "different labels"
    if dead := [x for x in named if x in labels._ends]:
        return "this name is gone, and is never used again", dead[0], "another name"
    if op == "add":
        return ("this label is there", *_both(olds, known)) if set(olds) & known else None
    if unknown := [x for x in olds if x not in known]:
        return "there is no such label", unknown[0], ", ".join(sorted(known)[:10]) or "none yet"
    if op == "merge" and not change.gone:
        return "nothing is merged", ", ".join(olds), "a label besides the one that stays"
    if op == "split" and set(olds) & set(news):
        return "a label cannot be split into itself", olds[0], "new names: its rows are labelled anew"
    if op == "split" and len(news) < 2:
        return "one label is no split", ", ".join(news), "two or more; everloop label set merge renames"
    if op == "retire" and not known - set(olds):
        return "no label would be left", ", ".join(olds), "one at least"
    return None


def _both(olds: Iterable[str], known: set[str]) -> tuple[str, str]:
    return ", ".join(sorted(set(olds) & known)), "a new name"
