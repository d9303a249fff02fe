"""What Label Studio's and Argilla's own types say of our files; run by tests/.venv-label-studio.

python tests/pipelines/labeling/label_tools.py FOLDER label|answer
    reads tasks.json, tasks.xml and records.json there, writes studio.json, nested.json and flat.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import UUID

import argilla as rg
from argilla.records._io import GenericIO, JsonIO
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import AnnotationValue, PredictionValue, TaskValue
from label_studio_sdk.types import ImportApiRequest, LseTask

ANSWERS = ["track_order", "cancel_order"]
USER = UUID("00000000-0000-0000-0000-000000000001")


def label_studio(folder: Path, question: str) -> None:
    """Config, tasks and predictions are valid; an export of what two annotations say."""
    interface = LabelInterface((folder / "tasks.xml").read_text(encoding="utf-8"))
    interface.validate()
    assert interface.get_control(question).tag == {"label": "Choices", "answer": "TextArea"}[question]
    exported = []
    for i, task in enumerate(json.loads((folder / "tasks.json").read_text(encoding="utf-8"))):
        TaskValue.model_validate(task)
        # the request's own predictions want the id of a task, which only the server will give
        ImportApiRequest.model_validate({"data": task["data"]})
        assert interface.validate_task({"data": task["data"]})
        for prediction in task.get("predictions", []):
            PredictionValue.model_validate(prediction)
            assert interface.validate_prediction(prediction, return_errors=True) == []
        exported.append({"id": i, **task, "annotations": [annotation(interface, question, i)][: i < 2]})
    for task in exported:
        LseTask.model_validate(task)
    (folder / "studio.json").write_text(json.dumps(exported), encoding="utf-8")


def annotation(interface: LabelInterface, question: str, i: int) -> dict[str, object]:
    """One that the project's config takes."""
    regions = interface.create_regions({question: ANSWERS[i % 2]})
    found = AnnotationValue(completed_by=7, result=regions).model_dump()
    assert interface.validate_annotation(found), found
    return found


def argilla(folder: Path, question: str) -> None:
    """Records are valid; exports of what one user says. (Settings want a server.)"""
    records = JsonIO._records_from_json(folder / "records.json")
    for record, answer in zip(records, ANSWERS, strict=False):
        record.api_model()
        record.responses.add(rg.Response(question, answer, user_id=USER, status="submitted"))
    JsonIO.to_json(records, folder / "nested.json")
    flat = GenericIO.to_list(records, flatten=True)
    (folder / "flat.json").write_text(json.dumps(flat, default=str), encoding="utf-8")


if __name__ == "__main__":
    label_studio(Path(sys.argv[1]), sys.argv[2])
    argilla(Path(sys.argv[1]), sys.argv[2])
