"""Label Studio: tasks with pre-annotations and the labelling config out, its JSON export back.

[{"data": {"text": "where is my parcel", "prediction_id": "019b…", "workspace": "019b…", "round": "…"},
  "predictions": [{"model_version": "3", "score": 0.42, "result": [{"from_name": "label", …}]}]}]

Where answers are written, the tasks have `messages`, which are shown as a chat, and the answer is the
text of a text area. What an annotator must not know (why a text was picked, whether it is an audit row)
stays here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from core.errors import DataError
from core.files import whole_text
from core.label_names import normal
from core.readers import Refused, excerpt
from core.records.labels import AnnotationTask
from pipelines.labeling.files import json_objects, ours, with_the_label
from pipelines.labeling.handout import ANSWER, LABEL, Handout
from pipelines.labeling.judgements import Judgement

OTHER, TEXT, CHAT = "another_label", "text", "chat"
CHOICES, WRITTEN = "choices", "text"  # kinds of controls: where their values are
TOOL = "Label Studio"
Control = tuple[str | None, str]  # the name of the control that has the answer, and its kind
CHAT_CONFIG = f"""\
<View>
  <Paragraphs name="{CHAT}" value="$messages" layout="dialogue" nameKey="role" textKey="content"/>
  <TextArea name="{ANSWER}" toName="{CHAT}" editable="true" maxSubmissions="1" rows="6"/>
</View>
"""


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
    """The labelling config: one choice of the labels, and where they are open a field for another; or
    the chat, and a field for the answer."""
    if handout.written:
        return CHAT_CONFIG
    lines = ["<View>", f'  <Text name="{TEXT}" value="$text"/>']
    lines.append(f'  <Choices name="{LABEL}" toName="{TEXT}" choice="single">')
    lines += [f"    <Choice value={quoteattr(label)}/>" for label in handout.labels]
    lines.append("  </Choices>")
    if handout.open:
        lines.append(f'  <TextArea name="{OTHER}" toName="{TEXT}" maxSubmissions="1"/>')
    return "\n".join([*lines, "</View>", ""])


def read(
    path: Path, project: str, annotator: str, question: str = LABEL
) -> Iterator[Judgement | Refused]:
    """What the annotators of Label Studio's JSON export say. A row is a task, the first one is 1.

    `annotator` is who labelled where the file does not say. Raises DataError when no task is of this
    `project`, or this is no such export.
    """
    tasks = json_objects(path)
    if any("data" not in t for t in tasks):
        raise DataError(
            f"this is not {TOOL}'s JSON",
            where=str(path),
            got="a task without `data`",
            expected="an export as JSON (not JSON-MIN, CSV or TSV)",
        )
    mine = ours(path, [_data(t).get("workspace") for t in tasks], project, "tasks", TOOL)
    kind = WRITTEN if question == ANSWER else CHOICES
    control = with_the_label(_answered(compress(tasks, mine), kind), question)
    for row, (task, known) in enumerate(zip(tasks, mine, strict=True), 1):
        if known:
            yield from _said(row, task, (control, kind), annotator)
        else:
            yield Refused(row, "a task of another project", excerpt(_data(task).get("text")))


def _task(handout: Handout, task: AnnotationTask) -> dict[str, Any]:
    data: dict[str, Any] = {
        "text": task.text,
        "prediction_id": task.prediction_id,
        "workspace": handout.project,
        "round": task.round,
    }
    if handout.written:
        data["messages"] = handout.turns(task)
    if not handout.suggests(task):
        return {"data": data}
    answer = handout.answers[task.prediction_id]
    region = {
        "id": handout.question,
        "from_name": handout.question,
        "to_name": CHAT if handout.written else TEXT,
        "type": "textarea" if handout.written else "choices",
        "value": {WRITTEN if handout.written else CHOICES: [task.predicted]},
    }
    said = {"model_version": answer.model_version, "score": answer.score, "result": [region]}
    return {"data": data, "predictions": [said]}


def _said(
    row: int, task: dict[str, Any], control: Control, annotator: str
) -> Iterator[Judgement | Refused]:
    key = _data(task).get("prediction_id")
    key = key if isinstance(key, str) else ""
    annotations, drafts = _annotations(task), _drafts(task)
    if annotations is None:
        given = task.get("annotations") or task.get("completions")
        yield Refused(row, f"annotations that are not of {TOOL}'s form", excerpt(given))
        return
    if not annotations and not drafts:
        yield Judgement(row, key, annotator, "")
    for _ in drafts:
        yield Judgement(row, key, annotator, "", draft=True)
    for annotation in annotations:
        who = _who(annotation.get("completed_by")) or annotator
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            yield Judgement(row, key, who, None, f"skipped in {TOOL}")
        else:
            yield _judgement(row, key, who, _regions(annotation), control)


def _judgement(
    row: int, key: str, who: str, regions: list[dict[str, Any]], control: Control
) -> Judgement | Refused:
    """What the regions of one annotation say. What is said and is not one label is refused."""
    name, kind = control
    labels = _labels(regions, control)
    if len(labels) > 1:
        return Refused(
            row,
            f"several {LABEL if kind == CHOICES else ANSWER}s in one annotation by {who}",
            excerpt(", ".join(labels)),
        )
    if labels or not regions:
        return Judgement(row, key, who, labels[0] if labels else "")
    shown = ", ".join(dict.fromkeys(f"`{r.get('from_name')}` ({_kind(r)})" for r in regions))
    unsaid = f"it is not said which has the {LABEL if kind == CHOICES else ANSWER}"
    wanted = f"none is `{name}` ({kind})" if name else unsaid
    said = "; ".join(str(_value(r).get(_kind(r))) for r in regions)
    return Refused(row, f"{who} answered {shown}, and {wanted}", excerpt(said))


def _answered(tasks: Iterable[dict[str, Any]], kind: str) -> set[str]:
    """The names of the controls of a kind that were answered."""
    return {
        str(r.get("from_name"))
        for task in tasks
        for annotation in _annotations(task) or []
        for r in _regions(annotation)
        if _kind(r) == kind
    }


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Of Label Studio, or as `completions` of one before 1.0; None for anything else."""
    found: list[dict[str, Any]] = []
    for name in ("annotations", "completions"):
        some = task.get(name) or []
        if not isinstance(some, list) or not all(_is_annotation(a) for a in some):
            return None
        found += some
    return found


