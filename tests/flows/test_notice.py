"""A truth that changed is told once, also where a kill came between, and a suspicion is looked into."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import rewrites
from core.arrays import Array
from core.episodes import Episodes
from core.records.answers import GenerationDetail, Prediction
from core.records.labels import CHECK, Annotation
from core.state import Champion
from everloop.init import init
from everloop.laws.rows import row
from flows import contradictions as flow
from flows.alerts import alerts_since, open_alerts
from flows.session import Session, open_session
from pipelines.datasets.partitions import add_partition
from pipelines.datasets.reservoir import first_rows
from tests.pipelines.datasets.test_contradictions import START, Rows, call, rows

ALARM, SONG = np.eye(3)[0], np.eye(3)[1]
NOW = START + timedelta(days=12)


def session(root: Path, given: Rows) -> Session:
    """A workspace whose labelled rows these are."""
    opened = open_session(init(root, task="generation").root)
    texts, targets, places, times = given
    table = pd.DataFrame({"text": texts, "label": targets, "timestamp": times})
    made = first_rows(table, places, "train", "tiny", START, "demonstration")
    add_partition(opened.workspace.reservoir, "v0001", made)
    opened.store.state.write(Champion("1"))
    return opened


def asked(i: int, where: Array, output: str) -> Prediction:
    """An answer of the last hours."""
    return replace(
        row(i),
        timestamp=NOW - timedelta(hours=12) + timedelta(minutes=i),
        variant="champion",
        text=f"please do {i}",
        output=output,
        detail=GenerationDetail(),
        embedding=np.asarray(where, np.float16),
        encoder="tiny",
    )


def test_killed_before_old_rows_are_changed_it_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = session(tmp_path, rows(12, changed=8))

    def killed(*_: object) -> int:
        raise KeyboardInterrupt("killed")

    monkeypatch.setattr(flow, "add", killed)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        flow.notice(opened, NOW)
    monkeypatch.undo()
    assert rewrites.load(tmp_path) == ()
    flow.notice(opened, NOW)
    flow.notice(opened, NOW)
    told = open_alerts(opened.store)
    assert sorted(d.key for d in told) == [
        'concept/"alarm_set" has become "alarm_create"',
        'concept/"time" of "alarm_create" or "alarm_set" has become "at"',
    ]
    assert len(alerts_since(opened.store, NOW - timedelta(days=1), NOW)) == 2  # what triggers see
    assert opened.store.state.read(Episodes).opened == 2
    assert [rule.jq for rule in rewrites.load(tmp_path)] == [
        '(.target.name | select(. == "alarm_set")) = "alarm_create"',
        '(.target.arguments | objects) |= with_entries(if .key == "time" then .key = "at" else . end)',
    ]
    assert flow.contradictions(opened, NOW)[1].changes == []


def test_requests_near_a_suspicious_label_are_asked_about(tmp_path: Path) -> None:
    texts, targets, places, times = rows(12, changed=8)
    opened = session(tmp_path, (texts[:49], targets[:49], places[:49], times[:49]))
    said = call("alarm_set", "time", "1")
    answers = [asked(i, ALARM if i < 3 else SONG, said) for i in range(6)]
    opened.store.answers.log(answers)
    (told,) = flow.notice(opened, NOW)
    assert told.severity == "info"
    assert told.reason == (
        'the truth may have changed: a row has "alarm_create", which no row had before, though '
        '4 rows near it have "alarm_set"; 3 requests like it will tell'
    )
    flow.notice(opened, NOW)
    tasks = opened.store.queue.open()
    assert {t.prediction_id for t in tasks} == {a.prediction_id for a in answers[:3]}
    assert {t.policy for t in tasks} == {CHECK}
    assert open_alerts(opened.store) == [told]
    wrong = [Annotation(a.prediction_id, said, "ann", NOW, "demonstration") for a in answers[:3]]
    opened.store.labels.annotate(wrong)
    assert flow.notice(opened, NOW + timedelta(days=1)) == []
    assert open_alerts(opened.store) == []
    ended = opened.store.decisions.get(f"{told.key}/over")
    assert ended is not None
    assert ended.reason.startswith("truth.suspected")
