"""The numbers behind decisions are stored as every version before stored them, and read by name."""

from datetime import UTC, datetime

import pytest

from core.evidence import (
    AlertEndEvidence,
    AlertEvidence,
    AnyEvidence,
    CurationEvidence,
    Evidence,
    PinEvidence,
    RefusalEvidence,
    RollbackEvidence,
    RolloutEvidence,
    TestEvidence,
    TopicEvidence,
    TrainingEvidence,
    TriggerEvidence,
    UsersLabelsEvidence,
)
from core.records.decisions import Decision
from core.store import Store
from core.stored import plain

NOW = datetime(2026, 1, 5, tzinfo=UTC)
AT = NOW.isoformat()
ALERT = {
    "signal": "drift.labels",
    "segment": "",
    "kind": "drift",
    "unit": "sd",
    "reference": "sliding, 7 days",
    "rules": ["usual"],
    "window_start": AT,
    "window_end": AT,
    "value": 6.5,
    "baseline": 3.0,
    "last": AT,
    "windows": 2,
    "over": None,
    "next": "everloop monitor",
}
STORED = [
    (TriggerEvidence, {"new_labels": 20, "age_days": 2.5}),
    (TriggerEvidence, {"of": [{"policy": "drift", "verdict": "wait", "proven": True}]}),
    (
        CurationEvidence,
        {
            "requests": 100,
            "near_copies": 3,
            "budget": 20,
            "need": 4.5,
            "saved": 1.0,
            "due": 0.25,
            "picked": 20,
            "by_policy": {"audit": 4, "mix": 16},
            "answered": {"1": 100.0},
        },
    ),
    (TrainingEvidence, {"run_id": "abc", "seconds": 1.5, "eval_accuracy": 0.9}),
    (TestEvidence, {"candidate": "2", "report": "testing-v0002.html", "audit_rows": 40}),
    (RolloutEvidence, {"rollout": "2-ab", "candidate": 0.9, "champion": None, "gain": [0.1, 0.2, 0.3]}),
    (RollbackEvidence, {"from": "3", "to": "2", "by": "ana", "why": "complaints"}),
    (PinEvidence, {"version": "3", "at": AT, "by": "ana", "why": ""}),
    (RefusalEvidence, {"version": "3", "champion": "2", "for": "champion", "fault": "no head"}),
    (AlertEvidence, ALERT),
    (AlertEvidence, {**ALERT, "explanation": ["labels: oos +12 %"], "episode": {"kind": "gradual"}}),
    (
        AlertEndEvidence,
        {
            "alert": "alert/rows/1",
            "signal": "rows",
            "segment": "",
            "kind": "volume",
            "opened": AT,
            "last": AT,
            "windows": 1,
            "over": AT,
        },
    ),
    (
        TopicEvidence,
        {
            "kind": "topic",
            "name": "gift-card",
            "rows": 9,
            "share": 0.1,
            "since": AT,
            "seen": AT,
            "confidence": 0.2,
            "novelty": 0.5,
            "examples": ["r1"],
            "centroid": "ab",
            "asked": 3,
            "next": "everloop topics ask gift-card",
        },
    ),
    (UsersLabelsEvidence, {"partition": "", "words": 3, "by_fate": {"asked": 3}, "by_source": {}}),
]


@pytest.mark.parametrize(("kind", "stored"), STORED)
def test_evidence_is_stored_as_it_was_read(kind: type[Evidence], stored: dict[str, object]) -> None:
    assert kind.of(stored).stored() == stored


def test_what_is_decided_is_what_is_read(store: Store) -> None:
    said = TriggerEvidence(shortfall=0.02, numbers={"hours": 1.5})
    decided = Decision("trigger/1", "triggers", NOW, "retrain", "it pays", said)
    store.decisions.put([decided])
    found = store.decisions.get("trigger/1")
    assert found == decided
    assert found.read(TriggerEvidence).shortfall == 0.02
    assert plain(found)["evidence"] == {"shortfall": 0.02, "hours": 1.5}


def test_another_kind_has_nothing_to_say() -> None:
    other = Decision("k", "logging", NOW, "3 deleted", "old", AnyEvidence({"deleted": 3}))
    assert other.read(CurationEvidence) == CurationEvidence()
