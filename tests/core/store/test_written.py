"""What a model wrote: logged, spooled, redacted, counted, forgotten, and claimed for a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from core import schema
from core.kept import Kept
from core.records.answers import GenerationDetail, Prediction
from core.records.labels import Annotation
from core.store import Store
from core.store.spool import pack, unpack
from core.tasks import Generation
from everloop.laws.rows import NOW, row
from pipelines.logging.all import All
from pipelines.logging.profile import Profiled

SAID = ({"role": "system", "content": "Call ana@example.org."}, {"role": "user", "content": "text 1"})
DETAIL = GenerationDetail(SAID, 12, 5, "stop", -0.1, -0.5, 20.0)
CALL = '{"to":  "ana@example.org"}'  # two blanks, which are kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db", task=Generation(judge="json"))
    yield made
    made.close()


def written(i: int, detail: GenerationDetail = DETAIL) -> Prediction:
    return row(i, detail=detail, output=CALL)


def rows_of(store: Store, table: str) -> int:
    counted = select(func.count()).select_from(schema.metadata.tables[table])
    with store.database.read() as db:
        return int(db.execute(counted).scalar_one())


def test_it_comes_back_as_it_was_logged(store: Store) -> None:
    bare = GenerationDetail(finish_reason="length")
    store.answers.log([written(1), written(2, bare)])
    assert store.answers.get(written(1).prediction_id).detail == DETAIL  # type: ignore[union-attr]
    assert store.answers.get(written(2).prediction_id).detail == bare  # type: ignore[union-attr]
    rows = store.answers.window(NOW, NOW + timedelta(days=1)).rows
    assert rows["finish_reason"].tolist() == ["stop", "length"]
    assert rows["min_logprob"].tolist()[0] == -0.5
    assert rows["output"].tolist() == [CALL] * 2


def test_it_waits_in_a_spool() -> None:
    group = Kept([written(1), row(2)], 2)
    assert unpack(pack(group)).rows[0].detail == DETAIL
    assert unpack(pack(group)).rows[1].detail.probabilities.tolist() == [0.75, 0.25]  # type: ignore[union-attr]


def test_what_is_redacted_is_redacted_in_messages_and_answers_too() -> None:
    kept = All(policy="all", redact=["email"]).keep([written(1)]).rows[0]
    assert kept.output == '{"to":  "[EMAIL]"}'
    assert [m["content"] for m in kept.detail.messages] == ["Call [EMAIL].", "text 1"]  # type: ignore[union-attr]
    assert kept.detail.messages[0]["role"] == "system"  # type: ignore[union-attr]


def test_where_no_text_may_be_kept_no_answer_is(store: Store) -> None:
    kept = Profiled(policy="profile").keep([written(1), written(2)])
    assert (list(kept.rows), kept.profiles[0].labels) == ([], {"stop": 2})
    store.answers.append([kept])
    assert "ana" not in str(store.answers.profiles(NOW, NOW + timedelta(days=1)))


def test_the_score_is_the_judges(store: Store) -> None:
    store.answers.log([written(1), replace(written(2), output="{")])
    right = [
        Annotation(written(i).prediction_id, '{"to": "ana@example.org"}', "ana", NOW, "demonstration")
        for i in (1, 2)
    ]
    store.labels.annotate(right)
    assert store.answers.window(NOW, NOW + timedelta(days=1)).rows["score"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("why", ["cancelled", "error"])
def test_half_an_answer_is_counted_and_judged_by_nothing(store: Store, why: str) -> None:
    cut = replace(DETAIL, finish_reason=why)
    shadow = replace(written(1), prediction_id=written(9).prediction_id, variant="shadow")
    store.answers.log([written(1, cut), shadow, written(2)])
    right = [Annotation(written(i).prediction_id, CALL, "ana", NOW, "demonstration") for i in (1, 2)]
    store.labels.annotate(right)
    span = (NOW, NOW + timedelta(days=1))
    assert store.answers.count(*span) == 2
    rows = store.answers.window(*span).rows
    assert rows["finish_reason"].tolist() == [why, "stop"]
    assert rows["score"].fillna(-1).tolist() == [-1, 1.0]
    assert store.answers.side_by_side(*span)["request_id"].tolist() == [written(2).request_id]
    task = Generation(judge="json")
    assert task.finished(rows).tolist() == [False, True]


def test_a_dataset_takes_messages_and_the_answer_as_it_was_written(store: Store) -> None:
    store.answers.log([written(1), written(2, GenerationDetail())])
    given = [Annotation(written(i).prediction_id, CALL, "ana", NOW, "demonstration") for i in (1, 2)]
    store.labels.annotate(given)
    rows = store.labels.claim("v0002", NOW + timedelta(days=1))
    assert rows["kind"].tolist() == ["demonstration"] * 2
    assert rows["target"].tolist() == [CALL] * 2
    assert rows["input"].tolist() == [json.dumps(SAID), "text 2"]
    task = Generation(judge="json")
    assert [task.render(task.asked(x)) for x in rows["input"]] == ["text 1", "text 2"]


def test_who_is_forgotten_is_forgotten_in_all_tables(store: Store) -> None:
    store.answers.log([written(1), written(2)])
    texts = ["text 1", "text 2"]
    store.tested.of("model", ["prompt 1", "prompt 2"], texts, lambda places: [CALL for _ in places])
    assert rows_of(store, "tested_answers") == 2
    store.erasure.erase([written(1).prediction_id], ["text 1"])
    assert rows_of(store, "generation_details") == rows_of(store, "tested_answers") == 1


def test_what_is_old_is_retired_with_its_details(store: Store) -> None:
    store.answers.log([written(1)])
    store.tested.of("model", ["prompt 1"], ["text 1"], lambda _places: [CALL])
    assert store.erasure.retire(NOW + timedelta(days=1), "turn") == 1
    assert rows_of(store, "generation_details") == rows_of(store, "tested_answers") == 0


def test_a_prompt_is_asked_once_and_again_of_other_weights(store: Store) -> None:
    asked: list[int] = []

    def ask(places: list[int]) -> list[str]:
        asked.extend(places)
        return [str(len(asked) + i) for i in range(len(places))]

    prompts, texts = ["a", "b", "a", "c"], ["text 1"] * 4
    first = store.tested.of("weights", prompts, texts, ask)
    assert first[0] == first[2]
    assert len(set(first)) == len(asked) == 3
    assert store.tested.of("weights", prompts, texts, ask) == first
    assert len(asked) == 3
    store.tested.of("others", prompts, texts, ask)
    assert len(asked) == 6
