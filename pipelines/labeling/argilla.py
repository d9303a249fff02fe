"""Argilla: records with suggestions out, records with responses back.

[{"id": "019b…", "fields": {"text": "where is my parcel"}, "metadata": {"workspace": "019b…", …},
  "suggestions": {"label": {"value": "track_order", "score": 0.42, "agent": "everloop:3"}}}]

Where answers are written, the field is the chat `messages` and the suggestion is of the text question
`answer`.

`dataset.records.from_json(FILE)` takes what we write. `dataset.records.to_json(FILE)` gives what we
read, and so does `to_list(flatten=True)`, which also says what is a draft and what was discarded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import compress, zip_longest
from pathlib import Path
from typing import Any

from core.files import whole_text
from core.readers import Refused, excerpt
from core.records.labels import AnnotationTask
from pipelines.labeling.files import json_objects, ours, with_the_label
from pipelines.labeling.handout import LABEL, Handout
from pipelines.labeling.judgements import Judgement

TOOL = "Argilla"
FLAT = ".responses"  # how a column of them ends
Response = tuple[Any, str, str]  # value, user, status; the nested form has no status
Responses = dict[str, list[Response]]  # by question


def write(handout: Handout, path: Path) -> None:
    """Write the tasks as records of a dataset with a field `text` and a label question `label`, or with
    a chat `messages` and a text question `answer`."""
    with whole_text(path) as file:
        json.dump([_record(handout, t) for t in handout.tasks], file, ensure_ascii=False, indent=1)


def read(
    path: Path, project: str, annotator: str, question: str = LABEL
) -> Iterator[Judgement | Refused]:
    """What the annotators of exported records say. A row is a record, the first one is 1.

    `annotator` is who labelled where the file does not say. Raises DataError when no record is of this
    `project`.
    """
    records = json_objects(path)
    mine = ours(path, [_metadata(r).get("workspace") for r in records], project, "records", TOOL)
    answered = {q for record in compress(records, mine) for q in _responses(record) or () if q}
    asked = with_the_label(answered, question)
    for row, (record, known) in enumerate(zip(records, mine, strict=True), 1):
        if known:
            yield from _said(row, record, asked, annotator)
        else:
            yield Refused(row, "a record of another project", excerpt(record.get("id")))


def _record(handout: Handout, task: AnnotationTask) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": task.prediction_id,
        "fields": {"messages": handout.turns(task)} if handout.written else {"text": task.text},
        "metadata": {"workspace": handout.project, "round": task.round},
    }
    if handout.suggests(task):
        answer = handout.answers[task.prediction_id]
        agent = f"everloop:{answer.model_version}"
        suggestion = {"value": task.predicted, "score": answer.score, "agent": agent}
        record["suggestions"] = {handout.question: suggestion}
    return record


def _said(
    row: int, record: dict[str, Any], question: str | None, annotator: str
) -> Iterator[Judgement | Refused]:
    key, found = str(record.get("id") or ""), _responses(record)
    if found is None:
        yield Refused(row, f"responses that are not of {TOOL}'s form", excerpt(record.get("responses")))
        return
    mine = [*found.get(question or "", []), *(found.get("", []) if question else [])]
    others = [f"`{q}`" for q in found if q not in ("", question)]
    if others and not mine:
        wanted = f"none to `{question}`" if question else "it is not said which is the label"
        said = "; ".join(str(r[0]) for q, some in found.items() if q != question for r in some)
        yield Refused(row, f"responses to {', '.join(others)}, and {wanted}", excerpt(said))
    elif not mine:
        yield Judgement(row, key, annotator, "")
    for value, user, status in mine:
        yield _judgement(row, key, f"argilla:{user}" if user else annotator, value, status)


def _judgement(row: int, key: str, who: str, value: Any, status: str) -> Judgement | Refused:
    if status == "discarded":
        return Judgement(row, key, who, None, f"discarded in {TOOL}")
    if status == "draft":
        return Judgement(row, key, who, "", draft=True)
    if value is None or isinstance(value, str):
        return Judgement(row, key, who, value or "")
    return Refused(row, f"a response by {who} that is no label", excerpt(value))


def _responses(record: dict[str, Any]) -> Responses | None:
    """Each question that was answered: (value, user, status) of each response; "" for a response to
    none. None for what is of no form of Argilla's."""
    given = record.get("responses")
    try:
        if isinstance(given, list):
            return _before_2(given)
        if given is not None:
            return {q: [(r.get("value"), *_who(r)) for r in some] for q, some in given.items() if some}
        names = [key.removesuffix(FLAT) for key in record if key.endswith(FLAT) and record[key]]
        return {name: _flat(record, f"{name}{FLAT}") for name in names}
    except (AttributeError, TypeError):
        return None


def _flat(record: dict[str, Any], name: str) -> list[Response]:
    columns = [record.get(key) or [] for key in (name, f"{name}.users", f"{name}.status")]
    return [(v, str(u or ""), str(s or "")) for v, u, s in zip_longest(*columns)]


def _before_2(given: list[Any]) -> Responses:
    """Argilla 1 has a list of responses, each with its answers to all questions."""
    found: Responses = {}
    for response in given:
        answers = {q: a.get("value") for q, a in (response.get("values") or {}).items()}
        for question, value in (answers or {"": None}).items():
            found.setdefault(question, []).append((value, *_who(response)))
    return found


def _who(response: dict[str, Any]) -> tuple[str, str]:
    return str(response.get("user_id") or ""), str(response.get("status") or "")


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    nested = record.get("metadata")
    return nested if isinstance(nested, dict) else record
