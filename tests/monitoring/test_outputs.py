"""Signals of what models write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.arrays import Array
from core.records.signals import Signal
from core.records.windows import Window
from core.tasks import Generation
from everloop.laws.traffic import before, today
from monitoring import Monitoring
from monitoring.monitor import observe
from monitoring.view import ServedModel, View

CALL = '{{"name": "alarm_set", "arguments": {{"time": "{}"}}}}'
WORDS = ("five pm", "noon", "seven in the morning", "ten o'clock")


def embed(texts: list[str]) -> Array:
    """Texts of one length and first letter are near each other."""
    rows = [np.random.default_rng([len(t), ord((t or " ")[0])]).normal(size=8) for t in texts]
    noise = np.random.default_rng(len(texts)).normal(size=(len(texts), 8)) / 4
    return (np.array(rows) + noise).astype(np.float32)


def written(window: Window, seed: int, **other: Any) -> Window:
    rng = np.random.default_rng(seed)
    rows = window.rows.assign(
        output=[CALL.format(WORDS[i]) for i in rng.integers(0, len(WORDS), len(window))],
        finish_reason="stop",
        min_logprob=-rng.exponential(0.2, len(window)),
    )
    return replace(window, rows=rows.assign(**other), probabilities=np.zeros((len(window), 0)))


def found(**other: Any) -> dict[str, Signal]:
    model = ServedModel("1", [], None, "minilm", None, None, embed)
    ours, theirs = written(today(), 1, **other), written(before(), 2)
    seen = observe(View(ours, theirs, model, Monitoring(), task=Generation(judge="json")))
    return {s.name: s for s in seen if not s.segment}


def bad(signals: dict[str, Signal]) -> set[str]:
    names = (n for n in signals if n.startswith(("output.", "drift.outputs")))
    return {n for n in names if (s := signals[n]).baseline is not None and (s.value or 0) > s.baseline}


def test_calm_answers_are_no_news() -> None:
    signals = found()
    assert bad(signals) == set()
    values = {n: s.value for n, s in signals.items()}
    assert values["output.empty"] == values["output.schema"] == values["output.refusals"] == 0
    assert values["output.length"] == pytest.approx(60, abs=10)
    assert not {n for n in signals if n.startswith("drift.labels") or n == "entropy"}


def some(value: str, share: int = 4) -> list[str]:
    return [value if i % share == 0 else CALL.format(WORDS[i % 4]) for i in range(400)]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"output": some("")}, {"output.empty", "output.schema"}),
        ({"output": some(CALL.format("noon")[:-1])}, {"output.schema"}),
        ({"output": some("I'm sorry, I can't help with that.")}, {"output.refusals", "output.schema"}),
        ({"finish_reason": ["length" if i % 4 == 0 else "stop" for i in range(400)]}, {"output.cut"}),
        ({"output": ['["another", "form", "of all answers"]'] * 400}, {"drift.outputs"}),
    ],
    ids=["empty", "no JSON", "refusals", "cut", "other answers"],
)
def test_answers_that_changed_are(changed: dict[str, Any], names: set[str]) -> None:
    assert names <= bad(found(**changed))


def test_the_words_of_an_alert_name_the_share() -> None:
    signal = found(output=some(""))["output.empty"]
    assert signal.note == "100 of 400; 0.0% of 2,800 in the reference"


def test_answers_of_another_version_are_no_reference_of_drift() -> None:
    signal = found(model_version="2")["drift.outputs"]
    assert (signal.value, signal.note) == (
        None,
        "not comparable: model_version 2 is behind 400 rows of the window and 0 of the reference",
    )
