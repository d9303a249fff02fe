"""The loop with recipe `finetune`: every promotion brings an encoder that read nothing before it."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from core.models.classifier.encoder import Encoder
from core.state import Champion
from everloop.replay import run
from flows.session import Session
from flows.stages import curate, monitor
from pipelines.datasets.contents import EVALUATION, rows_of
from pipelines.datasets.partitions import read
from pipelines.datasets.reservoir import embeddings
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
START, END = pd.Timestamp("2026-01-05", tz="UTC"), pd.Timestamp("2026-01-08", tz="UTC")
FINETUNE = {"policy": "finetune", "epochs": 1, "learning_rate": 1e-4}


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, Any], int]:
    """A replayed workspace, its result, and the texts that encoders read outside of training."""
    session = make_session(
        tmp_path_factory.mktemp("finetune") / "workspace", training=FINETUNE, monitoring=SENSITIVE
    )
    reads, honest = [0], Encoder.encode
    with pytest.MonkeyPatch.context() as patch:

        def counted(self: Encoder, texts: Any) -> Any:
            reads[0] += len(texts)
            return honest(self, texts)

        patch.setattr(Encoder, "encode", counted)
        result = run(session, job(each_day=60))
    return session, result, reads[0]


SENSITIVE = {"window_hours": 24, "reference_days": 7}


def encoders(session: Session) -> dict[str, str]:
    """Version -> the encoder it answers with."""
    return {
        c.version: session.registry.load(c.version).encoder.identity
        for c in session.registry.versions()
    }


def test_a_promotion_changes_the_encoder_and_serving_goes_on(
    finetuned: tuple[Session, dict[str, Any], int],
) -> None:
    session, result, _ = finetuned
    assert result["promotions"] >= 1
    assert result["requests"] == session.store.answers.count() == 180
    by_version = encoders(session)
    assert len(set(by_version.values())) > 2
    rows = session.store.answers.window(START, END).rows
    assert rows["model_version"].nunique() > 1
    assert (rows["encoder"] == rows["model_version"].map(by_version)).all()
    assert session.store.state.read(Champion).version == session.registry.version("champion") != "1"


def test_monitoring_says_that_encoders_are_not_comparable(
    finetuned: tuple[Session, dict[str, Any], int],
) -> None:
    session, _, _ = finetuned
    last = {s.name: s for s in monitor(session, END.to_pydatetime()) if not s.segment}
    assert last["drift.embeddings"].value is None
    assert last["drift.embeddings"].note.startswith("not comparable: encoder local@")
    assert last["drift.labels"].value is None
    assert last["drift.labels"].note.startswith("not comparable: model_version")


def test_every_read_is_counted_and_there_is_more_than_one_a_text(
    finetuned: tuple[Session, dict[str, Any], int],
) -> None:
    session, result, encoded = finetuned
    counters = session.store.state.counters()
    trained = session.registry.versions()
    rows = [c.metrics["train_rows"] for c in trained]
    training = sum(c.metrics["texts_read"] for c in trained)
    root = session.workspace.root
    evaluation = sum(len(rows_of(root, c.dataset, EVALUATION)) for c in trained)
    assert training == 2 * sum(rows) + evaluation  # an epoch, and the new head's embeddings
    passes = sum(v for k, v in counters.items() if k.startswith("encoder_passes."))
    assert passes + training == encoded + sum(rows)  # the Trainer reads past `encode`
    texts = sum(v for k, v in counters.items() if k.startswith("texts."))
    assert result["encoder_passes_per_text"] == (passes + training) / texts > 2
    assert counters["texts.serving"] == 180 < counters["encoder_passes.serving"]


def test_curation_and_the_reservoir_hold_embeddings_of_several_encoders(
    finetuned: tuple[Session, dict[str, Any], int],
) -> None:
    session, _, _ = finetuned
    rows = read(session.workspace.reservoir)
    assert rows["encoder"].nunique() > 2
    assert set(rows["encoder"]) <= {session.base.identity, *encoders(session).values()}
    assert embeddings(rows).shape == (len(rows), session.base.embed([]).shape[1])
    before = session.store.queue.picked(START, END + pd.Timedelta(days=9))
    curate(session, (END + pd.Timedelta(hours=12)).to_pydatetime())
    assert (
        session.store.queue.picked(START, END + pd.Timedelta(days=9)) == before
    )  # nothing new was served


def test_a_candidate_is_no_worse_than_the_head_alone_or_says_so(
    finetuned: tuple[Session, dict[str, Any], int],
) -> None:
    session, _, _ = finetuned
    notes = {d.key: d.reason for d in session.store.decisions.read("training")}
    for candidate in session.registry.versions()[1:]:
        note = notes[f"training/{candidate.dataset}"]
        if "head_evaluation_accuracy" in candidate.metrics:
            tuned, head = re.findall(r"finetune (0\.[0-9]+), head alone (0\.[0-9]+)", note)[0]
            assert float(tuned) >= float(head)
        else:
            tuned, head = re.findall(r"\(([0-9.]+) against ([0-9.]+)\)", note)[0]
            assert float(tuned) < float(head)
            assert "the head model is kept" in note
