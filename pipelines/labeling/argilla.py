"""Argilla: records with suggestions out, records with responses back.

[{"id": "019b…", "fields": {"text": "where is my parcel"}, "metadata": {"workspace": "019b…", …},
  "suggestions": {"label": {"value": "track_order", "score": 0.42, "agent": "everloop:3"}}}]

`dataset.records.from_json(FILE)` takes what we write. `dataset.records.to_json(FILE)` gives what we
read, and so does `to_list(flatten=True)`, which also says what is a draft and what was discarded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from core.files import whole_text
from core.label_names import normal
from core.readers import Refused, excerpt
from core.records import AnnotationTask
from pipelines.labeling.files import json_objects, not_ours
from pipelines.labeling.handout import Handout
from pipelines.labeling.judgements import Judgement

QUESTION = "label"
TOOL = "Argilla"


def write(handout: Handout, path: Path) -> None:
    """Write the tasks as records of a dataset with a field `text` and a label question `label`."""
    with whole_text(path) as file:
        json.dump([_record(handout, t) for t in handout.tasks], file, ensure_ascii=False, indent=1)


def read(path: Path, project: str, annotator: str) -> Iterator[Judgement | Refused]:
    """What the annotators of exported records say. A row is a record, the first one is 1.

    `annotator` is who labelled where the file does not say. Raises DataError when no record is of this
    `project`.
    """
    records = json_objects(path)
    owners = [_metadata(r).get("workspace") for r in records]
    if project not in owners:
        other = next((o for o in owners if o), None)
        got = f"of workspace {excerpt(other)}" if other else "of no workspace"
        raise not_ours(path, f"{len(records)} records {got}", TOOL)
    for row, (record, owner) in enumerate(zip(records, owners, strict=True), 1):
        if owner == project:
            yield from _said(row, record, annotator)
        else:
            yield Refused(row, "a record of another project", excerpt(record.get("id")))


def _record(handout: Handout, task: AnnotationTask) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": task.prediction_id,
        "fields": {"text": task.text},
        "metadata": {"workspace": handout.project, "round": task.round},
    }
    answer = handout.answers.get(task.prediction_id)
    if answer is not None and task.predicted in handout.labels:
        agent = f"everloop:{answer.model_version}"
        suggestion = {"value": task.predicted, "score": answer.score, "agent": agent}
        record["suggestions"] = {QUESTION: suggestion}
    return record


def _said(row: int, record: dict[str, Any], annotator: str) -> Iterator[Judgement | Refused]:
    key = str(record.get("id") or "")
    responses = _responses(record)
    if not responses:
        yield Judgement(row, key, annotator, "")
    for value, user, status in responses:
        who = f"argilla:{user}" if user else annotator
        if status == "discarded":
            yield Judgement(row, key, who, None, f"discarded in {TOOL}")
        elif status == "draft" or value is None:
            yield Judgement(row, key, who, "")
        elif isinstance(value, str):
            yield Judgement(row, key, who, normal(value))
        else:
            yield Refused(row, f"a response by {who} that is no label", excerpt(value))


def _responses(record: dict[str, Any]) -> list[tuple[Any, str, str]]:
    """(value, user, status) of each response; the nested form has no status."""
    if "responses" in record:
        given = (record["responses"] or {}).get(QUESTION) or []
        return [
            (r.get("value"), str(r.get("user_id") or ""), str(r.get("status") or "")) for r in given
        ]
    name = f"{QUESTION}.responses"
    columns = [record.get(key) or [] for key in (name, f"{name}.users", f"{name}.status")]
    return [(v, str(u or ""), str(s or "")) for v, u, s in zip_longest(*columns)]


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    nested = record.get("metadata")
    return nested if isinstance(nested, dict) else record
