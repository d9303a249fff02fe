"""Named collections: files of texts and labels, what is wrong with them, and the model on each."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from core.collections import add, files, named, read
from core.errors import DataError
from flows.monitor import look
from flows.session import open_session
from monitoring.signals.collections import COLLECTION
from tests.command_line import everloop, refused
from tests.everloop.commands.test_commands import END


def written(root: Path, name: str, text: str) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def kept(root: Path, name: str, text: str) -> Path:
    return written(root, f"data/collections/{name}", text)


def test_every_file_is_a_collection(tmp_path: Path) -> None:
    kept(tmp_path, "refunds.csv", "text,label,note\nmy money back,refund,hard\n")
    kept(tmp_path, "b.jsonl", '{"text": "call me", "label": "call"}\n')
    kept(tmp_path, "README.md", "what these are")
    found = {name: read(path) for name, path in files(tmp_path).items()}
    assert list(found) == ["b", "refunds"]
    assert found["refunds"].to_dict("list") == {"text": ["my money back"], "label": ["refund"]}
    assert files(tmp_path / "no") == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "text,label\n,refund\n", "row 2\n  got:      an empty text"),
        ("a.csv", "text,label\nhi,\nho,\n", r"row 2 \(and 1 more row\)\n  got:      no label"),
        ("a.csv", "text,intent\nhi,refund\n", "missing column: label"),
        ("a.csv", "text,label\n", "the file has no rows"),
        ("a.csv", "text,label\nhi,x\nhi,y\n", "'hi' is x and y"),
        ("a b.csv", "text,label\nhi,x\n", "this is no name for a collection"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    kept(tmp_path, name, text)
    with pytest.raises(DataError, match=said):
        [read(path) for path in files(tmp_path).values()]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    kept(tmp_path, "a.csv", "text,label\nhi,x\n")
    kept(tmp_path, "a.jsonl", '{"text": "hi", "label": "x"}\n')
    with pytest.raises(DataError, match=r"a\.csv and a\.jsonl"):
        files(tmp_path)


def test_adding_the_same_rows_again_changes_nothing(tmp_path: Path) -> None:
    rows = written(tmp_path, "new.csv", 'text,label\n"one, two",x\n= a,y\n')
    target, new = add(tmp_path, "hard", rows)
    before = target.read_bytes()
    assert (new, add(tmp_path, "hard", rows)[1]) == (2, 0)
    assert target.read_bytes() == before
    assert named(tmp_path, "hard")["text"].tolist() == ["one, two", "= a"]
    assert [p.name for p in target.parent.iterdir()] == ["hard.csv"]


def test_a_row_that_contradicts_a_collection_changes_nothing(tmp_path: Path) -> None:
    target, _ = add(tmp_path, "hard", written(tmp_path, "a.csv", "text,label\nhi,x\n"))
    with pytest.raises(DataError, match="'hi' is x and y"):
        add(tmp_path, "hard", written(tmp_path, "b.csv", "text,label\nho,z\nhi,y\n"))
    assert target.read_text() == "text,label\nhi,x\n"


def test_the_commands(own: Path, tmp_path: Path) -> None:
    file = written(tmp_path, "rows.csv", "utterance,intent\nwhere is it,track_order\nring me,other\n")
    assert everloop("collection", "list", "-w", own).out == (
        "no collection yet; the first: everloop collection add NAME FILE\n"
    )
    names = ("--text-column", "utterance", "--label-column", "intent", "-w", own)
    made = everloop("collection", "add", "hard", file, *names)
    warning = "warning: nobody has used 'other' in 1 row; no model can be right there\n"
    assert (made.code, made.err) == (0, warning)
    assert made.out == "hard: 2 new rows, 2 in all\nkeep it: git add data/collections/hard.csv\n"
    assert everloop("collection", "list", "-w", own).out == (
        "collection  rows  labels\nhard           2       2\n"
    )
    assert everloop("collection", "list", "hard", "-w", own).out == (
        "label        text\ntrack_order  where is it\nother        ring me\n"
    )
    assert refused("collection", "list", "hart", "-w", own) == (
        "error: there is no such collection\n"
        f"  where:    {own / 'data' / 'collections'}\n"
        "  got:      'hart'\n"
        "  expected: one of hard\n"
        "  do:       did you mean hard?\n"
    )


def test_the_champion_on_each_collection(own: Path) -> None:
    session = open_session(own)
    champion = session.registry.load(session.store.state.champion())
    texts = [f"where is my parcel {i}" for i in range(20)]
    shares = champion.trained.probabilities(champion.embed(texts))
    right = [champion.trained.labels[i] for i in shares.argmax(axis=1)]
    labels = ["no such label", *right[1:]]
    rows = pd.DataFrame({"text": texts, "label": labels}).to_csv(index=False)
    kept(own, "parcels.csv", rows)
    kept(own, "broken.csv", "text,label\nhi,\n")
    told = {s.segment: s for s in look(session, END).signals if s.name == COLLECTION.name}
    assert list(told) == ["collection=broken", "collection=parcels"]
    good, bad = told["collection=parcels"], told["collection=broken"]
    assert good.value == pytest.approx(0.95)
    assert (good.low or 1) < 0.95 < (good.high or 0) < 1
    assert re.fullmatch(
        r"model_version \d has 19 of 20 right; 1 have a label that it does not know", good.note
    )
    assert bad.value is None
    assert bad.note == "not comparable: a row of this collection cannot be taken: no label"
    session.store.close()


def test_a_collection_is_read_by_the_encoder_once(own: Path) -> None:
    session = open_session(own)
    kept(own, "two.csv", "text,label\nnobody ever said this,x\nnor this,y\n")
    looks: list[dict[str, int]] = []
    for _ in range(2):
        look(session, datetime.fromisoformat(END.isoformat()))
        looks.append(session.store.state.counters())
    assert looks[0] == looks[1]
    session.store.close()
