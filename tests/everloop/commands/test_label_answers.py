"""everloop label, where the model writes: answers go out in each format, are written, and come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from core.ids import uuid7
from core.records.answers import GenerationDetail, Prediction
from core.records.labels import AnnotationTask
from core.store import Store
from core.tasks import Generation
from everloop.init import init, template
from tests.command_line import everloop, refused

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
TASK = Generation(policy="generation", judge="json", json_schema=SCHEMA)
CHAT = (
    {"role": "system", "content": "Answer as a function call."},
    {"role": "user", "content": "wake me"},
    {"role": "assistant", "content": "When?"},
    {"role": "user", "content": "at seven"},
)
ASKED = [
    [{"role": "user", "content": "pay my gold card"}],
    [dict(m) for m in CHAT],
    [{"role": "user", "content": "play a song\n\nby Nina"}],
]
OUTPUT = '{"name": "play"}'
ANSWERS = ['{"name":  "pay",\n "to": "a  b "}', '{"name": "wake"}', ""]  # white space is theirs
IDS = [uuid7(NOW + timedelta(minutes=i), str(i)) for i in range(3)]


@pytest.fixture
def writing(tmp_path: Path) -> Path:
    """A workspace of a model that writes, with three open tasks; one is a chat of several turns."""
    place = init(tmp_path / "calls", task="generation")
    written = yaml.safe_load(template("generation").read_text())
    written["task"]["json_schema"] = SCHEMA
    written["logging"]["redact"] = ["email"]
    place.params.write_text(yaml.safe_dump(written))
    store = opened(place.root)
    store.answers.log([prediction(i) for i in range(3)])
    store.queue.add([AnnotationTask(p, NOW, "2026-01-05", "random", 0.5, False) for p in IDS])
    store.close()
    return place.root


def opened(root: Path) -> Store:
    return Store(f"sqlite:///{root / '.everloop' / 'store.db'}", task=TASK)


def prediction(i: int) -> Prediction:
    return Prediction(
        prediction_id=IDS[i],
        request_id=f"r{i}",
        timestamp=NOW,
        model_version="3",
        variant="champion",
        text=TASK.render(ASKED[i]),
        output=OUTPUT,
        confidence=0.5,
        detail=GenerationDetail(messages=CHAT if i == 1 else ()),
        embedding=np.ones(4, dtype=np.float16),
        encoder="tiny",
        segments={},
        user_key="",
        latency_ms=1.0,
    )


def answered(root: Path) -> dict[str, str]:
    store = opened(root)
    try:
        return store.labels.of(IDS)
    finally:
        store.close()


def chat_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


def fill_csv(file: Path, answers: list[str]) -> None:
    import pandas as pd

    rows = pd.read_csv(file, keep_default_na=False)
    assert list(rows) == ["prediction_id", "text", "predicted", "round", "answer"]
    assert list(rows["text"]) == [TASK.render(a) for a in ASKED]
    rows.assign(answer=answers).to_csv(file, index=False)


def fill_chats(file: Path, answers: list[str]) -> None:
    rows = chat_lines(file)
    for i, (row, text) in enumerate(zip(rows, answers, strict=True)):
        assert row == {
            "id": IDS[i],
            "messages": [*ASKED[i], {"role": "assistant", "content": ""}],
            "predicted": OUTPUT,
            "round": "2026-01-05",
        }
        row["messages"][-1]["content"] = text
    write_lines(file, rows)


def fill_label_studio(file: Path, answers: list[str]) -> None:
    tasks = json.loads(file.read_text(encoding="utf-8"))
    assert [t["data"]["messages"] for t in tasks] == ASKED
    for task, text in zip(tasks, answers, strict=True):
        [region] = task["predictions"][0]["result"]
        assert region["value"] == {"text": [OUTPUT]}
        said = {**region, "value": {"text": [text] if text else []}}
        task["annotations"] = [{"completed_by": 1, "result": [said], "was_cancelled": False}]
    file.write_text(json.dumps(tasks), encoding="utf-8")


def fill_argilla(file: Path, answers: list[str]) -> None:
    records = json.loads(file.read_text(encoding="utf-8"))
    assert [r["fields"] for r in records] == [{"messages": a} for a in ASKED]
    for record, text in zip(records, answers, strict=True):
        assert record["suggestions"]["answer"]["value"] == OUTPUT
        record["responses"] = {"answer": [{"value": text, "user_id": "ana"}]} if text else {}
    file.write_text(json.dumps(records), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "form", "then", "fill"),
    [
        ("t.csv", None, "; fill in `answer`, then: everloop label import {file}", fill_csv),
        (
            "t.jsonl",
            None,
            "; fill in `content` of the last message, then: everloop label import {file}",
            fill_chats,
        ),
        (
            "t.json",
            "label-studio",
            "; {config} is the labelling config of its project\n"
            "its JSON export: everloop label import EXPORT.json",
            fill_label_studio,
        ),
        (
            "t.json",
            "argilla",
            "; dataset.records.from_json, and its to_json: everloop label import EXPORT.json",
            fill_argilla,
        ),
    ],
    ids=["csv", "chats", "label-studio", "argilla"],
)
def test_answers_go_out_and_come_back(
    writing: Path, tmp_path: Path, name: str, form: str | None, then: str, fill: Any
) -> None:
    file = tmp_path / name
    out = everloop("label", "export", file, *(["--format", form] if form else []), "-w", writing)
    things = "records" if form == "argilla" else "tasks"
    told = then.format(file=file, config=file.with_suffix(".xml"))
    assert (out.code, out.out, out.err) == (0, f"3 {things} in {file}{told}\n", "")
    blank = everloop("label", "import", file, "-w", writing)
    assert (blank.code, blank.out) == (0, "0 new answers, 0 known already, 3 not filled in\n")
    fill(file, ANSWERS)
    for new, known in ((2, 0), (0, 2)):
        done = everloop("label", "import", file, "-w", writing)
        told = f"{new} new answers, {known} known already, 1 not filled in\n"
        assert (done.code, done.out, done.err) == (0, told, "")
    assert answered(writing) == {IDS[0]: ANSWERS[0], IDS[1]: ANSWERS[1]}


def test_answers_that_break_the_schema_are_refused_and_what_is_private_is_cut_out(
    writing: Path, tmp_path: Path
) -> None:
    file = tmp_path / "back.jsonl"
    said = ['{"name": 7}', "pay it", '{"name": "mail", "to": "ana@example.org"}']
    write_lines(
        file,
        [
            {"id": i, "messages": [{"role": "assistant", "content": text}]}
            for i, text in zip(IDS, said, strict=True)
        ],
    )
    ran = everloop("label", "import", file, "-w", writing, "--annotator", "ana")
    page = writing / ".everloop" / "quarantine" / "annotations-back.csv"
    broken = "the answer does not keep to task.json_schema: $.name: 7 is not of type 'string'"
    assert (ran.code, ran.out) == (1, "1 new answer, 0 known already, 0 not filled in\n")
    assert ran.err == (
        f"warning: back.jsonl: 2 rows refused (row 1: {broken}); the reasons are in {page}\n"
    )
    assert page.read_text().splitlines()[2].startswith("2,the answer is no JSON")
    assert answered(writing) == {IDS[2]: '{"name": "mail", "to": "[EMAIL]"}'}
    again = everloop("label", "import", file, "-w", writing, "--annotator", "ana")
    assert again.out == "0 new answers, 1 known already, 0 not filled in\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [{"role": "assistant", "content": "{}"}]}, "no prediction id"),
        ({"id": IDS[0], "messages": "hi"}, "`messages` is no list of messages"),
        ({"id": IDS[0], "messages": ASKED[0]}, "the last message is not the assistant's"),
        (
            {"id": IDS[0], "messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]},
            "an answer of tool calls, not a text",
        ),
        (
            {"id": IDS[0], "messages": [{"role": "assistant", "content": [{"type": "image_url"}]}]},
            "an answer that is no text",
        ),
    ],
    ids=["no id", "no list", "no answer", "tool calls", "no text"],
)
def test_a_chat_that_cannot_be_taken(
    writing: Path, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    whole = {**row, "messages": row["messages"]}
    if reason == "no prediction id":
        whole["messages"] = [{"role": "assistant", "content": OUTPUT}]
    write_lines(tmp_path / "back.jsonl", [whole])
    ran = everloop("label", "import", tmp_path / "back.jsonl", "-w", writing)
    page = writing / ".everloop" / "quarantine" / "annotations-back.csv"
    assert ran.code == 1
    assert ran.err == (
        f"warning: back.jsonl: 1 row refused (row 1: {reason}); the reasons are in {page}\n"
    )
    assert answered(writing) == {}


def test_two_answers_are_disputed_until_somebody_says_which_holds(
    writing: Path, tmp_path: Path
) -> None:
    params = yaml.safe_load((writing / "params.yaml").read_text())
    params["labeling"]["annotators"] = 2
    (writing / "params.yaml").write_text(yaml.safe_dump(params))
    one, other = '{"name": "pay"}', '{"name": "play"}'
    said = [("ana", 0, one), ("bob", 0, other), ("ana", 1, '{"a": 1, "name": "x"}')]
    said.append(("bob", 1, '{"name": "x", "a": 1}'))  # the same JSON in another order agrees
    write_lines(
        tmp_path / "back.jsonl",
        [{"prediction_id": IDS[i], "annotator": who, "answer": text} for who, i, text in said],
    )
    done = everloop("label", "import", tmp_path / "back.jsonl", "-w", writing)
    assert (done.code, done.out) == (0, "4 new answers, 0 known already, 0 not filled in\n")
    told = everloop("label", "status", "-w", writing).out
    assert told.endswith(
        f"{IDS[0]}  pay my gold card\n  ana says '{one}', bob says '{other}'\n"
        "settle them: everloop label adjudicate ID LABEL\n"
    )
    assert refused("label", "adjudicate", IDS[0], "pay", "-w", writing) == (
        "error: the answer is no JSON: Expecting value: line 1 column 1 (char 0)\n"
        f"  where:    {IDS[0]}\n"
        "  got:      pay\n"
    )
    mine = '{"name":  "pay", "by": "eve@example.org"}'
    for _ in range(2):
        ran = everloop("label", "adjudicate", IDS[0], mine, "-w", writing, "--annotator", "eve")
        held = '{"name":  "pay", "by": "[EMAIL]"}'
        assert (ran.code, ran.out, ran.err) == (0, f"{IDS[0]} is {held}, says eve\n", "")
    assert answered(writing) == {IDS[0]: held, IDS[1]: '{"a": 1, "name": "x"}'}
    store = opened(writing)
    kinds = {r[0] for r in store.database.rows(_kinds())}
    store.close()
    assert kinds == {"demonstration"}


def _kinds() -> Any:
    from sqlalchemy import select

    from core import schema

    return select(schema.annotations.c.kind)
