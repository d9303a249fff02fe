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


def found(settings: Monitoring = Monitoring(), **other: Any) -> dict[str, Signal]:  # noqa: B008
    ours, theirs = written(today(), 1, **other), written(before(), 2)
    return {s.name: s for s in seen(ours, theirs, settings) if not s.segment}


def seen(ours: Window, theirs: Window, settings: Monitoring) -> list[Signal]:
    model = ServedModel("1", [], None, "minilm", None, None, embed, surprise)
    return observe(View(ours, theirs, model, settings, task=Generation(judge="json")))


def surprise(rows: Window) -> Array:
    """Right answers that say "noon" are no surprise."""
    return np.array([0.1 if "noon" in truth else 2.0 for truth in rows.rows["truth"]])


def rude(outputs: list[str]) -> list[float]:
    """A user's own measure of toxic answers."""
    return [float("damn" in o) for o in outputs]


def short(outputs: list[str]) -> list[float]:
    return [0.5 for _ in outputs][:-1]


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
        (
            {"finish_reason": some("cancelled"), "output": some('{"name": "al')},
            {"output.unfinished"},
        ),
        ({"output": ['["another", "form", "of all answers"]'] * 400}, {"drift.outputs"}),
    ],
    ids=["empty", "no JSON", "refusals", "cut", "unfinished", "other answers"],
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


def test_the_beginning_of_an_answer_is_no_answer() -> None:
    cut = {"finish_reason": some("error", 5), "output": some("", 5)}
    assert bad(found(**cut)) == {"output.unfinished"}
    assert found(**cut)["output.unfinished"].note == "80 of 400; 0.0% of 2,800 in the reference"


ASKED = "Could you tell me when my parcel will arrive at the shop?"
ENGLISH, FRENCH = (
    "It arrives on Monday morning at the shop.",
    "Il arrive lundi matin dans votre magasin.",
)


def test_answers_in_another_language_than_their_requests() -> None:
    theirs = written(before(text=ASKED), 2, output=ENGLISH)
    said = [FRENCH if i % 4 == 0 else ENGLISH for i in range(400)]
    for output, share, is_bad in ((ENGLISH, 0.0, False), (said, 0.25, True)):
        ours = written(today(text=ASKED), 1, output=output)
        [signal] = [
            s for s in seen(ours, theirs, Monitoring()) if s.name == "output.language" and not s.segment
        ]
        assert signal.value == share
        assert signal.baseline is not None
        assert (signal.value > signal.baseline) is is_bad


def test_answers_too_short_to_have_a_language_say_nothing() -> None:
    assert found()["output.language"].note == "not enough rows: 0, 50 needed"


def test_a_users_own_measure_of_toxic_answers() -> None:
    settings = Monitoring(toxicity=f"{__name__}:rude")
    assert "output.toxicity" not in found()
    assert found(settings)["output.toxicity"].value == 0
    theirs, ours = written(before(), 2), written(today(), 1, output=some("damn"))
    signals = [s for s in seen(ours, theirs, settings) if s.name == "output.toxicity"]
    assert [s.value for s in signals if not s.segment] == [0.25]
    assert [s.note for s in signals if s.segment]  # and of each segment


@pytest.mark.parametrize(
    ("hook", "note"),
    [
        ("short", "raised ValueError: 399 scores for 400 texts"),
        ("seen", "raised TypeError"),
        ("nobody", "raised AttributeError"),
        ("embed", "raised ValueError"),
    ],
)
def test_a_measure_of_toxic_answers_that_cannot_be_used(hook: str, note: str) -> None:
    signal = found(Monitoring(toxicity=f"{__name__}:{hook}"))["output.toxicity"]
    assert signal.value is None
    assert signal.note.startswith(f"not comparable: {__name__}:{hook} {note}")


def test_how_much_right_answers_surprise_the_model() -> None:
    truth = [None if i % 20 else CALL.format("noon" if i % 40 else "ten") for i in range(400)]
    signal = found(truth=truth)["output.perplexity"]
    assert signal.value == pytest.approx(1.05, abs=0.5)
    assert signal.note.startswith("8 of 20 demonstrations, perplexity ")
    few = [None if i > 3 else CALL.format("noon") for i in range(400)]
    assert found(truth=few)["output.perplexity"].note == ("not enough rows: 4 demonstrations, 5 needed")
