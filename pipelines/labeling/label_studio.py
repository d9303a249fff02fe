"""Label Studio: tasks with pre-annotations and the labelling config out, its JSON export back.

[{"data": {"text": "where is my parcel", "prediction_id": "019b…", "workspace": "019b…", "round": "…"},
  "predictions": [{"model_version": "3", "score": 0.42, "result": [{"from_name": "label", …}]}]}]

What an annotator must not know (why a text was picked, whether it is an audit row) stays here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from core.errors import DataError
from core.files import whole_text
from core.label_names import normal
from core.readers import Refused, excerpt
from core.records import AnnotationTask
from pipelines.labeling.files import json_objects, not_ours
from pipelines.labeling.handout import Handout
from pipelines.labeling.judgements import Judgement

LABEL, OTHER, TEXT = "label", "another_label", "text"
TOOL = "Label Studio"


def write(handout: Handout, path: Path) -> Path:
    """Write the tasks, and beside them the labelling config for the project's settings; returns where
    the config is."""
    config = path.with_suffix(".xml")
    with whole_text(config) as file:
        file.write(config_of(handout))
    with whole_text(path) as file:
        json.dump([_task(handout, t) for t in handout.tasks], file, ensure_ascii=False, indent=1)
    return config


def config_of(handout: Handout) -> str:
    """The labelling config: one choice of the labels, and where they are open a field for another."""
    lines = ["<View>", f'  <Text name="{TEXT}" value="$text"/>']
    lines.append(f'  <Choices name="{LABEL}" toName="{TEXT}" choice="single">')
    lines += [f"    <Choice value={quoteattr(label)}/>" for label in handout.labels]
    lines.append("  </Choices>")
    if handout.open:
        lines.append(f'  <TextArea name="{OTHER}" toName="{TEXT}" maxSubmissions="1"/>')
    return "\n".join([*lines, "</View>", ""])


def read(path: Path, project: str, annotator: str) -> Iterator[Judgement | Refused]:
    """What the annotators of Label Studio's JSON export say. A row is a task, the first one is 1.

    `annotator` is who labelled where the file does not say. Raises DataError when no task is of this
    `project`, or this is no such export.
    """
    tasks = json_objects(path)
    owners = [_data(t).get("workspace") for t in tasks]
    if any("data" not in t for t in tasks):
        raise DataError(
            f"this is not {TOOL}'s JSON",
            where=str(path),
            got="a task without `data`",
            expected="an export as JSON (not JSON-MIN, CSV or TSV)",
        )
    if project not in owners:
        other = next((o for o in owners if o), None)
        got = f"tasks of workspace {excerpt(other)}" if other else f"{len(tasks)} tasks of no workspace"
        raise not_ours(path, got, TOOL)
    for row, (task, owner) in enumerate(zip(tasks, owners, strict=True), 1):
        if owner == project:
            yield from _said(row, task, annotator)
        else:
            yield Refused(row, "a task of another project", excerpt(_data(task).get("text")))


def _task(handout: Handout, task: AnnotationTask) -> dict[str, Any]:
    data = {
        "text": task.text,
        "prediction_id": task.prediction_id,
        "workspace": handout.project,
        "round": task.round,
    }
    answer = handout.answers.get(task.prediction_id)
    if answer is None or task.predicted not in handout.labels:
        return {"data": data}
    region = {
        "id": LABEL,
        "from_name": LABEL,
        "to_name": TEXT,
        "type": "choices",
        "value": {"choices": [task.predicted]},
    }
    said = {"model_version": answer.model_version, "score": answer.score, "result": [region]}
    return {"data": data, "predictions": [said]}


def _said(row: int, task: dict[str, Any], annotator: str) -> Iterator[Judgement | Refused]:
    key = _data(task).get("prediction_id")
    key = key if isinstance(key, str) else ""
    annotations = task.get("annotations") or []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        yield Refused(row, "annotations that are not of Label Studio's form", excerpt(annotations))
        return
    if not annotations:
        yield Judgement(row, key, annotator, "")
    for annotation in annotations:
        who = _who(annotation.get("completed_by")) or annotator
        if annotation.get("was_cancelled"):
            yield Judgement(row, key, who, None, f"skipped in {TOOL}")
            continue
        labels = _labels(annotation.get("result") or [])
        if len(labels) > 1:
            yield Refused(row, f"several labels in one annotation by {who}", excerpt(", ".join(labels)))
        else:
            yield Judgement(row, key, who, labels[0] if labels else "")


def _labels(result: Any) -> list[str]:
    """The choice, or what was written instead."""
    regions = [r for r in result if isinstance(r, dict)] if isinstance(result, list) else []
    found: list[Any] = []
    for region in regions:
        kind = {LABEL: "choices", OTHER: "text"}.get(str(region.get("from_name")))
        value = region.get("value")
        given = value.get(kind) if kind and isinstance(value, dict) else None
        found += given if isinstance(given, list) else [given]
    return list(dict.fromkeys(name for x in found if isinstance(x, str) and (name := normal(x))))


def _who(completed_by: Any) -> str:
    """
    >>> _who(7), _who({"id": 7, "email": "ana@shop.example"}), _who({"id": 7}), _who(None)
    ('label-studio:7', 'ana@shop.example', 'label-studio:7', '')
    """
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or "") or _who(completed_by.get("id"))
    return "" if completed_by is None else f"label-studio:{completed_by}"


def _data(task: dict[str, Any]) -> dict[str, Any]:
    data = task.get("data")
    return data if isinstance(data, dict) else {}
