"""What annotators did in their tool is taken where it is unambiguous, and is never dropped silently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.readers import Refused
from pipelines.labeling import argilla, label_studio
from pipelines.labeling.judgements import Judgement
from tests.pipelines.labeling.test_tools import OURS

ANA = "ana@shop.example"
TAKEN = Judgement(1, "p0", ANA, "alarm")


def region(name: str, kind: str, *given: Any, **more: Any) -> dict[str, Any]:
    value = {"text" if kind == "textarea" else kind: list(given), **more}
    return {"id": "a", "from_name": name, "to_name": "text", "type": kind, "value": value}


def said(tmp_path: Path, *tasks: dict[str, Any]) -> list[Judgement | Refused]:
    """What Label Studio's tasks say, each of prediction p0, p1, ..."""
    whole = [
        {"data": {"text": "x", "prediction_id": f"p{i}", "workspace": OURS}, **task}
        for i, task in enumerate(tasks)
    ]
    (tmp_path / "export.json").write_text(json.dumps(whole))
    return list(label_studio.read(tmp_path / "export.json", OURS, "file"))


def annotated(*regions: dict[str, Any], under: str = "annotations", **more: Any) -> dict[str, Any]:
    by = {"id": 7, "email": ANA}
    return {under: [{"id": 1, "completed_by": by, "result": list(regions), **more}], "drafts": []}


@pytest.mark.parametrize(
    "task",
    [
        annotated(region("label", "choices", "alarm")),
        annotated(region("intent", "choices", "alarm")),
        annotated(region("label", "choices", "alarm"), under="completions"),
        annotated(region("label", "choices", "alarm"), region("mood", "choices", "good")),
        annotated(region("intent", "choices", "alarm"), region("stars", "rating", 4)),
        annotated(region("label", "choices"), region("another_label", "textarea", "alarm")),
    ],
    ids=["ours", "renamed", "before 1.0", "with another", "renamed, with stars", "written"],
)
def test_the_one_choice_is_the_label(tmp_path: Path, task: dict[str, Any]) -> None:
    assert said(tmp_path, task) == [TAKEN]


@pytest.mark.parametrize(
    ("regions", "reason", "value"),
    [
        (
            [region("label", "labels", "alarm", start=0, end=4, text="x")],
            f"{ANA} answered `label` (labels), and none is `label` (choices)",
            "['alarm']",
        ),
        (
            [region("label", "taxonomy", ["alarm"])],
            f"{ANA} answered `label` (taxonomy), and none is `label` (choices)",
            "[['alarm']]",
        ),
        (
            [region("intent", "choices", "alarm"), region("mood", "choices", "good")],
            f"{ANA} answered `intent` (choices), `mood` (choices), and it is not said which has the "
            "label",
            "['alarm']; ['good']",
        ),
        (
            [{"type": "relation", "from_id": "a", "to_id": "b"}],
            f"{ANA} answered `None` (relation), and none is `label` (choices)",
            "{'type': 'relation', 'from_id': 'a', 'to_id': 'b'}",
        ),
    ],
    ids=["spans", "taxonomy", "two choices", "relation"],
)
def test_what_is_not_one_choice_is_refused_row_by_row(
    tmp_path: Path, regions: list[dict[str, Any]], reason: str, value: str
) -> None:
    assert said(tmp_path, annotated(*regions)) == [Refused(1, reason, value)]


def test_where_ours_is_answered_elsewhere_another_choice_is_refused(tmp_path: Path) -> None:
    first, second = (annotated(region(n, "choices", "alarm")) for n in ("label", "mood"))
    reason = f"{ANA} answered `mood` (choices), and none is `label` (choices)"
    assert said(tmp_path, first, second) == [TAKEN, Refused(2, reason, "['alarm']")]


