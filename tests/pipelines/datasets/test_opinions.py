"""Pairs and ratings come with a partition, are part of the version, and go where rows go."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import rewrites
from core.errors import DataError, DatasetError
from core.records.versions import DatasetVersion
from core.rewrites import Rewrite
from core.workspace import Workspace
from pipelines.datasets import opinions
from pipelines.datasets.contents import TESTED, export, rows_here, show
from pipelines.datasets.erase import erase
from pipelines.datasets.exporters.exporter import exporter
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import checkout, make_version
from tests.pipelines.datasets.small_versions import ALL, START, plan, rows

FAR = -np.ones(4)


def said(id: str, asked: str, output: str, rejected: str | None = None, **more: object) -> dict:
    return {
        "id": id,
        "row_id": f"row-{id}",
        "timestamp": START + timedelta(days=1),
        "set": "train",
        "input": asked,
        "output": output,
        "rejected": rejected,
        "score": None if rejected else 1.0,
        "source": "ana",
        "user_key": "u1",
        "encoder": "tiny",
        "embedding": FAR.astype(np.float16).tobytes(),
    } | more


def grown(workspace: Workspace, n: int, *given: dict) -> DatasetVersion:
    new = rows([f"new {n}"], day=n - 1)
    return make_version(
        workspace, new, plan(n), ALL, workspace.champion, said=pd.DataFrame(list(given))
    )


def here(workspace: Workspace) -> opinions.Opinions:
    tested = rows_here(workspace, TESTED, ["input", "encoder", "embedding"])
    return opinions.here(workspace, tested, str)


def test_a_version_has_what_came_with_its_partitions(one: Workspace) -> None:
    assert here(one).pairs.empty
    grown(one, 2, said("a", "pay", "card", "cash"), said("b", "stop", "end"))
    assert list(here(one).pairs) == ["id", "input", "chosen", "rejected", "at", "source"]
    assert list(here(one).ratings) == ["id", "input", "output", "score", "at", "source"]
    assert here(one).pairs[["chosen", "rejected"]].to_numpy().tolist() == [["card", "cash"]]
    grown(one, 3, said("c", "hi", "ho", "hu"), said("a", "pay", "gold", "cash"))
    assert dict(zip(here(one).pairs["id"], here(one).pairs["chosen"], strict=True)) == {
        "c": "ho",
        "a": "gold",  # said again: the later one
    }
    assert here(one).ratings["output"].tolist() == ["end"]
    assert not any(found.faults for found in verify(one.root))
    assert "\n  feedback  2 pairs, 1 rating\n" in show(one.root, "v0003").to_text()
    assert "feedback" not in show(one.root, "v0001").to_text()
    checkout(one.root, "v0002")
    assert here(one).pairs["chosen"].tolist() == ["card"]
    checkout(one.root, "v0001")
    assert here(one).pairs.empty


def test_the_pairs_of_any_version_go_out_as_preferences(one: Workspace, tmp_path: Path) -> None:
    grown(one, 2, said("a", "pay", "card", "cash"), said("b", "stop", "end"))
    grown(one, 3, said("c", "hi", "ho", "hu"))
    checkout(one.root, "v0001")
    file, form = tmp_path / "pairs.jsonl", exporter("preferences")
    for version, chosen in (("v0001", []), ("v0002", ["card"]), ("v0003", ["card", "ho"])):
        assert export(one.root, version, file, form=form) == len(chosen)
        found = [json.loads(line) for line in file.read_text().splitlines()]
        assert [row["chosen"][0]["content"] for row in found] == chosen
    with pytest.raises(DataError, match="pairs are of no set"):
        export(one.root, "v0003", file, ["train"], form)


def test_what_is_near_a_row_that_evaluates_is_left_out(one: Workspace) -> None:
    held = np.eye(4, dtype=np.float16)
    texts = ["where is it?", "two", "three", "four"]
    tested = pd.DataFrame({"input": texts, "encoder": "tiny", "embedding": [e.tobytes() for e in held]})
    near = np.float16([1, 0.01, 0, 0]).tobytes()
    grown(
        one,
        2,
        said("a", " WHERE is it? ", "card", "cash", embedding=None),
        said("b", "whence", "x", embedding=near),
        said("c", "pay", "card"),
        said("d", "where", "card", "cash", embedding=near, encoder="another"),
    )
    found = opinions.here(one, tested, str)
    assert found.ratings["id"].tolist() == ["c"]
    assert found.pairs["id"].tolist() == ["d"]


def test_rewrites_change_what_is_chosen(one: Workspace) -> None:
    rename = Rewrite('.target.name == "old"', '.target.name = "new"', START.isoformat())
    rewrites.save(one.root, [rename, Rewrite('.target.name == "gone"', "", START.isoformat())])
    old, new, gone = (json.dumps({"name": name}) for name in ("old", "new", "gone"))
    grown(
        one,
        2,
        said("a", "one", old, "no"),
        said("b", "two", old, new),
        said("c", "three", gone, "no"),
        said("d", "four", old),
        said("e", "five", new),
    )
    assert here(one).pairs[["id", "chosen"]].to_numpy().tolist() == [["a", new]]
    assert here(one).ratings["id"].tolist() == ["e"]


def test_what_was_said_of_a_forgotten_answer_is_gone_from_every_version(one: Workspace) -> None:
    grown(one, 2, said("a", "secret", "card", "cash"), said("b", "stop", "end"))
    assert opinions.blank(one.reservoir, ["nobody"]) == []
    touched = erase(one, ["row-a"], START + timedelta(days=3))
    assert touched == ["v0002"]
    make_version(one, None, plan(3), ALL, one.champion, touched)
    kept = opinions.stored(one.reservoir)
    assert kept["id"].tolist() == ["a", "b"]
    assert "secret" not in kept.to_csv()
    assert here(one).pairs.empty
    assert here(one).ratings["id"].tolist() == ["b"]
    checkout(one.root, "v0002")
    assert here(one).pairs.empty


def test_a_damaged_file_is_named(one: Workspace) -> None:
    grown(one, 2, said("a", "pay", "card", "cash"))
    opinions.place_of(one.reservoir, "v0002").write_bytes(b"no Parquet")
    with pytest.raises(DatasetError, match="a file of feedback is damaged"):
        here(one)
