"""What every rule answers: is this value of a signal bad?

Each rule judges one stored signal and what was stored of it before. `monitoring.rules` of params.yaml
puts rules on any signal, of all traffic or of one segment; a signal that knows its own limit (see
`Spec.bad`) is judged by that too, without being named there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from core.params import Section
from core.plugins import of
from core.records.decisions import Severity
from core.records.signals import Signal
from core.returned import finite, shown, wrong

Bad = Literal["above", "below", "whole"]  # see Spec.bad
RENAMED = {  # what signals of older versions are called now
    f"accuracy.{old}": "accuracy"
    for old in ("audit", "ipw", "powered", "last.picks", "last.ipw", "last.powered")
}


@dataclass(frozen=True)
class Verdict:
    """Is it bad? `words` says what is wrong, or why nothing can be said."""

    broken: bool
    words: str = ""
    low: float | None = None  # what lies between `low` and `high` is fine
    high: float | None = None


class Rule(Section):
    """Judges a signal by what was stored of it in the `memory` before its window, oldest first."""

    memory: ClassVar[timedelta] = timedelta(0)

    policy: str
    signal: str = Field(
        min_length=1, description="which signal; `everloop signals` lists them", examples=["rows"]
    )
    segment: str = Field("", description="one segment, as `plan=pro`; all traffic unless told")
    severity: Severity | None = Field(
        None, description="info, warning or critical; by the kind of signal unless told"
    )

    @abstractmethod
    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal], /) -> Verdict:
        """Whether its value is bad; `bad` is the side on which the signal itself calls a value bad."""

    @field_validator("signal")
    @classmethod
    def _spelt(cls, name: str) -> str:
        name = RENAMED.get(name, name)
        near = misspelt(name)
        if near:
            raise ValueError(f"a known signal; did you mean '{near}'?")
        return name


RulePolicy = Annotated[Rule, of(Rule)]


def judged(rule: Rule, signal: Signal, bad: Bad | None, history: Sequence[Signal]) -> Verdict:
    """What a rule says of a signal. Raises PolicyError where it is no verdict."""
    found: Any = rule.judge(signal, bad, history)
    expected = "Verdict(broken, words, low, high), its limits finite numbers or None"
    if not isinstance(found, Verdict) or not isinstance(found.words, str):
        wrong(rule, "judge", shown(found), expected)
    limits = [x for x in (found.low, found.high) if x is not None]
    if not isinstance(found.broken, bool) or not all(map(finite, limits)):
        wrong(rule, "judge", shown(found), expected)
    return found


def misspelt(name: str) -> str:
    """The known signal that a name very nearly is, "" where it is one or may be a user's own.

    >>> misspelt("drift.embedings"), misspelt("drift.labels"), misspelt("my.own")
    ('drift.embeddings', '', '')
    """
    import difflib

    from monitoring.signals import SPECS

    near = [] if name in SPECS else difflib.get_close_matches(name, SPECS, n=1, cutoff=0.85)
    return near[0] if near else ""


def outside(
    signal: Signal, least: float | None, most: float | None, low: float | None, high: float | None
) -> Verdict:
    """`least` must not be below `low`, nor `most` above `high`."""
    said = f"{signal.name} {_short(signal.value)} {signal.unit}"
    if low is not None and least is not None and least < low:
        return Verdict(True, f"{said}, less than {_short(low)}", low, high)
    if high is not None and most is not None and most > high:
        return Verdict(True, f"{said}, more than {_short(high)}", low, high)
    return Verdict(False, "", low, high)


def _short(x: float | None) -> str:
    return "-" if x is None else f"{x:.4g}"