def test_drafts_are_drafts_and_only_what_is_empty_is_not_filled_in(tmp_path: Path) -> None:
    draft = {"id": 3, "user": ANA, "result": [region("label", "choices", "alarm")]}
    begun = {"annotations": [], "drafts": [draft]}
    empty = annotated(region("label", "choices"))
    again = {**annotated(region("label", "choices", "alarm")), "drafts": [{**draft, "annotation": 1}]}
    assert said(tmp_path, begun, empty, {"annotations": []}, again) == [
        Judgement(1, "p0", "file", "", draft=True),
        Judgement(2, "p1", ANA, ""),
        Judgement(3, "p2", "file", ""),
        Judgement(4, "p3", ANA, "alarm"),
    ]


@pytest.mark.parametrize("result", [{"x": 1}, ["x"], "alarm"])
def test_an_annotation_of_another_form_is_refused(tmp_path: Path, result: Any) -> None:
    [refused] = said(tmp_path, {"annotations": [{"result": result}]})
    assert isinstance(refused, Refused)
    assert refused.reason == "annotations that are not of Label Studio's form"


# -- Argilla --------------------------------------------------------------------------------------


def responded(tmp_path: Path, *responses: Any, **more: Any) -> list[Judgement | Refused]:
    whole = [
        {"id": f"p{i}", "fields": {"text": "x"}, "metadata": {"workspace": OURS}, "responses": given}
        for i, given in enumerate(responses)
    ]
    (tmp_path / "records.json").write_text(json.dumps([{**r, **more} for r in whole]))
    return list(argilla.read(tmp_path / "records.json", OURS, "file"))


def by(user: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "user_id": user, **more}


def test_the_only_question_is_the_label_whatever_it_is_called(tmp_path: Path) -> None:
    found = responded(tmp_path, {"intent": [by("u1", "alarm"), by("u2", "alarm", status="draft")]}, {})
    assert found == [
        Judgement(1, "p0", "argilla:u1", "alarm"),
        Judgement(1, "p0", "argilla:u2", "", draft=True),
        Judgement(2, "p1", "file", ""),
    ]


def test_responses_to_other_questions_are_refused(tmp_path: Path) -> None:
    two = {"intent": [by("u1", "alarm")], "mood": [by("u1", "good")]}
    reason = "responses to `intent`, `mood`, and it is not said which is the label"
    assert responded(tmp_path, two) == [Refused(1, reason, "alarm; good")]
    ours = {"label": [by("u1", "alarm")], "mood": [by("u1", "good")]}
    assert responded(tmp_path, ours, {"mood": [by("u1", "good")]}) == [
        Judgement(1, "p0", "argilla:u1", "alarm"),
        Refused(2, "responses to `mood`, and none to `label`", "good"),
    ]


def test_records_of_argilla_1_are_read(tmp_path: Path) -> None:
    given = [
        {"user_id": "u1", "status": "submitted", "values": {"label": {"value": "alarm"}}},
        {"user_id": "u2", "status": "discarded", "values": {}},
    ]
    assert responded(tmp_path, given) == [
        Judgement(1, "p0", "argilla:u1", "alarm"),
        Judgement(1, "p0", "argilla:u2", None, "discarded in Argilla"),
    ]


@pytest.mark.parametrize("given", ["alarm", ["alarm"], {"label": "alarm"}, {"label": ["alarm"]}, 7])
def test_responses_of_another_form_are_refused(tmp_path: Path, given: Any) -> None:
    [refused] = responded(tmp_path, given)
    assert isinstance(refused, Refused)
    assert refused.reason == "responses that are not of Argilla's form"


def test_flat_records_of_another_question(tmp_path: Path) -> None:
    flat = {"id": "p0", "text": "x", "workspace": OURS, "intent.responses": ["alarm"]}
    flat |= {"intent.responses.users": ["u1"], "intent.responses.status": ["submitted"]}
    (tmp_path / "records.json").write_text(json.dumps([flat]))
    found = list(argilla.read(tmp_path / "records.json", OURS, "file"))
    assert found == [Judgement(1, "p0", "argilla:u1", "alarm")]
