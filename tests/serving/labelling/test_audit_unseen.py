"""Whoever labels cannot tell audit tasks from the others, whatever way the tasks come.

(The labelling page's calls are in test_labelling_api.py.) Tasks are those of a real round.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.store import Store
from pipelines.labeling import argilla, label_studio, tables
from pipelines.labeling.handout import Handout, ModelAnswer
from tests.serving.labelling.label_queue import MANY, ask, drawn, texts_of

OWN = {"prediction_id", "id", "text", "predicted", "value", "choices"}  # of each text, in any round


@pytest.fixture
def handout(store: Store) -> Handout:
    rows = ask(store, texts_of(60))
    drawn(store, rows, 40, 0.3)
    answers = {p.prediction_id: ModelAnswer("1", 0.5) for p in rows}
    return Handout("ours", store.queue.open(), answers, MANY, open=True)


def exported(handout: Handout, form: str, folder: Path) -> list[dict[str, Any]]:
    if form == "jsonl":
        tables.write(handout.tasks, folder / "t.jsonl", lines=True)
        return [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    (argilla if form == "argilla" else label_studio).write(handout, folder / "t.json")
    found: list[dict[str, Any]] = json.loads((folder / "t.json").read_text())
    return found


def facts(value: Any, name: str = "") -> list[str]:
    """Everything in a task but what is its own."""
    if name in OWN:
        return [name]
    if isinstance(value, dict):
        return [f"{k}.{x}" for k, v in value.items() for x in facts(v, k)]
    return [f"{i}.{x}" for i, v in enumerate(value) for x in facts(v)] if isinstance(value, list) else [
        str(value)
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "label-studio", "argilla"])
def test_an_exported_audit_task_is_like_any_other(handout: Handout, form: str, tmp_path: Path) -> None:
    tasks = exported(handout, form, tmp_path)
    audit = [t.audit for t in handout.tasks]
    assert sum(audit) == 12
    assert {t.policy for t in handout.tasks} == {"audit", "margin"}
    assert len({tuple(facts(t)) for t in tasks}) == 1
    assert "audit" not in json.dumps(tasks)
    assert "propensity" not in json.dumps(tasks)


def test_tasks_are_in_order_of_their_requests(handout: Handout) -> None:
    ids = [t.prediction_id for t in handout.tasks]
    assert ids == sorted(ids)
