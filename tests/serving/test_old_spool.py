"""What a server of an earlier version left on disk comes into the store of today.

The file was written by the code of store schema 5, and its server was killed: a group of an answer and
its shadow, one of a single answer, one of counts alone (`logging: profile`), and half a group.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.kept import Kept
from core.store import Store
from tests import ROOT
from tests.logs import row, until, writing

FIXTURES = ROOT / "tests" / "fixtures"
AT = datetime(2026, 1, 7, 23, 30, tzinfo=UTC)
IDS = [f"00000000-0000-7000-8000-0000000000{x}" for x in ("10", "11", "20")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Of a workspace of schema 5, migrated when it is opened."""
    with tarfile.open(FIXTURES / "workspace-v5.tar.xz") as packed:
        packed.extract("shop/.everloop/store.db", tmp_path, filter="data")
    made = Store(f"sqlite:///{tmp_path}/shop/.everloop/store.db")
    yield made
    made.close()


@pytest.mark.parametrize("stored", [0, 1], ids=["nothing was stored", "its first group was stored"])
def test_each_group_is_taken_over_once(store: Store, tmp_path: Path, stored: int) -> None:
    left = tmp_path / "spool" / "dead.spool"
    left.parent.mkdir()
    shutil.copy(FIXTURES / "schema-5.spool", left)
    before = store.state.counters()
    first = row(
        1, prediction_id=IDS[0], request_id="spooled-1", text="where is parcel 1?", timestamp=AT
    )
    shadow = row(1, "shadow", prediction_id=IDS[1], request_id="spooled-1", timestamp=AT)
    store.answers.append([Kept([first, shadow], 1, passes=1, number=1)][:stored], "dead")

    with writing(store, left.parent):
        until(lambda: not left.exists())
    texts = {i: p.text for i in IDS if (p := store.answers.get(i))}
    assert list(texts) == IDS
    assert texts[IDS[2]] == "where is parcel 2?"
    counters = store.state.counters()
    new = {n: counters[n] - before.get(n, 0) for n in ("encoder_passes.serving", "texts.serving")}
    assert new == {"encoder_passes.serving": 3, "texts.serving": 3}
    [counts] = [p for p in store.answers.profiles(AT.replace(minute=0), AT) if p.model_version == "2"]
    assert (counts.rows, counts.labels) == (1, {"track_order": 1})


def test_an_answer_is_the_envelope_and_the_detail_of_today(store: Store, tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "schema-5.spool", tmp_path / "dead.spool")
    with writing(store, tmp_path):
        until(lambda: not (tmp_path / "dead.spool").exists())
    answer = store.answers.get(IDS[2])
    assert answer
    assert (answer.request_id, answer.timestamp, answer.variant) == ("spooled-2", AT, "champion")
    assert (answer.output, answer.confidence, answer.propensity) == ("track_order", 0.75, 0.5)
    assert (answer.segments, answer.user_key) == ({"channel": "app"}, "u2")
    assert answer.detail.probabilities.tolist() == [0.25, 0.75]
    assert answer.embedding is not None
    assert answer.embedding.tolist() == [2.0] * 4
