"""Tasks go to Label Studio and to Argilla, and what their annotators say comes back whole."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import DataError
from core.readers import Refused
from core.store import Store
from pipelines.labeling import Labeling, argilla, files, label_studio
from pipelines.labeling.files import read_as, written_as
from pipelines.labeling.handout import ANSWER, LABEL, Handout, ModelAnswer
from pipelines.labeling.judgements import Imported, Judgement, take
from tests import ROOT
from tests.pipelines.labeling.test_files import NOW, TEXTS, store

__all__ = ["store"]
OURS, LABELS = (
    "019b8b74-1800-75ca-ba2e-f08341255975",
    ["cancel_order", 'say "no" & <go>', "track_order"],
)
TWO = Labeling(annotators=2)
PEERS = ROOT / "tests" / ".venv-label-studio" / "bin" / "python"


@pytest.fixture
def handout(store: Store) -> Handout:
    """Three tasks, and what the model said of two of them."""
    answers = {f"p{i}": ModelAnswer("3", 0.5) for i in range(2)}
    return Handout(OURS, store.queue.open(), answers, LABELS, open=True)


# -- Label Studio ---------------------------------------------------------------------------------


def test_a_label_studio_task_has_the_text_its_ids_and_the_models_answer(
    handout: Handout, tmp_path: Path
) -> None:
    config = label_studio.write(handout, tmp_path / "tasks.json")
    first, _, last = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    data = {"text": TEXTS[0], "prediction_id": "p0", "workspace": OURS, "round": "2026-01-07"}
    assert first == {
        "data": data,
        "predictions": [
            {
                "model_version": "3",
                "score": 0.5,
                "result": [
                    {
                        "id": "label",
                        "from_name": "label",
                        "to_name": "text",
                        "type": "choices",
                        "value": {"choices": ["track_order"]},
                    }
                ],
            }
        ],
    }
    assert last == {"data": {**data, "text": TEXTS[2], "prediction_id": "p2"}}
    assert config == tmp_path / "tasks.xml"
    assert config.read_text(encoding="utf-8") == (
        "<View>\n"
        '  <Text name="text" value="$text"/>\n'
        '  <Choices name="label" toName="text" choice="single">\n'
        '    <Choice value="cancel_order"/>\n'
        "    <Choice value='say \"no\" &amp; &lt;go&gt;'/>\n"
        '    <Choice value="track_order"/>\n'
        "  </Choices>\n"
        '  <TextArea name="another_label" toName="text" maxSubmissions="1"/>\n'
        "</View>\n"
    )


def test_a_closed_set_has_no_field_for_another_label(handout: Handout) -> None:
    assert "TextArea" not in label_studio.config_of(replace(handout, open=False))


def annotated(path: Path, *annotations: list[dict[str, Any]], owner: str = OURS) -> Path:
    """A Label Studio export: a list of annotations for each of p0, p1, ..."""
    tasks = [
        {
            "id": 70 + i,
            "data": {"text": "x", "prediction_id": f"p{i}", "workspace": owner},
            "annotations": found,
            "predictions": [],
            "drafts": [],
            "project": 3,
        }
        for i, found in enumerate(annotations)
    ]
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def annotation(who: Any, *choices: str, another: str = "", cancelled: bool = False) -> dict[str, Any]:
    """As Label Studio exports one."""
    regions: list[dict[str, Any]] = []
    if choices:
        regions.append({"from_name": "label", "type": "choices", "value": {"choices": list(choices)}})
    if another:
        regions.append({"from_name": "another_label", "type": "textarea", "value": {"text": [another]}})
    result = [{"id": "a", "to_name": "text", "origin": "manual", **r} for r in regions]
    return {"id": 1, "completed_by": who, "result": result, "was_cancelled": cancelled}


def test_what_label_studios_annotators_say_are_votes(store: Store, tmp_path: Path) -> None:
    ana, bob = {"id": 1, "email": "ana@shop.example"}, 2
    path = annotated(
        tmp_path / "export.json",
        [annotation(ana, "track_order"), annotation(bob, "track_order")],
        [annotation(ana, "track_order"), annotation(bob, another="refund")],
        [annotation(ana, cancelled=True), annotation(bob)],
    )
    assert read_as(path, None) == "label-studio"
    for expected in (Imported(4, 0, 1, [], 1), Imported(0, 4, 1, [], 1)):
        assert take(label_studio.read(path, OURS, "file"), store, TWO, NOW) == expected
    assert store.labels.of(["p0", "p1", "p2"]) == {"p0": "track_order"}
    states = {s: n for s, n in store.queue.state(NOW).items() if n}
    assert states == {"disputed": 1, "done": 1, "skipped": 1}
    assert [d.reason for d in store.reviews.disputed()] == [
        "ana@shop.example says 'track_order', label-studio:2 says 'refund'"
    ]
    [skip] = store.queue.votes(["p2"])
    assert (skip.annotator, skip.label, skip.note) == (
        "ana@shop.example",
        None,
        "skipped in Label Studio",
    )


def test_what_cannot_be_taken_from_label_studio_is_named_and_the_rest_is_stored(
    store: Store, tmp_path: Path
) -> None:
    path = annotated(
        tmp_path / "export.json",
        [annotation(1, "track_order"), annotation(1, "cancel_order")],
        [annotation(1, "cancel_order", "track_order"), annotation(2, "cancel_ordr")],
        [],
        [annotation(1, "track_order")],
    )
    tasks = json.loads(path.read_text())
    foreign = {"data": {"text": "someone else's", "workspace": "another"}, "annotations": []}
    damaged = {**tasks[2], "annotations": "x"}
    path.write_text(json.dumps([*tasks, foreign, damaged]))
    settings = Labeling(annotators=2, labels=["track_order", "cancel_order"])
    found = take(label_studio.read(path, OURS, "file"), store, settings, NOW)
    assert found == Imported(
        1,
        0,
        1,
        [
            Refused(1, "label-studio:1 has labelled it 'track_order'", "cancel_order"),
            Refused(
                2, "several labels in one annotation by label-studio:1", "cancel_order, track_order"
            ),
            Refused(2, "a label that was never declared; did you mean 'cancel_order'?", "cancel_ordr"),
            Refused(4, "no task for this prediction id", "p3"),
            Refused(5, "a task of another project", "someone else's"),
            Refused(6, "annotations that are not of Label Studio's form", "x"),
        ],
    )
    [vote] = store.queue.votes(["p0", "p1", "p2"])
    assert (vote.prediction_id, vote.label) == ("p0", "track_order")


def test_a_label_studio_file_of_another_workspace_is_one_error(tmp_path: Path) -> None:
    path = annotated(tmp_path / "export.json", [annotation(1, "x")], owner="another")
    with pytest.raises(DataError) as fault:
        list(label_studio.read(path, OURS, "file"))
    assert str(fault.value) == (
        "no task of this Label Studio file is of this workspace\n"
        f"  where:    {path}\n"
        "  got:      tasks of workspace another\n"
        "  expected: tasks that were exported from here\n"
        "  do:       everloop label import FILE -w THE_WORKSPACE_IT_CAME_FROM"
    )
    path.write_text('[{"data": {"text": "x"}}]')
    with pytest.raises(DataError, match="got:      1 tasks of no workspace"):
        list(label_studio.read(path, OURS, "file"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"data": {"te', "this is not a whole JSON file"),
        ('{"data": {}}', r"this is not a list of tasks\n.*\n  got:      a dict"),
        ("[1, 2]", r"this is not a list of tasks\n.*\n  got:      a list of other things"),
        ('[{"id": 1, "text": "x", "label": "y"}]', "Label Studio's JSON .not JSON-MIN."),
        ("[]", "this is no export of Label Studio or Argilla"),
        ("", "this is not a whole JSON file"),
    ],
)
def test_a_file_that_is_no_export_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_as(path, None)


def test_json_min_is_told_from_json(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text('[{"id": 1, "text": "x", "label": "y"}]')
    with pytest.raises(DataError, match=r"this is not Label Studio's JSON\n.*\n.*without `data`"):
        list(label_studio.read(path, OURS, "file"))


def test_a_json_file_is_written_for_a_tool_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    assert written_as(path, "label-studio") == "label-studio"
    with pytest.raises(DataError) as fault:
        written_as(path, None)
    assert str(fault.value) == (
        "tasks are written in several formats to such a file\n"
        f"  where:    {path}\n"
        "  got:      .json\n"
        "  do:       --format label-studio or --format argilla"
    )
    with pytest.raises(DataError, match=r"got:      \.json as csv\n  expected: \.csv"):
        written_as(path, "csv")


# -- Argilla --------------------------------------------------------------------------------------


def test_an_argilla_record_has_the_text_its_ids_and_the_models_answer(
    handout: Handout, tmp_path: Path
) -> None:
    argilla.write(handout, tmp_path / "records.json")
    first, _, last = json.loads((tmp_path / "records.json").read_text(encoding="utf-8"))
    metadata = {"workspace": OURS, "round": "2026-01-07"}
    assert first == {
        "id": "p0",
        "fields": {"text": TEXTS[0]},
        "metadata": metadata,
        "suggestions": {"label": {"value": "track_order", "score": 0.5, "agent": "everloop:3"}},
    }
    assert last == {"id": "p2", "fields": {"text": TEXTS[2]}, "metadata": metadata}


def response(i: int, *given: tuple[str | None, str], owner: str = OURS) -> dict[str, Any]:
    """As `Record.to_dict` writes one."""
    said = {"label": [{"value": value, "user_id": user} for value, user in given]} if given else {}
    return {
        "id": f"p{i}",
        "fields": {"text": "x"},
        "metadata": {"workspace": owner},
        "suggestions": {},
        "responses": said,
        "vectors": {},
        "status": "completed",
        "_server_id": "1",
    }


def test_what_argillas_annotators_say_are_votes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    records = [
        response(0, ("track_order", "u1"), ("track_order", "u2")),
        response(1, (None, "u1"), ("refund", "u2")),
        response(2),
        response(3, ("track_order", "u1")),
        response(0, owner="another"),
    ]
    path.write_text(json.dumps(records))
    assert read_as(path, None) == "argilla"
    found = take(argilla.read(path, OURS, "file"), store, TWO, NOW)
    assert found == Imported(
        3,
        0,
        2,
        [
            Refused(4, "no task for this prediction id", "p3"),
            Refused(5, "a record of another project", "p0"),
        ],
    )
    assert store.labels.of(["p0"]) == {"p0": "track_order"}
    assert [v.annotator for v in store.queue.votes(["p1"])] == ["argilla:u2"]


def test_flat_argilla_records_say_what_was_discarded(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    flat = {
        "id": "p0",
        "text": "x",
        "workspace": OURS,
        "label.responses": ["a", "b", "c"],
        "label.responses.users": ["u1", "u2", "u3"],
        "label.responses.status": ["submitted", "draft", "discarded"],
    }
    path.write_text(json.dumps([flat, {**flat, "id": "p1", "label.responses": None}]))
    assert read_as(path, None) == "argilla"
    found = list(argilla.read(path, OURS, "file"))
    assert found[:3] == [
        Judgement(1, "p0", "argilla:u1", "a"),
        Judgement(1, "p0", "argilla:u2", "", draft=True),
        Judgement(1, "p0", "argilla:u3", None, "discarded in Argilla"),
    ]


def test_argilla_records_of_another_workspace_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([response(0, owner="another")]))
    with pytest.raises(DataError, match="no task of this Argilla file is of this workspace"):
        list(argilla.read(path, OURS, "file"))


# -- by the tools' own types ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("question", [LABEL, ANSWER])
def test_the_tools_own_types_take_what_we_write_and_write_what_we_read(
    handout: Handout, tmp_path: Path, question: str
) -> None:
    """label_tools.py beside this, run by an environment that has both (make label-tools)."""
    if not PEERS.exists():
        pytest.skip(f"no {PEERS.relative_to(ROOT)}: make label-tools")
    asked = replace(handout, question=question)
    label_studio.write(asked, tmp_path / "tasks.json")
    argilla.write(asked, tmp_path / "records.json")
    command = [PEERS, Path(__file__).with_name("label_tools.py"), tmp_path, question]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for export, reader in (
        ("studio.json", label_studio),
        ("nested.json", argilla),
        ("flat.json", argilla),
    ):
        found = reader.read(tmp_path / export, OURS, "file", question)
        said = [j for j in found if isinstance(j, Judgement) and j.label]
        assert [(j.prediction_id, j.label) for j in said] == [
            ("p0", "track_order"),
            ("p1", "cancel_order"),
        ]


def test_a_json_file_too_large_for_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_text("[{}]")
    assert files.json_objects(path) == [{}]
    monkeypatch.setattr(files, "MOST_BYTES", 3)
    with pytest.raises(DataError, match="too large to be held in memory"):
        files.json_objects(path)
