"""What evaluates never trains, nor what is close to it; what must be right before there is a tag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from core.errors import DatasetError, LabelError
from core.label_set import FILE, LabelSet, Operation
from core.tasks import Generation
from core.workspace import Workspace
from pipelines.datasets.all import AllFormation
from pipelines.datasets.contents import TESTED, TRAIN, rows_here, rows_of, show
from pipelines.datasets.diff import diff
from pipelines.datasets.expectations import Allowed, failures
from pipelines.datasets.fence import Fence
from pipelines.datasets.form import form_dataset
from pipelines.datasets.history import list_versions
from pipelines.datasets.partitions import add_partition, in_folder
from pipelines.datasets.rows import read_rows
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import make_version
from tests.pipelines.datasets.small_versions import ALL, first, plan, rows, second_version

DIM = 24


def spread(count: int, kind: str, seed: int, near: np.ndarray | None = None) -> pd.DataFrame:
    """Rows of random embeddings; those of `near` (k, dim) come first, turned by a cosine of 0.99."""
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((count, DIM))
    if near is not None:
        step = rng.standard_normal(near.shape)
        scale = 0.1 * np.linalg.norm(near, axis=1) / np.linalg.norm(step, axis=1)
        made[: len(near)] = near + step * scale[:, None]
    found = rows([f"{kind} {seed} {i}" for i in range(count)], kind=kind if kind == "eval" else "train")
    return found.assign(embedding=[e.astype(np.float16).tobytes() for e in made])


def matrix(table: pd.DataFrame) -> np.ndarray:
    return np.stack([np.frombuffer(e, np.float16) for e in table["embedding"]]).astype(np.float64)


def leaking(able: pd.DataFrame, held: pd.DataFrame) -> list[int]:
    """Which of these rows should not train beside the others."""
    with TemporaryDirectory() as folder:
        for n, table in enumerate((able, held), 1):
            add_partition(Path(folder), f"v{n:04d}", table)
        rows = read_rows(in_folder(Path(folder)), ["v0001", "v0002"])
    trains = np.arange(len(able) + len(held)) < len(able)
    places = (np.flatnonzero(trains), np.flatnonzero(~trains))
    found = Fence(rows, [places]).leaks(*places)
    assert all(trains[x.row] and not trains[x.held] for x in found)
    return sorted(x.row for x in found)


@pytest.mark.parametrize("seed", range(5))
def test_no_near_copy_of_a_held_out_row_trains(empty_shop: Workspace, seed: int) -> None:
    """Every planted neighbour is kept out, no row that lies apart is, and the check agrees."""
    held = spread(40, "eval", seed)
    able = spread(60, "train", 100 + seed, near=matrix(held)[:7])
    able.loc[59, "input"] = held["input"].iloc[0].upper() + "?!"
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    made = json.loads((empty_shop.metrics / "datasets.json").read_text())
    assert made["fenced_by"] == {"same_words": 1, "near_copy": 7}
    assert made["rows"] == {"train": 52, "eval": 40, "audit": 0}
    train, tested = rows_here(empty_shop, TRAIN), rows_here(empty_shop, TESTED)
    assert leaking(train, tested) == []
    assert leaking(able, held) == [*range(7), 59]
    assert [c.faults for c in verify(empty_shop.root)] == [[]]


def leaky(patch: pytest.MonkeyPatch) -> None:
    """Forming that keeps nothing out."""
    nobody = lambda _rows, sets: {"near_copy": np.zeros(len(sets), bool)}  # noqa: E731
    patch.setattr("pipelines.datasets.form.fenced", nobody)


def files(shop: Workspace) -> dict[str, bytes]:
    """What lies in data/ and metrics/."""
    folders = (shop.root / "data", shop.metrics)
    return {
        str(p.relative_to(shop.root)): p.read_bytes()
        for folder in folders
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_a_leak_stops_the_version_and_its_rows_are_shown(
    empty_shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = spread(40, "eval", 1)
    able = spread(60, "train", 2)
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    before, versions = files(empty_shop), list_versions(empty_shop.root)
    new = spread(9, "train", 3, near=matrix(held)[:2])
    new.loc[8, "input"] = "Eval 1 7!"
    with monkeypatch.context() as patch:
        leaky(patch)
        with pytest.raises(DatasetError, match="too near rows that evaluate: 3") as caught:
            make_version(empty_shop, new, plan(2), ALL, None)
    assert caught.value.got.split("; ") == [
        f'{new["row_id"][8]} "Eval 1 7!" has the words of {held["row_id"][7]} "eval 1 7"',
        f'{new["row_id"][0]} "train 3 0" is a near-copy of {held["row_id"][0]} "eval 1 0"',
        f'{new["row_id"][1]} "train 3 1" is a near-copy of {held["row_id"][1]} "eval 1 1"',
    ]
    assert files(empty_shop) == before
    assert list_versions(empty_shop.root) == versions
    assert [c.faults for c in verify(empty_shop.root)] == [[]]
    made = make_version(empty_shop, new, plan(2), ALL, None)
    assert made.rows["train"] == 66


def test_a_row_that_evaluates_since_is_held_against_what_trained_before(
    empty_shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The near-copy is old; what is new is the audit row beside it."""
    held, able = spread(40, "eval", 1), spread(60, "train", 2)
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    audit = spread(3, "audit", 4, near=matrix(able)[5:6]).assign(set="audit")
    with monkeypatch.context() as patch:
        leaky(patch)
        with pytest.raises(DatasetError, match=r'(?s)evaluate: 1.*"train 2 5" is a near-copy'):
            make_version(empty_shop, audit, plan(2), ALL, None)
    assert make_version(empty_shop, audit, plan(2), ALL, None).rows["train"] == 59


