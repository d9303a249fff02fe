"""A user corrects an answer, a person confirms it: the next version has the row and the pair, and the next
model says what the user said. What the user said is forgotten with the answer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from core.records.answers import Request
from core.records.labels import VERIFY, Annotation
from flows.first import first_model
from flows.forget import forget, look
from flows.labels import verify
from flows.model_stages import opinions
from flows.retrain import retrain
from pipelines.datasets.contents import rows_here
from serving.feedback import Remark, check, taken
from serving.service import Service
from tests.generation_loop import START, make_session
from tests.pipelines.training.test_sft import MORE, PAIRS

RECIPE = {"policy": "sft", "epochs": 60, "learning_rate": 0.01, "batch_size": 4, "examples": 0}
ASKED, DAY = "send the cold rain", timedelta(days=1)


def frame(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["text", "label"]).assign(segments=[{} for _ in pairs])


@pytest.mark.slow
def test_a_users_correction_changes_the_next_version_and_the_answer(tmp_path: Path) -> None:
    task = {"policy": "generation", "judge": "exact"}
    session = make_session(tmp_path / "shop", training=RECIPE, task=task)
    first_model(session, frame(PAIRS + MORE), frame([("hello there", "end")]), START)
    service = Service(session.store, session.registry.load, 1000, policy=session.strategy.logging)
    (answer,) = service.predict([Request("r1", START + DAY / 2, ASKED, user_key="u1")])
    right = next(word for word in ("music", "sky") if word != answer.output)
    for kind, value in (("demonstration", right), ("thumbs", "down")):
        remark = Remark(answer.prediction_id, kind, value, "u1")  # type: ignore[arg-type]  # a str
        item = taken(remark, START + DAY / 2, "", session.task, service)
        check(item, service, session.store)
        session.store.feedback.add([item])

    now = START + DAY
    verify(session, now)
    (asked,) = session.store.queue.open()
    assert (asked.prediction_id, asked.policy) == (answer.prediction_id, VERIFY)
    said = Annotation(asked.prediction_id, right, "ana", now, session.task.kind)
    session.store.labels.annotate([said])
    done = retrain(session, now, "a test")

    rows = rows_here(session.workspace).set_index("row_id")
    assert rows.loc[answer.prediction_id, ["target", "annotator"]].tolist() == [right, "ana"]
    found = opinions(session)
    assert found.pairs[["input", "chosen", "rejected"]].to_numpy().tolist() == [
        [ASKED, right, answer.output]
    ]
    assert found.ratings[["output", "score"]].to_numpy().tolist() == [[answer.output, 0.0]]
    candidate = session.registry.load(done["candidate"])
    assert [a.output for a in candidate.answer([ASKED])] == [right]

    seen = look(session, "user", "u1")
    assert seen.versions == {done["dataset"]: 3}
    assert forget(session, seen, now + DAY)
    assert opinions(session).pairs.empty
    assert opinions(session).ratings.empty
    assert ASKED not in (
        session.workspace.reservoir / "v0001/feedback/v0002.parquet"
    ).read_bytes().decode("latin-1")
