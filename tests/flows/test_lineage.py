"""From any id to what it came from and what it fed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.ids import uuid7
from core.store import Store
from flows.lineage import Link, trace
from flows.session import Session
from pipelines.datasets.contents import rows_of
from pipelines.datasets.holders import holders
from tests.command_line import everloop, refused
from tests.logs import NOW, row


def kinds(links: list[dict[str, Any]]) -> set[str]:
    """The kind of everything in a tree."""
    return {link["kind"] for link in links} | {
        k for link in links for k in kinds(link.get("leads_to", []))
    }


def traced(shop: Path, id: str) -> list[dict[str, Any]]:
    ran = everloop("data", "lineage", id, "--json", "-w", shop)
    assert (ran.code, ran.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def labelled(shop: Path) -> str:
    """A served row that trains v0002 and v0003."""
    rows = rows_of(shop, "v0002", ["train"], ["row_id", "policy"])
    return str(rows["row_id"][rows["policy"] != "initial"].iloc[0])


def test_a_prediction_leads_to_all_it_fed(shop: Path) -> None:
    (found,) = traced(shop, labelled(shop))
    assert found["kind"] == "prediction"
    by_kind = {x["kind"]: x for x in found["leads_to"]}
    assert by_kind["label"]["partition"] == by_kind["reservoir partition"]["id"] == "v0002"
    datasets = [x for x in found["leads_to"] if x["kind"] == "dataset"]
    assert [(x["id"], x["as"]) for x in datasets] == [("v0002", "train"), ("v0003", "train")]
    assert [x["leads_to"][0]["id"] for x in datasets] == ["2", "3"]
    wanted = {"task of round", "model", "test report", "rollout", "answers as"}
    assert wanted <= kinds([found])


def test_a_request_is_found_by_its_own_id(shop: Path) -> None:
    (by_id,) = traced(shop, labelled(shop))
    found = traced(shop, by_id["request"])
    assert by_id in found
    assert {x["request"] for x in found} == {by_id["request"]}  # its shadow answer, too


def test_a_model_leads_back_to_its_rows_whatever_it_is_named_by(shop: Path) -> None:
    (model,) = traced(shop, "2")
    assert traced(shop, model["run"]) == [model]
    origin = model["leads_to"][0]
    assert (origin["kind"], origin["id"]) == ("trained on dataset", "v0002")
    assert origin["its rows"] == "everloop data export v0002 rows.csv"
    rollout = next(x for x in model["leads_to"] if x["kind"] == "rollout")
    (found,) = traced(shop, rollout["id"])
    assert [x["id"] for x in found["leads_to"]] == ["2", "1"]
    (dataset,) = traced(shop, "v0002")
    assert dataset["rows"] == origin["rows"]
    assert dataset["leads_to"][0]["id"] == "2"


def test_a_first_row_was_never_served(shop: Path) -> None:
    id = str(rows_of(shop, "v0001", ["eval"], ["row_id"])["row_id"].iloc[0])
    (found,) = traced(shop, id)
    assert found["kind"] == "first row"
    sets = [x["as"] for x in found["leads_to"] if x["kind"] == "dataset"]
    assert sets == ["eval"] * 3


@pytest.mark.parametrize("id", ["nope", "v0009", "99", uuid7(NOW, "another")])
def test_an_id_of_nothing_is_an_error_that_names_the_kinds(shop: Path, id: str) -> None:
    told = refused("data", "lineage", id, "-w", shop)
    assert "nothing here has this id" in told
    assert "a prediction or request id, a dataset version (v0003), a model version (3)" in told


def test_answers_are_counted_once_whatever_is_written_again(store: Store) -> None:
    store.answers.log([row(0), row(1), row(1, "shadow", model_version="2")])
    store.answers.log([row(1), row(2), row(3, "canary", model_version="2")])
    counted = [(a.variant, a.predictions) for v in ("1", "2") for a in store.answers.served(v)]
    assert counted == [("champion", 3), ("shadow", 1), ("canary", 1)]
    (first,) = store.answers.served("1")
    assert (first.since, first.until) == (row(0).timestamp, row(2).timestamp)


def test_of_many_things_of_one_kind_some_are_shown() -> None:
    many = Link("row", "r", leads=[Link("dataset", f"v{i:04d}") for i in range(1, 21)])
    lines = many.to_text().splitlines()
    assert len(lines) == 10
    assert lines[5] == "├─ ... 12 more of dataset (--json has them all)"
    assert len(many.to_json()["leads_to"]) == 20


def test_a_workspace_without_versions_knows_its_answers(session: Session) -> None:
    assert "nothing here has this id" in refused("data", "lineage", "1", "-w", session.workspace.root)
    session.store.answers.log([row(0)])
    (found,) = trace(session.workspace, session.store, "r0")
    assert [x.kind for x in found.leads] == ["answered by model"]


def test_the_versions_of_many_rows_are_those_of_each(shop: Path) -> None:
    """Every row of two partitions: asked for together, and one by one."""
    counts = {"v0001": 5, "v0002": 3}
    places = [(name, at) for name, n in counts.items() for at in range(n)]
    together = holders(shop, places).sets
    alone: dict[str, list[str]] = {}
    for place in places:
        for version, sets in holders(shop, [place]).sets.items():
            alone.setdefault(version, []).extend(sets)
    assert together == alone
    assert list(together) == ["v0001", "v0002", "v0003"]
    assert {kind for sets in together.values() for kind in sets} >= {"train"}
    assert holders(shop, []).sets == {}
