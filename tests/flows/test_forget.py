"""What somebody wants forgotten is gone, from everywhere that is ours; the rest is as it was."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import collections
from core.ids import hash_user
from core.kept import Kept
from core.records.answers import Feedback
from core.records.labels import Annotation, AnnotationTask, Review
from core.records.signals import TrafficSample
from core.state import Retrains
from core.store import Store
from core.store.spool import Spool
from flows.forget import Found, finish, forget, look
from flows.session import Session, open_session
from pipelines.datasets.contents import rows_here, rows_of
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import folders_of, list_versions
from pipelines.datasets.layout import DATASET
from pipelines.datasets.manifest import SETS
from tests.command_line import everloop, typed, with_everloop
from tests.logs import NOW, row, stored, until, writing

LATER = NOW + pd.Timedelta(days=9).to_pytimedelta()


# -- the store ------------------------------------------------------------------------------------


def dump(store: Store) -> str:
    """Every byte of the database file, its log of pages included."""
    path = Path(store.url.removeprefix("sqlite:///"))
    files = (path, path.with_name(f"{path.name}-wal"))
    return "".join(f.read_bytes().decode("latin-1") for f in files if f.exists())


def fill(store: Store) -> str:
    """r1 has been through everything; its id."""
    vectors = np.arange(8, dtype=np.float16).reshape(2, 4)
    secret = row(1, text="my secret text", user_key="ana", embedding=vectors[1])
    store.answers.log([row(0), secret, row(1, "shadow", text="my secret text", user_key="ana"), row(2)])
    id = secret.prediction_id
    store.queue.add([AnnotationTask(id, NOW, "r", "margin", 0.5, False)])
    store.labels.annotate([Annotation(id, "a", "bob", NOW)])
    store.feedback.add([Feedback("f", id, NOW, "thumbs", "up")])
    store.reviews.add([Review(id, NOW, "a", "b", 0.1, "my secret text")])
    store.embeddings.of(["my secret text"], "e", lambda texts: np.ones((len(texts), 4)), "testing")
    day = NOW + pd.Timedelta(days=1).to_pytimedelta()
    store.embeddings.put_samples([TrafficSample("e", NOW, day, 3, vectors)])
    return id


@pytest.mark.parametrize(
    ("asked", "value"), [("user", "ana"), ("text", " My SECRET  text"), ("prediction", "")]
)
def test_the_store_holds_nothing_of_it(store: Store, asked: str, value: str) -> None:
    id = fill(store)
    assert "my secret text" in dump(store)
    found = store.erasure.matching(asked, value or id)  # type: ignore[arg-type]  # a str
    assert set(found.values()) == {"my secret text"}
    assert len(found) == 2
    store.erasure.bury(list(found), "user", NOW)
    assert store.erasure.to_forget() == sorted(found)
    store.erasure.erase(list(found), found.values())
    store.erasure.forgotten(list(found))
    assert store.erasure.to_forget() == []
    assert "my secret text" not in dump(store)
    story = store.lineage.story(id)
    assert (story.task, story.votes, story.feedback, story.labels) == (None, [], [], [])
    assert story.tombstone
    assert story.tombstone["asked"] == "user"
    (sample,) = store.embeddings.samples("e", LATER)
    assert sample.embeddings.tolist() == [[0, 1, 2, 3]]
    assert store.erasure.matching(asked, value or id) == {}  # type: ignore[arg-type]


def test_a_forgotten_row_does_not_come_back(store: Store) -> None:
    """Whatever had it all the time; rows beside it are stored, and counted as ever."""
    store.answers.log([row(0), row(1)])
    store.erasure.bury([row(1).prediction_id, row(5).prediction_id], "user", NOW)
    store.erasure.erase([row(1).prediction_id], [])
    for _ in range(2):
        store.answers.log([row(1), row(2), row(5)])
    store.answers.append([Kept([row(5)], 1, number=1), Kept([row(3), row(1)], 2, number=2)], "a writer")
    assert stored(store) == ["r0", "r2", "r3"]
    assert store.state.counters()["forgotten.left_out"] == 2 + 2 + 2
    assert [s.predictions for s in store.answers.served("1")] == [4]  # r1 was there once


# -- a spool --------------------------------------------------------------------------------------


def test_a_spool_loses_the_row_and_nothing_else(session: Session) -> None:
    spool = Spool(session.workspace.spool)
    groups = [
        Kept([row(0), row(1, user_key=hash_user("ana"))], 2, number=1),
        Kept([row(2)], 1, number=2),
    ]
    spool.append("a server", groups)
    found = look(session, "user", hash_user("ana"))
    assert found.spool == [spool.path]
    forget(session, found, NOW)
    assert found.spool == []
    _, kept = spool.next(10)
    assert [[r.request_id for r in g.rows] for g in kept] == [["r0"], ["r2"]]
    assert [(g.texts, g.number) for g in kept] == [(2, 1), (1, 2)]


def test_a_spool_of_a_server_that_runs_is_drained_without_the_row(session: Session) -> None:
    """The row, and the shadow's answer to the same request, are on its disk when they are forgotten."""
    store = Store(session.workspace.store_url, busy=0.05)
    with closing(store), writing(store, session.workspace.spool) as writer:
        with closing(sqlite3.connect(session.workspace.store_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")  # the store takes nothing
            mine = [row(1), row(1, "shadow"), row(3, user_key=hash_user("ana"))]
            for rows in ([row(0)], mine[:2], [row(2)], mine[2:]):
                writer.put(rows, 1).result()
            assert writer.state().spooled_rows == 5
            other.rollback()
            held = [
                look(session, "prediction", mine[0].prediction_id),
                look(session, "user", hash_user("ana")),
            ]
        assert [len(found.ids) for found in held] == [2, 1]
        for found in held:
            forget(session, found, NOW)
        until(lambda: not writer.state().spooled_rows)
    assert stored(session.store) == ["r0", "r2"]


def test_a_collection_loses_the_text(session: Session, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nkeep me,a\nForget  me,b\n")
    path, _ = collections.add(session.workspace.root, "hard", tmp_path / "rows.csv")
    found = look(session, "text", "forget me")
    assert found.collections == [path]
    forget(session, found, NOW)
    assert collections.read(path)["text"].tolist() == ["keep me"]


# -- a whole workspace ----------------------------------------------------------------------------


@pytest.fixture
def mine(own: Path) -> Iterator[Session]:
    session = open_session(own)
    yield session
    session.store.close()


def a_row(session: Session, partition: str = "v0002") -> tuple[str, str]:
    """The first row of a partition: its id and text."""
    rows = rows_of(session.workspace.root, "v0003", ["train"], ["row_id", "input"])
    named = pq.read_table(
        session.workspace.reservoir / "v0001" / f"{partition}.parquet", columns=["row_id"]
    )
    return next((i, t) for i, t in rows.values.tolist() if i in set(named["row_id"].to_pylist()))


def texts(session: Session, version: str) -> set[str]:
    return set(rows_of(session.workspace.root, version)["input"])


def holding(session: Session, text: str) -> list[str]:
    """Files below the workspace that hold a text, Parquet ones read."""
    found = []
    for path in (p for p in session.workspace.root.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        if raw[:4] == b"PAR1":
            table = pq.read_table(path)
            raw = (
                "\n".join(table["input"].to_pylist()).encode() if "input" in table.column_names else b""
            )
        if text.encode() in raw:
            found.append(path.relative_to(session.workspace.root).as_posix())
    return found


def test_a_row_leaves_everything_but_the_remote_and_that_is_said(mine: Session) -> None:
    id, text = a_row(mine)
    root = mine.workspace.root
    others = {v: texts(mine, v) - {text} for v in ("v0001", "v0002", "v0003")}
    assert holding(mine, text)
    ran = everloop("data", "forget", "--prediction", id, "-w", root)
    assert ran.out.splitlines()[-1] == "nothing was removed; --yes does it"
    assert [v.id for v in list_versions(root)] == ["v0001", "v0002", "v0003"]
    ran = everloop("data", "forget", "--prediction", id, "-w", root, "--yes", "--now", "2026-01-09")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "log: 1 row",
        "reservoir: 1 row",
        "dataset versions with them: v0002, v0003",
        "models that learnt from them or were tested on them: 2, 3",
        "forgotten; made v0004 without the rows",
        "remote local: 1 old files with the rows; everloop data gc --remote local --yes",
        "models that learnt from the rows or were tested on them: 2, 3",
        "  the next one learns without them: everloop retrain",
        "backups, clones and exported files are not known here",
    ]
    assert all(p.startswith(".everloop/remote/") for p in holding(mine, text))
    assert {v: texts(mine, v) for v in others} == others
    assert texts(mine, "v0004") == others["v0003"]
    ran = everloop("data", "verify", "-w", root)
    assert ran.code == 0, ran.out
    told = [line.rpartition("; ")[2] for line in ran.out.splitlines() if "forgotten" in line]
    assert told == ["1 row was forgotten on 2026-01-09"] * 2
    ran = everloop("data", "checkout", "v0002", "-w", root)
    assert "of v0002 1 row was forgotten on 2026-01-09" in ran.out
    assert everloop("data", "checkout", "v0004", "-w", root).code == 0
    assert everloop("data", "gc", "--remote", "local", "--yes", "-w", root).code == 0
    assert holding(mine, text) == []
    assert everloop("data", "verify", "-w", root).code == 0
    again = everloop("data", "forget", "--prediction", id, "-w", root, "--yes")
    assert again.out == "nothing here is meant by that\n"


KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from flows.session import open_session
from flows import forget
from pipelines.datasets import erase
from pipelines.datasets.dvc_git import Repository
from core.store.erasure import ErasureRepository

place, name, id = sys.argv[1:]
owner = {"erase": erase, "make_version": forget, "tag": Repository, "purge": erase,
         "_note": erase, "forgotten": ErasureRepository}[name]
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, die)
session = open_session(Path(place))
forget.forget(session, forget.look(session, "prediction", id), datetime(2026, 1, 9, tzinfo=UTC))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["_note", "make_version", "tag", "purge", "forgotten"])
def test_killed_anywhere_and_finished_it_ends_the_same(mine: Session, moment: str) -> None:
    id, text = a_row(mine)
    root = mine.workspace.root
    before = texts(mine, "v0003")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, root, moment, id], env=os.environ, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    finish(mine, LATER)
    assert mine.store.erasure.to_forget() == []
    assert [v.id for v in list_versions(root)][3:] == ["v0004"]
    assert texts(mine, "v0004") == before - {text}
    assert all(p.startswith(".everloop/remote/") for p in holding(mine, text))
    assert mine.store.state.read(Retrains).done == 4
    assert everloop("data", "verify", "-w", root).code == 0
    assert not look(mine, "prediction", id)


