"""Policies that return something wrong: one error that names the policy, in every stage."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import PolicyError
from core.evidence import TriggerEvidence
from core.models.base import Answer
from core.records.answers import ClassificationDetail, Prediction
from core.records.decisions import Decision
from core.records.signals import Signal
from everloop.laws.windows import START, window
from monitoring.alerts.rules.base import Rule, Verdict, judged
from monitoring.hooks import told
from pipelines.curation.pacing.pacing import Account, Pacing, paced
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool
from pipelines.datasets.exporters.exporter import Exporter, written
from pipelines.datasets.formation import Formation, formed
from pipelines.logging.log_policy import Logging
from pipelines.rollout.promotion import Promotion, advanced, begin, decision, started
from pipelines.testing.expectations import Family
from pipelines.testing.own import Suite, families_of
from pipelines.testing.probes import Probe
from pipelines.training.data import Recipe, Trained, TrainingData, trained
from pipelines.triggers.any import AnyOf
from pipelines.triggers.trigger import Situation, Trigger, decided, labels_wanted

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
NAN = float("nan")


def hostile(base: type, verb: str, says: Any, **settings: Any) -> Any:
    """A policy of somebody else whose verb returns this, or what this function makes of its arguments."""

    def method(_self: object, *given: Any) -> Any:
        return says(*given) if callable(says) else says

    shape = type("Theirs", (base,), {verb: method, "__module__": "theirs"})
    return shape(policy="theirs:Theirs", **settings)


def told_of(verb: str, got: str) -> str:
    """The whole error, as it begins."""
    return (
        rf"\Aa policy returned what cannot be used\n  where:    theirs:Theirs, {verb}\n"
        rf"  got:      {re.escape(got)}[\s\S]*\n  expected: [\s\S]*\n"
        r"  do:       mend its class; pytest --pyargs everloop.laws --policy theirs:Theirs finds more\Z"
    )


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "an array of shape ()"),
        ([1.0], "an array of shape (1,)"),
        (["a", "b", "c"], "a list, ['a', 'b', 'c']"),
        ([1.0, float("inf"), 2.0], "infinity"),
        ([NAN] * 3, "NaN for all"),
    ],
)
def test_curation(says: Any, got: str) -> None:
    with pytest.raises(PolicyError, match=told_of("worth", got)):
        hostile(Curation, "worth", says).pick(Pool(window(3)), 2, "r", START)


SITUATION = Situation(NOW, NOW - timedelta(days=7), 20, [], [])


def said(**changes: Any) -> Decision:
    return replace(Decision("trigger/x", "triggers", NOW, "retrain", "because"), **changes)


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "None"),
        (True, "a bool, True"),
        (said(verdict="yes"), "a Decision, "),
        (said(stage="curation"), "a Decision, "),
        (said(timestamp=NOW + timedelta(days=1)), "a Decision, "),
        (said(reason=7), "a Decision, "),
        (said(evidence=TriggerEvidence.of({"score": NAN})), "numbers that JSON cannot hold: "),
    ],
)
def test_triggers_alone_and_among_others(says: Any, got: str) -> None:
    trigger = hostile(Trigger, "decide", says)
    for asked in (trigger, AnyOf(policy="any", of=[trigger])):
        with pytest.raises(PolicyError, match=told_of("decide", got)):
            decided(asked, SITUATION)


@pytest.mark.parametrize("says", [None, -1, 2.5, True, "3"])
def test_labels_that_a_trigger_wants(says: Any) -> None:
    shape = type(hostile(Trigger, "decide", None))
    trigger = type("Theirs", (shape,), {"labels_wanted": lambda *_: says})(policy="theirs:Theirs")
    with pytest.raises(PolicyError, match=told_of("labels_wanted", "")):
        labels_wanted(trigger, SITUATION)


LIVE = begin(("7", "6"), NOW, "k", "shadow")
OTHER = begin(("9", "6"), NOW, "k", "shadow")
WAIT = decision(LIVE, "wait", "more", NOW)


@pytest.mark.parametrize(
    "says", [None, OTHER, replace(LIVE, share=NAN), replace(LIVE, share=2), replace(LIVE, stage="done")]
)
def test_a_rollout_that_begins(says: Any) -> None:
    with pytest.raises(PolicyError, match=told_of("start", "")):
        started(hostile_rollout("start", says), ("7", "6"), NOW, "k")


@pytest.mark.parametrize(
    "says",
    [
        None,
        LIVE,
        (LIVE, None),
        (OTHER, WAIT),
        (replace(LIVE, share=NAN), WAIT),
        (LIVE, replace(WAIT, verdict="perhaps")),
        (LIVE, replace(WAIT, verdict="promote")),
        (replace(LIVE, stage="promoted"), WAIT),
    ],
)
def test_a_rollout_that_goes_on(says: Any) -> None:
    with pytest.raises(PolicyError, match=told_of("advance", "")):
        advanced(hostile_rollout("advance", says), LIVE, pd.DataFrame(), NOW)


def hostile_rollout(verb: str, says: Any) -> Any:
    other = "start" if verb == "advance" else "advance"
    shape = type(
        "Theirs", (Promotion,), {verb: lambda *_: says, other: lambda *_: None, "__module__": "theirs"}
    )
    return shape(policy="theirs:Theirs")


ROWS = pd.DataFrame({"row_id": ["a", "b", "c"], "target": ["x", "y", "x"], "timestamp": [NOW] * 3})


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "None"),
        (["a"], "a list, ['a']"),
        (lambda rows, *_: rows[["target"]], "rows without row_id: target"),
        (lambda rows, *_: rows.iloc[1:].reset_index(drop=True), "at 0 the row_id 'b'"),
        (lambda rows, *_: rows.assign(row_id=["a", "b", "z"]), "at 2 the row_id 'z'"),
        (lambda rows, *_: rows.assign(target=["x", "y", "y"]), "at 2 the target 'y'"),
        (lambda rows, *_: rows.assign(target=["x", NAN, "x"]), "at 1 the target nan"),
        (lambda rows, *_: rows.iloc[[0, 0]], "a row twice, or rows out of order"),
        (lambda rows, *_: rows.iloc[::-1], "a row twice, or rows out of order"),
    ],
)
def test_formation(says: Any, got: str) -> None:
    with pytest.raises(PolicyError, match=told_of("form", got)):
        formed(hostile(Formation, "form", says), ROWS, NOW, 0)


class Model:
    """Answers with one confidence, or not at all."""

    identity, labels = "e", ["x"]

    def __init__(self, confidence: Any) -> None:
        self.confidence = confidence

    def answer(self, texts: list[str], _embeddings: Any) -> list[Answer]:
        detail = ClassificationDetail(np.ones(1))
        return [Answer("x", self.confidence, detail, np.zeros(2)) for _ in texts]

    embed = under = start = save = answer


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "None"),
        (Model(0.5), "a Model, "),
        (Trained(None, {}), "None without identity, "),  # type: ignore[arg-type]
        (Trained(Model(NAN), {}), "a model that answers 'hello' with an Answer, "),  # type: ignore[arg-type]
        (Trained(Model(0.5), {"loss": NAN}), "the metric 'loss': a float, nan"),  # type: ignore[arg-type]
        (Trained(Model(0.5), ["loss"]), "a Trained, "),  # type: ignore[arg-type]
    ],
)
def test_recipes(says: Any, got: str) -> None:
    none = np.zeros((0, 2))
    data = TrainingData(["hello"], ["x"], np.zeros((1, 2)), [], [], none)
    start: Any = SimpleNamespace(identity="e")
    with pytest.raises(PolicyError, match=told_of("train", got)):
        trained(hostile(Recipe, "train", says), data, start)


def family(name: str = "short", probes: int = 1, breaks: Any = None) -> Family:
    made = [Probe(("hello",), ("x",), f"hello {i}") for i in range(probes)]
    return Family(name, "INV", "says so", made, lambda *_: breaks)


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "None"),
        ("families", "a str, 'families'"),
        ([None], "None"),
        ([family(), family()], "a Family, "),
        ([family(probes=6)], "short with 6 probes"),
    ],
)
def test_suites(says: Any, got: str) -> None:
    with pytest.raises(PolicyError, match=told_of("families", got)):
        families_of(hostile(Suite, "families", says), ROWS, 5)


@pytest.mark.parametrize("breaks", [None, NAN, "no"])
def test_suites_say_true_or_false_of_an_answer(breaks: Any) -> None:
    [one] = families_of(hostile(Suite, "families", [family(breaks=breaks)]), ROWS, 5)
    with pytest.raises(PolicyError, match=told_of("breaks of short", "")):
        one.breaks(one.probes[0], None)  # type: ignore[arg-type]


def nothing(_rows: pd.DataFrame, _file: Path) -> None: ...


def remove(_rows: pd.DataFrame, file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("writes", "got"), [(nothing, "an empty file for 3 rows"), (remove, "no file for 3 rows")]
)
def test_exporters(writes: Callable[..., None], got: str, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.touch()
    with pytest.raises(PolicyError, match=told_of("write", got)):
        written(hostile(Exporter, "write", writes), ROWS, file)


def answer(i: int, **changes: Any) -> Prediction:
    said, detail = ("hello", "x", 0.5), ClassificationDetail(np.ones(1))
    row = Prediction(f"p{i}", f"r{i}", NOW, "1", "champion", *said, detail, None, "e", {}, "", 1.0)
    return replace(row, **changes)


@pytest.mark.parametrize(
    ("says", "got"),
    [
        (None, "None"),
        ([None], "a list, [None]"),
        ([answer(9)], "the row p9, unknown or twice"),
        ([answer(0), answer(0)], "the row p0, unknown or twice"),
        ([answer(0, propensity=NAN)], "a chance of a float, nan"),
        ([answer(0, propensity=0.0)], "a chance of a float, 0.0"),
    ],
)
def test_logging(says: Any, got: str) -> None:
    with pytest.raises(PolicyError, match=told_of("choose", got)):
        hostile(Logging, "choose", says).keep([answer(0), answer(1)])


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (None, "theirs:Theirs gave NoneType, expected a dict of numbers by name"),
        ([1.0], "theirs:Theirs gave list, expected a dict of numbers by name"),
        ({"n": "3"}, "theirs:Theirs gave a str, '3' for n, expected a number or None"),
    ],
)
def test_signals_say_it_in_a_note_and_the_loop_goes_on(says: Any, words: str) -> None:
    assert told("theirs:Theirs", lambda: says)[1] == words


@pytest.mark.parametrize(
    "says",
    [None, 5, (5,), (5, 5), (-1, Account()), (2.5, Account()), (True, Account()), (5, Account(NAN))],
)
def test_pacing(says: Any) -> None:
    with pytest.raises(PolicyError, match=told_of("budget", "")):
        paced(hostile(Pacing, "budget", says), 20, 1.0, Account(), [])


@pytest.mark.parametrize(
    "says", [None, True, Verdict(None), Verdict(False, low=NAN), Verdict(True, None)]
)
def test_alert_rules(says: Any) -> None:
    rule = hostile(Rule, "judge", says, signal="rows")
    with pytest.raises(PolicyError, match=told_of("judge", "")):
        judged(rule, Signal("rows", NOW, NOW, 1.0, ""), None, [])
