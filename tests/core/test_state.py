"""What a workspace remembers is stored as every version before stored it."""

import json
from datetime import UTC, datetime

import pytest

from core.episodes import Episodes
from core.errors import StoreError
from core.state import (
    Champion,
    CuratedUntil,
    FeedbackRead,
    Forgetting,
    Pin,
    ReplayPosition,
    Retrains,
    RollbackBegun,
    RolledBack,
    ToldAlerts,
)
from core.store import Store
from core.stored import Remembered
from flows.story import DriftStory
from flows.topics import Topics
from serving.batch import BatchBegun

AT = "2026-01-05T00:00:00+00:00"
EPISODE = {
    "key": "alert/rows/2026-01-05T00",
    "signal": "rows",
    "segment": "",
    "severity": "warning",
    "opened": AT,
    "last": AT,
    "windows": 2,
    "over": None,
    "model": "",
}
TOPIC = {
    "name": "gift-card",
    "opened": AT,
    "seen": AT,
    "since": AT,
    "rows": 9,
    "share": 0.1,
    "confidence": 0.2,
    "novelty": 0.5,
    "encoder": "e",
    "centroid": "",
    "members": ["a", "b"],
    "examples": ["r1"],
    "status": "open",
    "asked": {"a": 0.5},
}
DRIFT = {
    "kind": "temporary",
    "since": AT,
    "until": None,
    "reason": "new",
    "evidence": {"distance": 0.5},
}
STORED = [
    (Champion, "3"),
    (CuratedUntil, AT),
    (
        Retrains,
        {
            "done": 3,
            "last": AT,
            "plan": {"id": "v0004", "as_of": AT, "reason": "by hand", "champion": "3"},
            "result": {"dataset": "v0003", "candidate": "3", "passed": True},
        },
    ),
    (ToldAlerts, {"alert/rows/2026-01-05T00": {"env:HOOK": "warning"}}),
    (Pin, {"version": "3", "at": AT, "by": "ana", "why": "a fair"}),
    (Pin, None),
    (RollbackBegun, "rollout/undo/3-2"),
    (RolledBack, {"3": "rollout/undo/3-2"}),
    (Forgetting, {"id": "v0004", "as_of": AT, "rows": 3}),
    (FeedbackRead, {"until": AT, "unasked": 2}),
    (ReplayPosition, {"name": "clinc", "position": 7}),
    (BatchBegun, {"input": "ab", "text": "text", "now": AT, "done": None}),
    (
        BatchBegun,
        {"input": "ab", "text": "q", "now": AT, "done": {"rows": 5, "refused": 1, "bytes": 9}},
    ),
    (
        Episodes,
        {
            "at": AT,
            "episodes": [EPISODE],
            "opened": 1,
            "before": {"at": None, "episodes": [], "opened": 0, "before": None},
        },
    ),
    (Topics, [TOPIC]),
    (DriftStory, [{"until": AT, "episodes": [DRIFT]}]),
]


@pytest.mark.parametrize(("kind", "stored"), STORED)
def test_a_record_is_stored_as_it_was_read(kind: type[Remembered], stored: object) -> None:
    assert json.loads(json.dumps(kind.of(stored).stored())) == stored


def test_what_cannot_be_read_is_named(store: Store) -> None:
    class Newer(Champion):
        def stored(self) -> object:
            return ["3"]

    store.state.write(Newer("3"))
    with pytest.raises(StoreError, match=r"not of this version(?s:.*)state 'champion'(?s:.*)Champion"):
        store.state.champion()


def test_several_of_a_kind_have_names(store: Store) -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    store.state.write(BatchBegun("ab", "text", now), "/a.csv")
    assert store.state.read(BatchBegun, "/a.csv").now == now
    assert store.state.read(BatchBegun, "/b.csv") == BatchBegun()
