"""everloop label: what it prints, and what becomes of what people say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.records.labels import Review, Vote
from core.store import Store
from pipelines.datasets.partitions import read
from tests.command_line import everloop, refused
from tests.everloop.commands.test_commands import END, asked, store

__all__ = ["asked"]
SHOWN = "everloop label status shows ids, and so do the files of everloop label export"


def tasks(shop: Path) -> list[str]:
    return [t.prediction_id for t in store(shop).queue.open()]


def settings(shop: Path, **labeling: Any) -> None:
    path = shop / "params.yaml"
    written = yaml.safe_load(path.read_text())
    written["labeling"] = {**written["labeling"], **labeling}
    path.write_text(yaml.safe_dump(written))


def vote(shop: Path, i: int, who: str, label: str | None, needed: int = 2) -> None:
    store(shop).queue.vote(Vote(tasks(shop)[i], who, label, END), needed)


def test_tasks_go_to_label_studio_and_come_back(asked: Path, tmp_path: Path) -> None:
    file, back = tmp_path / "tasks.json", tmp_path / "export.json"
    out = everloop("label", "export", file, "--format", "label-studio", "-w", asked)
    assert (out.code, out.err) == (0, "")
    assert out.out == (
        f"3 tasks in {file}; {tmp_path / 'tasks.xml'} is the labelling config of its project\n"
        "its JSON export: everloop label import EXPORT.json\n"
    )
    first = file.read_bytes()
    everloop("label", "export", file, "--format", "label-studio", "-w", asked)
    assert file.read_bytes() == first
    found = json.loads(first)
    said = [{"from_name": "label", "value": {"choices": ["track_order"]}}]
    for task in found:
        task["annotations"] = [{"completed_by": 1, "result": said, "was_cancelled": False}]
    found[2]["annotations"][0]["was_cancelled"] = True
    back.write_text(json.dumps(found))
    done = everloop("label", "import", back, "-w", asked)
    assert (done.code, done.err) == (0, "")
    assert done.out == "2 new labels, 0 known already, 0 not filled in, 1 skipped\n"
    again = everloop("label", "import", back, "-w", asked)
    assert again.out == "0 new labels, 2 known already, 0 not filled in, 1 skipped\n"
    assert len(tasks(asked)) == 1


def test_a_label_studio_file_of_another_workspace(asked: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text('[{"data": {"text": "x", "workspace": "theirs"}, "annotations": []}]')
    assert refused("label", "import", file, "-w", asked) == (
        "error: no task of this Label Studio file is of this workspace\n"
        f"  where:    {file}\n"
        "  got:      tasks of workspace theirs\n"
        "  expected: tasks that were exported from here\n"
        "  do:       everloop label import FILE -w THE_WORKSPACE_IT_CAME_FROM\n"
    )


def test_records_go_to_argilla(asked: Path, tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    out = everloop("label", "export", file, "--format", "argilla", "-w", asked)
    assert (out.code, out.err) == (0, "")
    assert out.out == (
        f"3 records in {file}; dataset.records.from_json, and its to_json: "
        "everloop label import EXPORT.json\n"
    )
    assert everloop("label", "import", file, "-w", asked).out == (
        "0 new labels, 0 known already, 3 not filled in\n"
    )


def test_several_annotators_their_agreement_and_a_dispute(asked: Path, tmp_path: Path) -> None:
    settings(asked, annotators=2)
    ids, texts = tasks(asked), [t.text for t in store(asked).queue.open()]
    for who, labels in {"ana": ["a", "a", "b"], "bob": ["a", "b", ""]}.items():
        rows = "".join(f"{i},{label}\n" for i, label in zip(ids, labels, strict=True))
        (tmp_path / "back.csv").write_text(f"prediction_id,label\n{rows}")
        said = ["label", "import", tmp_path / "back.csv", "-w", asked, "--annotator", who]
        everloop(*said, "--new-labels")
    store(asked).queue.vote(Vote(ids[2], "bob", None, END, "unclear"), 2)
    done = store(asked).queue.state(END)["done"]
    ran = everloop("label", "status", "-w", asked, "--now", "2026-01-08")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"1 waiting, 1 disputed, {done} done\n"
        "\n"
        "annotator  labels  skipped\n"
        "ana             3        0\n"
        "bob             2        1\n"
        "\n"
        "annotators   tasks  agree  Cohen's kappa\n"
        "ana and bob      2  50%    0.00\n"
        "Krippendorff's alpha 0.00 on 2 tasks with several labels\n"
        "\n"
        f"{ids[1]}  {texts[1]}\n"
        "  ana says 'a', bob says 'b'\n"
        "settle them: everloop label adjudicate ID LABEL\n"
    )
    told = json.loads(everloop("label", "status", "-w", asked, "--json").out)
    assert told["disputes"][0]["votes"] == {"ana": "a", "bob": "b"}
    for _ in range(2):
        ran = everloop("label", "adjudicate", ids[1], "b", "-w", asked, "--annotator", "eve")
        assert (ran.code, ran.out, ran.err) == (0, f"{ids[1]} is b, says eve\n", "")
    assert store(asked).labels.of(ids) == {ids[0]: "a", ids[1]: "b"}


def test_one_annotators_two_labels_are_quarantined(asked: Path, tmp_path: Path) -> None:
    settings(asked, annotators=2)
    key = tasks(asked)[0]
    (tmp_path / "back.csv").write_text(
        f"prediction_id,label,annotator\n{key},a,ana\n{key},b,ana\n{key},b,bob\n"
    )
    ran = everloop("label", "import", tmp_path / "back.csv", "-w", asked, "--new-labels")
    page = asked / ".everloop" / "quarantine" / "annotations-back.csv"
    assert (ran.code, ran.out) == (1, "2 new labels, 0 known already, 0 not filled in\n")
    assert ran.err == (
        "warning: back.csv: 1 row refused (row 3: ana has labelled it 'a'); "
        f"the reasons are in {page}\n"
    )
    assert page.read_text() == "row,reason,value\n3,ana has labelled it 'a',b\n"


def test_what_cannot_be_adjudicated(asked: Path) -> None:
    settings(asked, labels=["track_order", "cancel_order"])
    key = tasks(asked)[0]
    assert refused("label", "adjudicate", key, "cancel_ordr", "-w", asked) == (
        "error: a label that was never declared\n"
        f"  where:    {key}\n"
        "  got:      'cancel_ordr'\n"
        "  expected: 'cancel_order'\n"
    )
    assert refused("label", "adjudicate", "nobody", "track_order", "-w", asked) == (
        f"error: no task for this prediction id\n  where:    nobody\n  do:       {SHOWN}\n"
    )
    both = refused("label", "adjudicate", "nobody", "no such label", "-w", asked)
    assert both.startswith("error: no task for this prediction id\n  where:    nobody\n")


def test_a_workspace_without_tasks(empty: Path) -> None:
    ran = everloop("label", "status", "-w", empty)
    assert ran.out == "no task yet; they are picked with every turn: everloop loop\n"
    ran = everloop("label", "review", "-w", empty)
    assert ran.out == "0 labels looked at: 0 look wrong, 0 of them new\n"


def test_labels_that_look_wrong_are_listed_and_answered(own: Path) -> None:
    ran = everloop("label", "review", "-w", own, "--limit", "2", "--now", "2026-01-08")
    known = store(own)
    waiting, [worst, other] = known.reviews.count(), known.reviews.open(2)
    rows = len(read(own / "data" / "reservoir")) + sum(known.labels.unclaimed())
    line = "{r.prediction_id}  {r.label}, or {r.suggested}?  ({r.score:.3f})  {r.text}\n"
    assert ran.out == (
        f"{rows} labels looked at: {waiting} look wrong, {waiting} of them new\n"
        + line.format(r=worst)
        + line.format(r=other)
        + "answer: everloop label adjudicate ID LABEL\n"
    )
    assert f", {waiting} of them new" not in everloop("label", "review", "-w", own).out
    everloop("label", "adjudicate", worst.prediction_id, worst.suggested, "-w", own)
    assert known.reviews.count() == waiting - 1
    status = everloop("label", "status", "-w", own).out
    assert f"{other.prediction_id}  " in status
    assert f"; is it '{other.suggested}'?" in status


@pytest.mark.slow
def test_a_corrected_first_row_is_in_the_next_dataset(own: Path) -> None:
    """It was never served: the reservoir alone has its text, and takes the correction as a new row."""
    rows = read(own / "data" / "reservoir", sets=["train"], partitions=["v0001"])
    key, label, text = rows.loc[0, ["row_id", "target", "input"]]
    other = next(x for x in rows["target"] if x != label)
    known: Store = store(own)
    known.reviews.add([Review(key, END, label, other, 0.01, text)])
    everloop("rollout", "rollback", "-w", own, "--now", "2026-01-07")  # no retrain ends one
    assert everloop("label", "adjudicate", key, other, "-w", own, "--now", "2026-01-07").code == 0
    before = len(list((own / "data" / "reservoir").rglob("*.parquet")))
    ran = everloop("retrain", "-w", own, "--now", "2026-01-07T01:00", "--reason", "a correction")
    assert ran.code == 0, ran.err
    new = f"v{before + 1:04d}"
    last = read(own / "data" / "reservoir", partitions=[new]).set_index("row_id")
    assert (last.loc[key, "target"], last.loc[key, "input"], last.loc[key, "set"]) == (
        other,
        text,
        "train",
    )
    diff = everloop("data", "diff", f"v{before:04d}", new, "-w", own).out
    assert "  relabelled    1\n" in diff