def test_verify_names_the_rows_of_a_version_that_leaks(
    empty_shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was made while nobody checked; the versions beside it are whole."""
    held, able = spread(40, "eval", 1), spread(60, "train", 2)
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    new = spread(9, "train", 3, near=matrix(held)[:2])
    new.loc[8, "input"] = "Eval 1 7!"
    with monkeypatch.context() as patch:
        leaky(patch)
        patch.setattr("pipelines.datasets.fence.check", lambda *_: None)
        make_version(empty_shop, new, plan(2), ALL, None)
    make_version(empty_shop, None, plan(3), ALL, None)
    said = {c.id: c.faults for c in verify(empty_shop.root)}
    assert (said["v0001"], said["v0003"]) == ([], [])
    assert said["v0002"] == [
        "trains beside rows that evaluate: "
        f'{new["row_id"][8]} "Eval 1 7!" has the words of {held["row_id"][7]} "eval 1 7"; '
        f'{new["row_id"][0]} "train 3 0" is a near-copy of {held["row_id"][0]} "eval 1 0"; '
        f'{new["row_id"][1]} "train 3 1" is a near-copy of {held["row_id"][1]} "eval 1 1"'
    ]


def test_embeddings_of_two_encoders_are_not_compared(empty_shop: Workspace) -> None:
    held = spread(40, "eval", 1)
    able = spread(60, "train", 2, near=matrix(held)[:7]).assign(encoder="another")
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    assert len(rows_here(empty_shop, TRAIN)) == 60


def test_a_row_without_an_embedding_is_near_nothing(empty_shop: Workspace) -> None:
    held, able = spread(40, "eval", 1), spread(60, "train", 2)
    able.loc[3, "embedding"] = None
    make_version(empty_shop, pd.concat([held, able], ignore_index=True), plan(1), ALL, None)
    assert len(rows_here(empty_shop, TRAIN)) == 60


def test_the_newest_labels_may_test_before_they_train(one: Workspace) -> None:
    """A hold-out ahead in time: out of training, and fenced, until it is older."""
    policy = AllFormation(policy="all", recent_days=1)
    set_policy(one, recent_days=1)
    served = rows(["one", "two", "one more"], day=1.5).assign(policy="margin")
    make_version(one, served, plan(2), policy, None)
    assert set(rows_here(one, ["recent"])["input"]) == {"one", "two", "one more"}
    copies = rows(["Two.", "three"], day=1.6).assign(policy="margin")
    make_version(one, copies, plan(3), policy, None)  # a day later they train
    assert "recent" not in show(one.root, "v0003").version.rows
    assert {"one", "two", "three"} <= set(rows_here(one, TRAIN)["input"])


def test_a_collection_row_tests_until_it_is_taken_out(one: Workspace) -> None:
    named = rows(["refund me"], "refund").assign(set="regression", round="hard")
    make_version(one, pd.concat([named, rows(["Refund me!", "x"])]), plan(2), ALL, None)
    assert rows_here(one, TESTED, ["input", "round"])["round"].tolist().count("hard") == 1
    assert "Refund me!" not in set(rows_here(one, TRAIN)["input"])
    make_version(one, named.assign(set="out"), plan(3), ALL, None)
    assert "refund me" not in set(rows_here(one, [*TRAIN, *TESTED])["input"])
    assert "Refund me!" in set(rows_here(one, TRAIN)["input"])
    assert [c.faults for c in verify(one.root)] == [[], [], []]


# -- expectations ---------------------------------------------------------------------------------


def bad_rows() -> pd.DataFrame:
    """Six rows: a good one, then one of each fault."""
    found = rows(["good", " ", "no label", "nan", "set", "twice", "twice again"])
    found.loc[2, "target"] = ""
    found.loc[3, "embedding"] = np.full(4, np.nan, np.float16).tobytes()
    found.loc[4, "set"] = "test"
    found.loc[6, "row_id"] = found.loc[5, "row_id"]
    return found


def test_failures_name_the_row_and_the_reason() -> None:
    assert failures(bad_rows()) == {
        1: ["no text"],
        2: ["no label"],
        3: ["its embedding is not all numbers"],
        4: ["no such set"],
        5: ["its row id is there twice"],
        6: ["its row id is there twice"],
    }
    assert failures(rows(["a", "b"]), Allowed(["fee"])) == {
        key: ["its label is not in the label set"] for key in (0, 1)
    }
    assert failures(rows(["a", "b"]), Allowed(["card"])) == {}


def test_an_answer_that_somebody_wrote_is_in_the_form_of_its_task() -> None:
    found = rows(["a", "b", "c", "d"]).assign(kind="demonstration", target=["{}", "{", "", "{}"])
    found.loc[3, "input"] = "x" * 100_000
    assert failures(found, Allowed(fault=Generation(judge="json").fault)) == {
        1: ["its answer is not in the form that the task asks for"],
        2: ["no answer", "its answer is not in the form that the task asks for"],
        3: ["input and answer have more than 100,000 characters"],
    }


def test_a_failing_row_is_left_out_and_shown(one: Workspace) -> None:
    good = rows([f"fine {i}" for i in range(9)], day=1)
    make_version(one, pd.concat([good, bad_rows()]), plan(2), ALL, None)
    assert {"fine 0", "good"} <= set(rows_here(one, TRAIN)["input"])
    page = pd.read_csv(one.quarantine / "dataset-v0002.csv")
    assert page["row"].tolist() == [11, 12, 13, 14, 15, 16]
    assert "no such set" in page["reason"].tolist()


def test_where_most_rows_fail_there_is_no_version(one: Workspace) -> None:
    with pytest.raises(DatasetError, match=r"(?s)6 of 7 new rows fail.*no text.*50%") as caught:
        make_version(one, bad_rows(), plan(2), ALL, None)
    assert "dataset-v0002.csv" in str(caught.value)
    assert (one.quarantine / "dataset-v0002.csv").exists()
    assert [v for v in verify(one.root) if v.id == "v0002"] == []
    set_policy(one, max_failed=1.0)  # somebody decides to go on without them
    make_version(one, bad_rows(), plan(2), AllFormation(policy="all", max_failed=1.0), None)
    assert "good" in set(rows_here(one, TRAIN)["input"])


def test_a_label_outside_a_closed_set_is_left_out(one: Workspace) -> None:
    new = pd.concat([rows(["a", "b"]), rows(["c"], "typo")])
    make_version(one, new, replace(plan(2), labels=("card", "top_up")), ALL, None)
    assert "c" not in set(rows_here(one, TRAIN)["input"])
    assert "not in the label set" in (one.quarantine / "dataset-v0002.csv").read_text()


# -- the label set --------------------------------------------------------------------------------


def decide(shop: Workspace, *operations: Operation) -> None:
    LabelSet((*LabelSet.load(shop.root).operations, *operations)).save(shop.root)


def test_old_rows_are_called_what_they_are_called_now_and_old_versions_stay(one: Workspace) -> None:
    before = rows_of(one.root, "v0001")
    manifest = (one.dataset / "manifest.parquet").read_bytes()
    decide(one, Operation("merge", ("card", "top_up"), ("money",)))
    made = make_version(one, rows(["a fee"], "fee", day=1), plan(2), ALL, None)
    assert made.label_set == 1
    assert made.labels == 2
    assert set(rows_here(one, TRAIN)["target"]) == {"money", "fee"}
    assert set(rows_of(one.root, "v0002", TRAIN)["target"]) == {"money", "fee"}
    assert show(one.root, "v0002").counts.loc["money", "train"] == 3
    pd.testing.assert_frame_equal(rows_of(one.root, "v0001"), before)
    assert show(one.root, "v0001").version.label_set == 0
    assert [c.faults for c in verify(one.root)] == [[], []]
    # a version of before is made again as it was
    from pipelines.datasets.versions import checkout

    checkout(one.root, "v0001")
    form_dataset(one, ALL)
    assert (one.dataset / "manifest.parquet").read_bytes() == manifest
    assert "money" in diff(one.root, "v0001", "v0002").labels.to_string()


def test_rows_of_a_retired_or_split_label_train_no_more(one: Workspace) -> None:
    decide(one, Operation("retire", ("top_up",)), Operation("split", ("card",), ("lost", "fee")))
    answered = first().iloc[[0]].assign(target="lost")
    make_version(one, answered, plan(2), ALL, None)
    found = rows_here(one, TRAIN)
    assert found[["input", "target"]].to_numpy().tolist() == [["my card", "lost"]]
    made = json.loads((one.metrics / "datasets.json").read_text())
    assert made["unlabelled"] == 4
    assert made["label_set"] == 2


def test_a_change_counts_from_its_time_on(one: Workspace) -> None:
    """A version as of the day before is made under the names of that day, whenever it is made."""
    decide(one, Operation("merge", ("card", "top_up"), ("money",), plan(3).as_of.isoformat()))
    assert make_version(one, rows(["a fee"], "fee", day=1), plan(2), ALL, None).label_set == 0
    assert set(rows_here(one, TRAIN)["target"]) == {"card", "top_up", "fee"}
    assert make_version(one, rows(["a charge"], "fee", day=2), plan(3), ALL, None).label_set == 1
    assert set(rows_here(one, TRAIN)["target"]) == {"money", "fee"}
    assert [c.faults for c in verify(one.root)] == [[], [], []]


def test_a_label_set_with_another_past_is_refused(one: Workspace) -> None:
    decide(one, Operation("retire", ("top_up",)))
    make_version(one, rows(["new"]), plan(2), ALL, None)
    (one.root / FILE).write_text('{"operations": [{"op": "retire", "labels": ["card"]}]}')
    with pytest.raises(LabelError, match=r"(?s)not the one that the dataset was made under.*git log"):
        form_dataset(one, ALL)


def set_policy(shop: Workspace, **values: object) -> None:
    import yaml

    written = yaml.safe_load(shop.params.read_text())
    written["datasets"] |= values
    shop.params.write_text(yaml.safe_dump(written))


@pytest.fixture
def empty_shop(tmp_path: Path) -> Workspace:
    from everloop.init import init

    return init(tmp_path / "fenced")


def test_second_version_still_counts_its_fence(one: Workspace) -> None:
    second_version(one)
    made = json.loads((one.metrics / "datasets.json").read_text())
    assert made["fenced"] == made["fenced_by"]["same_words"] == 2