def _is_annotation(value: Any) -> bool:
    result = (value.get("result") or []) if isinstance(value, dict) else None
    return isinstance(result, list) and all(isinstance(r, dict) for r in result)


def _drafts(task: dict[str, Any]) -> list[Any]:
    """What was begun and not submitted; a draft of an annotation that there is counts with that."""
    found = task.get("drafts")
    drafts = found if isinstance(found, list) else []
    return [d for d in drafts if not isinstance(d, dict) or not d.get("annotation")]


def _regions(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of an annotation that say something."""
    regions = annotation.get("result") or []
    return [r for r in regions if any(x not in (None, "", []) for x in _value(r).values())]


def _value(region: dict[str, Any]) -> dict[str, Any]:
    """What a region says; of one without a value of its own, as a relation, the region itself."""
    value = region.get("value")
    return value if isinstance(value, dict) else {_kind(region): value or region}


def _kind(region: dict[str, Any]) -> str:
    """The type of its control, which is where its value is: choices, labels, taxonomy, text, ..."""
    value = region.get("value")
    named = next(iter(value), "") if isinstance(value, dict) else ""
    kind = str(region.get("type") or named or "no type")
    return "text" if kind == "textarea" else kind


def _labels(regions: Iterable[dict[str, Any]], control: Control) -> list[str]:
    """The choice, or what was written instead, each once, as it was given."""
    found: list[Any] = []
    for region in regions:
        if (region.get("from_name"), _kind(region)) in (control, (OTHER, WRITTEN)):
            given = _value(region).get(_kind(region))
            found += given if isinstance(given, list) else [given]
    return list({name: x for x in found if isinstance(x, str) and (name := normal(x))}.values())


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
