"""`everloop data ...`: what it prints is compared whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from core.state import Champion
from tests.command_line import everloop, refused

HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{12}")
SIZE = re.compile(r"\d+(\.\d)? (B|kB|MB)\b")


def said(*arguments: object) -> str:
    """The output of a command that works, without hashes and sizes."""
    ran = everloop("data", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return SIZE.sub("SIZE", HASH.sub("HASH", ran.out))


# -- log ------------------------------------------------------------------------------------------


def test_log(shop: Path, empty: Path) -> None:
    lines = said("list", "v0003", "-w", shop).splitlines()
    assert lines[0].split() == ["version", "as", "of", "(UTC)", "rows", "train", "labels", "reason"]
    assert [re.split(r"  +", x)[:5] for x in lines[1:]] == [
        ["v0003", "2026-01-07 00:00", "+9 train, +3 audit", "77", "6"],
        ["v0002", "2026-01-06 00:00", "+8 train, +3 audit", "68", "6"],
        ["v0001", "2026-01-05 00:00", "+60 train, +30 eval", "60", "6"],
    ]
    reasons = [f"labels: {n} new labels, 8 needed" for n in (9, 8)]
    assert [x.split("  ")[-1] for x in lines[1:3]] == reasons
    assert said("list", "v0001", "-w", shop).count("\n") == 2
    assert "there is no dataset version v0009" in refused("data", "list", "v9", "-w", shop)


# -- diff -----------------------------------------------------------------------------------------


def test_diff_as_a_page(shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    assert said("diff", "v0001", "v0003", "-w", shop, "--html", page).endswith(f"wrote {page}\n")
    assert "Dataset v0001 → v0003" in page.read_text(encoding="utf-8")


# -- export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_export(shop: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "out" / f"rows.{suffix}"
    assert said("export", "v0002", file, "-w", shop) == f"wrote 101 rows of v0002 to {file}\n"
    read = {
        "csv": lambda p: pd.read_csv(p, dtype={"propensity": float}),
        "jsonl": lambda p: pd.read_json(p, lines=True, dtype=False),
        "parquet": pd.read_parquet,
    }[suffix](file)
    assert list(read.columns) == [
        "set", "row_id", "timestamp", "text", "label", "encoder", "segments", "user_key", "policy",
        "round", "propensity", "annotator",
    ]  # fmt: skip
    assert read["set"].value_counts().to_dict() == {"train": 68, "eval": 30, "audit": 3}
    assert read["propensity"].notna().sum() == 11
    assert not list(file.parent.glob(".*"))


def test_export_of_one_set_and_what_cannot_be_written(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    assert said("export", "v0002", file, "--set", "audit", "-w", shop).startswith("wrote 3 rows")
    assert refused("data", "export", "v0002", file, "--set", "test", "-w", shop) == (
        "error: no such set\n  where:    --set\n  got:      test\n  expected: train, eval, audit, recent, regression\n"
    )
    assert "this kind of file cannot be written" in refused(
        "data", "export", "v0002", tmp_path / "rows.xlsx", "-w", shop
    )


# -- verify ---------------------------------------------------------------------------------------


def test_verify(shop: Path, empty: Path) -> None:
    assert said("verify", "-w", shop) == (
        "v0001  whole  5 objects, SIZE, 90 rows\n"
        "v0002  whole  13 objects, SIZE, 101 rows\n"
        "v0003  whole  14 objects, SIZE, 113 rows\n"
    )
    assert said("verify", "v0002", "--deep", "-w", shop).startswith("v0002  whole  13 objects")
    assert said("verify", "-w", empty).startswith("no dataset version yet")


def test_verify_says_what_is_broken_and_ends_with_1(own: Path) -> None:
    files = (own / ".dvc/cache/files/md5").rglob("*")
    model = max((p for p in files if p.is_file()), key=lambda p: p.stat().st_size)
    model.unlink()
    assert "only at the remote" in everloop("data", "verify", "-w", own).out
    name = model.parent.name + model.name
    (own / ".everloop/remote/files/md5" / model.parent.name / model.name).unlink()
    ran = everloop("data", "verify", "-w", own)
    assert (ran.code, ran.err) == (1, "")
    broken = [x for x in ran.out.splitlines() if x.endswith(f"object {name} is gone")]
    assert broken
    assert "NOT WHOLE" in ran.out


def test_verify_knows_the_commit_that_the_loop_noted(own: Path) -> None:
    from pipelines.datasets.dvc_git import Repository

    repository = Repository(own)
    repository.git("commit", "--allow-empty", "-m", "other", settings=["user.name=x", "user.email=x@y"])
    repository.git("tag", "--force", "dataset/v0003", "HEAD")
    ran = everloop("data", "verify", "v0003", "-w", own)
    assert ran.code == 1
    assert re.search(r"tag dataset/v0003 is on commit \w{12}, and was made on \w{12}\n", ran.out)


# -- push, pull, gc -------------------------------------------------------------------------------


def test_push_and_pull(own: Path, tmp_path: Path) -> None:
    with (own / ".dvc/config.local").open("a") as file:
        file.write(f"['remote \"backup\"']\n    url = {tmp_path}/backup\n")
    there = f"backup ({tmp_path}/backup/files/md5)\n"
    assert re.sub(r"\d+ objects", "N objects", said("push", "--remote", "backup", "-w", own)) == (
        f"3 versions: sent N objects to {there}"
    )
    assert said("push", "v0002", "--remote", "backup", "-w", own) == (
        f"1 version: sent nothing: all was there to {there}"
    )
    assert said("pull", "--remote", "backup", "-w", own) == (
        f"3 versions: fetched nothing: all was there from {there}next: everloop data checkout VERSION\n"
    )
    assert refused("data", "push", "--remote", "away", "-w", own).startswith(
        "error: there is no remote away\n"
    )


def test_gc_says_asks_and_removes(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = own / ".dvc/cache/files/md5/ab" / ("c" * 30)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x" * 1500)
    told = "the cache: 1 objects, 1.5 kB that nothing needs\n"
    monkeypatch.setattr("typer.confirm", lambda _: False)
    assert everloop("data", "gc", "-w", own).out == f"{told}nothing was removed\n"
    assert stray.exists()
    assert everloop("data", "gc", "--yes", "-w", own).out == f"{told}removed\n"
    assert everloop("data", "gc", "-w", own).out == "the cache: 0 objects, 0 B that nothing needs\n"
    assert not stray.exists()
    assert "NOT WHOLE" not in everloop("data", "verify", "-w", own).out


def test_gc_gives_up_a_version_by_name_only(own: Path) -> None:
    lines = said("gc", "--drop", "v0001", "--remote", "local", "--yes", "-w", own).splitlines()
    assert re.fullmatch(r"the cache: \d objects, SIZE that nothing needs", lines[0])
    assert re.fullmatch(r"remote local: \d objects, SIZE that nothing needs", lines[1])
    assert lines[2:] == ["tag dataset/v0001 goes, too; v0001 cannot be brought back", "removed"]
    assert said("verify", "-w", own).count("whole") == 2
    assert "newest version cannot be given up" in refused("data", "gc", "--drop", "v0003", "-w", own)


def test_gc_keeps_what_the_champion_learnt_from(own: Path) -> None:
    from core.registry import Registry
    from core.store import Store
    from core.workspace import Workspace

    store = Store(f"sqlite:///{own / '.everloop' / 'store.db'}")
    learnt = {c.dataset: c.version for c in Registry(Workspace(own)).versions()}
    store.state.write(Champion(learnt["v0001"]))
    store.close()
    assert refused("data", "gc", "--drop", "v0001", "-w", own) == (
        "error: the model that serves was trained on this version\n"
        f"  where:    {own}\n"
        "  got:      v0001\n"
        "  expected: a version of no use any more\n"
        "  do:       everloop data list\n"
    )


def test_checkout_then_stage(own: Path) -> None:
    """What `dvc repro` runs refuses a reservoir that is not the version's."""
    everloop("data", "checkout", "v0002", "-w", own)
    assert everloop("stage", "datasets", "-w", own).code == 0
    assert json.loads((own / "metrics/datasets.json").read_text())["rows"]["train"] == 68
    partition = own / "data/reservoir/v0001/v0002.parquet"
    partition.chmod(0o644)
    partition.write_bytes((own / "data/reservoir/v0001/v0001.parquet").read_bytes())
    assert refused("stage", "datasets", "-w", own) == (
        "error: data/reservoir is not what data/blocks says\n"
        f"  where:    {own}\n"
        "  got:      data/reservoir/v0001 changed, or not here\n"
        "  do:       git checkout -- data && dvc checkout data/blocks/*.dvc, then again\n"
    )


@pytest.mark.parametrize("name", ["v1", "1", "V0001", "dataset/v0001"])
def test_a_version_is_the_same_however_it_is_written(shop: Path, tmp_path: Path, name: str) -> None:
    here = ("-w", shop)
    for command in (("list", "--rows"), ("list",), ("verify",)):
        asked = everloop("data", *command, name, *here)
        assert asked == everloop("data", *command, "v0001", *here)
        assert asked.code == 0
    assert everloop("data", "diff", name, "v2", *here).out.startswith("v0001 -> v0002")
    ran = everloop("data", "export", name, tmp_path / "rows.csv", *here)
    assert ran.out == f"wrote 90 rows of v0001 to {tmp_path / 'rows.csv'}\n"
    assert "there is no dataset version v0099" in refused("data", "list", "99", "--rows", *here)


def test_a_model_and_a_dataset_of_one_number(shop: Path) -> None:
    assert everloop("data", "lineage", "1", "-w", shop).out.startswith("model 1: ")
    assert everloop("data", "lineage", "v1", "-w", shop).out.startswith("dataset v0001: ")
