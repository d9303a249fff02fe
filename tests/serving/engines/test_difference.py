"""When a server answers as the model of the registry does: up to rounding."""

from __future__ import annotations

import pytest

from core.records.weights import ReferenceAnswer, ReferenceToken
from core.records.writing import Completion
from serving.engines.deployments import difference

SURE, UNSURE = 3.0, 0.2


def probe(*margins: float) -> ReferenceAnswer:
    words = ("wake", " me", " up")
    return ReferenceAnswer(
        ({"role": "user", "content": "x"},),
        tuple(ReferenceToken(w, -1.0, m) for w, m in zip(words, margins, strict=True)),
    )


def said(text: str, *logprobs: float) -> Completion:
    return Completion(text, "length", 1, 3, logprobs)


@pytest.mark.parametrize(
    ("margins", "answer", "found"),
    [
        pytest.param((SURE,) * 3, said("wake me up", -1.0, -1.02, -0.97), "", id="same"),
        pytest.param((SURE,) * 3, said("wake me up"), "", id="no-log-probabilities"),
        pytest.param((SURE,) * 3, said("wake me up", -1.5, -1.4, -0.5), "0.47 apart", id="apart"),
        pytest.param((SURE,) * 3, said("wake us up"), "'wake us up' where it writes 'wake me up'", id="other-word"),
        pytest.param((SURE, UNSURE, SURE), said("wake us now", -1.0, -9.0), "", id="other-word-as-likely"),
        pytest.param((SURE,) * 3, said("wake"), "'wake' where", id="ends-early"),
        pytest.param((SURE, UNSURE, SURE), said("wake", -1.0), "", id="end-as-likely"),
        pytest.param((SURE,) * 3, said("wake me up now", -1.0, -1.0, -1.0, -9.0), "", id="longer"),
        pytest.param((SURE,) * 3, said(""), "'' where", id="nothing"),
    ],
)  # fmt: skip
def test_what_counts_as_another_model(
    margins: tuple[float, ...], answer: Completion, found: str
) -> None:
    fault = difference([probe(*margins)], [answer])
    assert found in fault
    assert bool(fault) == bool(found)