@pytest.mark.slow
def test_git_checkout_of_an_old_version_brings_the_rows_that_are_left(
    mine: Session, tmp_path: Path
) -> None:
    """DVC looks for a file that is gone; the hook knows what stands for it, and says how many rows are
    missing."""
    id, text = a_row(mine)
    root, others = mine.workspace.root, texts(mine, "v0002") - {text}
    forget(mine, look(mine, "prediction", id), LATER)
    path = with_everloop(tmp_path / "bin")
    said = typed("git checkout dataset/v0002 2>&1", root, path)
    assert "data/ is now v0002" in said
    assert f"of v0002 1 row was forgotten on {LATER:%Y-%m-%d}" in said
    assert set(rows_here(mine.workspace, SETS)["input"]) == others
    typed("git checkout main", root, path)
    assert set(rows_here(mine.workspace, SETS)["input"]) == texts(mine, "v0004")


def test_versions_that_cannot_be_looked_into_are_named(mine: Session) -> None:
    """Their manifests are at the remote only."""
    id, _ = a_row(mine)
    root = mine.workspace.root
    tagged = Repository(root)
    outs = folders_of(tagged, tagged.tags())["v0003"]
    (root / ".dvc/cache/files/md5" / outs[DATASET][:2] / outs[DATASET][2:]).unlink()
    said = everloop("data", "forget", "--prediction", id, "-w", root).out.splitlines()
    assert "dataset versions with them: v0002" in said
    assert "may have them, too (everloop data pull, and ask again): v0003" in said


def test_nothing_is_meant(session: Session) -> None:
    assert not look(session, "user", hash_user("nobody"))
    assert finish(session, NOW) == ""
    assert not Found("text", "x")
    ran = everloop("data", "forget", "--user", "a", "--text", "b", "-w", session.workspace.root)
    assert (ran.code, ran.out) == (2, "")
    assert "one choice at a time" in ran.err
