"""What a workspace remembers from turn to turn: one record a key, read and written whole.

    store.state.read(Retrains).done     store.state.write(Champion("3"))

Records of one room lie there: topics and the drift story in flows, the position of a batch in serving.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core.stored import Remembered


@dataclass(frozen=True)
class Champion(Remembered):
    KEY, BARE = "champion", True

    version: str | None = None  # that serves


@dataclass(frozen=True)
class BaseEncoder(Remembered):
    KEY = "base_encoder"

    name: str = ""  # that `model.encoder: auto` took, and why
    why: str = ""


@dataclass(frozen=True)
class RetrainPlan:
    """A retrain under way: stored before its first step, so that a killed one goes on."""

    id: str  # of the dataset version that it makes
    as_of: datetime
    reason: str
    champion: str


@dataclass(frozen=True)
class RetrainResult:
    dataset: str = ""
    candidate: str = ""
    passed: bool = False


@dataclass(frozen=True)
class Retrains(Remembered):
    """How far retrains have come."""

    KEY = "retrains"

    done: int = 0  # dataset versions
    last: datetime | None = None  # when the last one was asked for
    plan: RetrainPlan | None = None
    result: RetrainResult = field(default_factory=RetrainResult)  # of the last one


@dataclass(frozen=True)
class CuratedUntil(Remembered):
    KEY, BARE = "curated_until", True

    time: datetime | None = None  # of the last curation round


@dataclass(frozen=True)
class ToldAlerts(Remembered):
    KEY, BARE = "alerts.told", True

    levels: dict[str, dict[str, str]] = field(default_factory=dict)  # alert -> channel -> level


@dataclass(frozen=True)
class Pin(Remembered):
    """While it is there, the champion answers everybody."""

    KEY = "pin"

    version: str = ""
    at: datetime | None = None
    by: str = ""
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.version)


@dataclass(frozen=True)
class RollbackBegun(Remembered):
    KEY, BARE = "rollback", True

    decision: str | None = None  # key of the rollback that is being carried out


@dataclass(frozen=True)
class RolledBack(Remembered):
    KEY, BARE = "rolled back", True

    versions: dict[str, str] = field(default_factory=dict)  # version -> the decision that took it back


@dataclass(frozen=True)
class Forgetting(Remembered):
    """A dataset version without forgotten rows, while it is being made."""

    KEY = "forgetting"

    id: str = ""
    as_of: datetime | None = None
    rows: int = 0

    def __bool__(self) -> bool:
        return bool(self.id)


@dataclass(frozen=True)
class FeedbackRead(Remembered):
    """Which feedback the labelling stage has looked at."""

    KEY = "heard"

    until: datetime | None = None
    unasked: int = 0  # labels of users that are still to be checked by a person


@dataclass(frozen=True)
class ReplayPosition(Remembered):
    KEY = "replay"

    name: str = ""  # of the stream and its options
    position: int = 0  # chunks that were done
