"""The champion on every runtime: how fast, and whether it still says what torch says."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from core.errors import ModelError
from core.models.base import Model
from core.models.classifier.model import TextClassifier
from core.models.classifier.runtimes import RUNTIMES, Runtime, threads
from core.progress import doing
from flows.session import Session
from pipelines.datasets.contents import newest_rows
from pipelines.datasets.layout import MANIFEST

if TYPE_CHECKING:
    from core.models.classifier.agreement import RuntimeAgreement
    from core.models.classifier.encoder import Encoder

SECONDS = 0.5  # each speed is measured for so long
TWELVE = "i ordered a blue winter coat last week where is it"  # 12 tokens with the two of the frame


@dataclass(frozen=True)
class Measured:
    """One runtime. Speeds in texts of 12 tokens a second."""

    runtime: Runtime
    megabytes: float = 0.0
    alone: float = 0.0  # one after the other, in one thread
    together: float = 0.0  # in batches of 32, on every core
    agreement: RuntimeAgreement | None = None  # None for torch, which the others are compared with
    refused: str = ""  # why it cannot run here


def torch_agreement(session: Session, model: Model, rows: pd.DataFrame) -> RuntimeAgreement | None:
    """A model's labels of evaluation rows against its labels on torch, each text read there once; None
    for a model that is on torch, and without rows."""
    from core.models.classifier.agreement import agreement

    if not isinstance(model, TextClassifier) or model.encoder.runtime == "torch" or not len(rows):
        return None
    twin, texts = model.encoder.on("torch"), session.texts(rows)
    expected = session.store.embeddings.of(texts, twin.identity, twin.encode, "testing")
    return agreement(model.trained, model.encoder, texts, expected)


def runtimes(session: Session) -> list[Measured]:
    """Every runtime. Raises ModelError without a champion or evaluation rows."""
    model = TextClassifier.load(session.registry.path(session.store.state.champion()))
    rows = _evaluation(session)
    measured: list[Measured] = []
    encoders: dict[Runtime, Encoder] = {}
    for runtime in RUNTIMES:
        doing(f"measuring {runtime}")
        try:
            own = model.on(runtime)
            told = torch_agreement(session, own, rows)
            encoders[runtime] = own.encoder
            measured.append(Measured(runtime, own.encoder.file.stat().st_size / 1e6, agreement=told))
        except ModelError as fault:
            measured.append(Measured(runtime, refused=str(fault)))
    doing("measuring speeds")
    alone, together = _speeds(encoders, 1), _speeds(encoders, 64 * threads())
    return [
        m if m.refused else replace(m, alone=alone[m.runtime], together=together[m.runtime])
        for m in measured
    ]


def _evaluation(session: Session) -> pd.DataFrame:
    rows = newest_rows(session.workspace, ["eval"], ["input"])
    if not len(rows):
        raise ModelError(
            "there are no evaluation rows to compare runtimes on",
            where=str(session.workspace.dataset / MANIFEST),
            do="bring a dataset version into data/: everloop data checkout v0001",
        )
    return rows


def best(measured: list[Measured]) -> Measured:
    """The fastest in batches of those that may be used."""
    good = [m for m in measured if not m.refused and (m.agreement is None or m.agreement.passed)]
    return max(good, key=lambda m: m.together)


def _speeds(encoders: dict[Runtime, Encoder], texts: int) -> dict[Runtime, float]:
    """The best of three rounds in turn: other work on the machine slows one round, not one runtime."""
    best = dict.fromkeys(encoders, 0.0)
    for _ in range(3):
        for runtime, encoder in encoders.items():
            best[runtime] = max(best[runtime], _speed(encoder, texts))
    return best


def _speed(encoder: Encoder, texts: int) -> float:
    """Texts a second when so many are asked for at once."""
    asked = [TWELVE] * texts
    encoder.encode(asked)  # the first pass is slower
    start, read = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        encoder.encode(asked)
        read += texts
    return read / (time.perf_counter() - start)


def check_runtime(session: Session, model: Model, rows: pd.DataFrame) -> None:
    """Raises ModelError when the model says too often what torch would not."""
    told = torch_agreement(session, model, rows)
    if told and not told.passed:
        raise ModelError(
            f"runtime {told.runtime} is refused: its labels are not torch's",
            where="model.runtime of params.yaml",
            got=str(told),
            do="set model.runtime to torch, or see what passes: everloop runtimes",
        )
