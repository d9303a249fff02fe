"""`any`: retrain when one of several triggers says so; the reason is that of the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from core.records.decisions import Decision
from pipelines.triggers.several import Several
from pipelines.triggers.trigger import Situation, decided


class AnyOf(Several):
    policy: Literal["any"]

    @property
    def needed(self) -> int:
        return 1

    def decide(self, situation: Situation) -> Decision:
        answers = [decided(t, situation) for t in self.of]
        first = min(answers, key=lambda a: ("retrain", "suggest", "wait").index(a.verdict))
        if first.verdict == "wait":
            return self.answer(situation, False, "; ".join(a.reason for a in answers))
        return first if self.mode == "act" else replace(first, verdict="suggest")
