"""A label that nobody has used does not enter by accident, and what was said under it is not lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.label_set import LabelSet
from core.readers import Refused
from core.records.answers import Feedback
from core.records.labels import Vote
from core.store import Store
from everloop.labels import picture, text
from pipelines.labeling import Labeling
from pipelines.labeling.judgements import Imported, release, take
from pipelines.labeling.tables import read
from tests.command_line import everloop, refused
from tests.everloop.commands.test_commands import asked as asked
from tests.everloop.commands.test_commands import store as open_store
from tests.pipelines.labeling.test_files import NOW, OPEN, labelled, store
from tests.serving.labelling.label_queue import ask, texts_of
from tests.serving.labelling.test_api import client_of

__all__ = ["asked", "store"]
KNOWN = ["track_order", "cancel_order"]
TWO = Labeling(annotators=2)


def imported(path: Path, store: Store, settings: Labeling = OPEN, who: str = "ann") -> Imported:
    return take(read(path, who), store, settings, NOW, KNOWN)


def aside(store: Store) -> list[tuple[str, str, str | None]]:
    return [(v.prediction_id, v.annotator, v.label) for v in store.queue.waiting()]


def test_a_vote_under_an_unknown_name_waits(store: Store, tmp_path: Path) -> None:
    path = labelled(tmp_path, "p0,track_order", "p1,trak_order", "p9,trak_order", "p2,")
    found = imported(path, store)
    assert (found.accepted, found.unlabelled, found.waiting) == (1, 1, {"trak_order": 1})
    assert found.refused == [Refused(4, "no task for this prediction id", "p9")]
    assert aside(store) == [("p1", "ann", "trak_order")]
    assert store.labels.in_use() == ["track_order"]
    assert imported(path, store).waiting == {"trak_order": 1}  # again changes nothing
    assert aside(store) == [("p1", "ann", "trak_order")]


def test_a_corrected_file_takes_its_place(store: Store, tmp_path: Path) -> None:
    imported(labelled(tmp_path, "p1,trak_order", "p2,other"), store)
    imported(labelled(tmp_path, "p1,track_order", "p2,another"), store)
    assert aside(store) == [("p2", "ann", "another")]
    assert store.labels.of(["p1", "p2"]) == {"p1": "track_order"}


def test_a_name_that_is_known_by_now_counts(store: Store, tmp_path: Path) -> None:
    imported(labelled(tmp_path, "p0,refund", "p1,refund", "p2,other"), store)
    assert release(store, OPEN, KNOWN) == 0
    assert release(store, OPEN, [*KNOWN, "refund"]) == 2
    assert release(store, OPEN, [*KNOWN, "refund"]) == 0
    assert store.labels.of(["p0", "p1", "p2"]) == {"p0": "refund", "p1": "refund"}
    assert aside(store) == [("p2", "ann", "other")]


def test_what_comes_too_late_is_refused_or_goes_on_waiting(store: Store, tmp_path: Path) -> None:
    imported(labelled(tmp_path, "p0,refund", "p1,refund"), store)
    store.queue.vote(Vote("p0", "bob", "track_order", NOW), needed=1)
    store.queue.vote(Vote("p1", "ann", "track_order", NOW), needed=2)
    assert release(store, TWO, [*KNOWN, "refund"]) == 1  # ann has said something else of p1
    assert aside(store) == [("p0", "ann", "refund")]  # bob's label stands, and ann's word is kept
    found = imported(labelled(tmp_path, "p0,late", "p1,late", "p2,one", "p2,two"), store, TWO)
    assert [(r.row, r.reason) for r in found.refused] == [
        (2, "this prediction is already labelled 'track_order'"),
        (3, "ann has labelled it 'track_order'"),
        (5, "ann has labelled it 'one'"),
    ]
    assert found.waiting == {"one": 1}


def test_a_name_is_forgotten_with_its_text(store: Store, tmp_path: Path) -> None:
    imported(labelled(tmp_path, "p0,refund"), store)
    store.erasure.erase(["p0"], [])
    assert store.queue.waiting() == []


def test_the_status_lists_names_that_wait(store: Store, tmp_path: Path) -> None:
    imported(labelled(tmp_path, "p0,trak_order", "p1,trak_order"), store)
    store.feedback.add(
        [
            Feedback(f"f{i}", "p2", NOW, kind, value)
            for i, (kind, value) in enumerate(
                [("correction", "trak_order"), ("label", "x"), ("label", "track_order"), ("thumbs", "up")]
            )
        ]
    )  # fmt: skip
    found = picture(store, NOW, KNOWN)
    assert found["unconfirmed"] == {
        "names": 2,
        "commonest": [
            {"label": "trak_order", "votes": 2, "feedback": 1, "nearest": "track_order"},
            {"label": "x", "votes": 0, "feedback": 1, "nearest": ""},
        ],
    }
    assert text(found).endswith(
        "nobody has used  votes  feedback  did you mean\n"
        "'trak_order'         2         1  track_order\n"
        "'x'                  0         1\n"
        "they wait; if one is meant: everloop label set add LABEL"
    )


def test_import_says_so_at_once_and_the_label_set_confirms(asked: Path, tmp_path: Path) -> None:
    first, second, third = [t.prediction_id for t in open_store(asked).queue.open()]
    file = labelled(tmp_path, f"{first},track_ordr", f"{second},no such label", f"{third},track_order")
    at = ["-w", asked, "--now", "2026-01-08"]
    ran = everloop("label", "import", file, *at)
    assert (ran.code, ran.out) == (1, "1 new label, 0 known already, 0 not filled in\n")
    assert ran.err == (
        "warning: labels.csv: 2 rows wait, since nobody has used these labels yet: 'no such label' in "
        "1 row, 'track_ordr' in 1 row (did you mean 'track_order'?)\n"
        "correct them and import the file again; if they are meant: "
        f"everloop label import {file} --new-labels\n"
    )
    assert "no such label" not in everloop("label", "set", "-w", asked).out
    status = json.loads(everloop("label", "status", "--json", *at).out)
    assert status["unconfirmed"]["names"] == 2
    added = everloop("label", "set", "add", "no  such label", *at)
    assert added.out == (
        "label set version 1: add no such label\n1 vote that waited for such a label: taken\n"
    )
    assert open_store(asked).labels.of([first, second]) == {second: "no such label"}
    ran = everloop("label", "import", file, *at, "--new-labels")
    assert (ran.code, ran.out, ran.err) == (
        0,
        "1 new label, 2 known already, 0 not filled in\n",
        "",
    )
    assert open_store(asked).queue.waiting() == []


def test_adjudicate_asks_too(asked: Path) -> None:
    [key, *_] = [t.prediction_id for t in open_store(asked).queue.open()]
    told = refused("label", "adjudicate", key, "track_ordr", "-w", asked)
    assert told == (
        "error: a label that nobody has used yet\n"
        f"  where:    {key}\n"
        "  got:      'track_ordr'\n"
        "  expected: 'track_order'\n"
        "  do:       --new-label if it is meant\n"
    )
    assert everloop("label", "adjudicate", key, "refund", "-w", asked, "--new-label").code == 0


def test_feedback_says_that_a_name_is_unknown(store: Store) -> None:
    [row] = ask(store, texts_of(1), ["pay_card", "pay_bill"])
    client = client_of(store)

    def said(kind: str, value: str) -> dict[str, Any]:
        body = {"prediction_id": row.prediction_id, "kind": kind, "value": value}
        answer = client.post("/v1/feedback", json=body)
        assert answer.status_code == 200
        return dict(answer.json())

    assert "note" not in said("thumbs", "down")
    assert "note" not in said("correction", "pay_card ")
    assert said("correction", "pay_crad")["note"] == (
        "stored, and does not train: nobody has used the label 'pay_crad' yet; did you mean 'pay_card'?"
    )
    assert store.feedback.names() == {"pay_card": 1, "pay_crad": 1}


@pytest.mark.parametrize("new", [True, False])
def test_a_name_from_the_page_is_known_to_files(store: Store, tmp_path: Path, new: bool) -> None:
    """With two annotators a label that one person gave is in use, though no task has it yet."""
    if new:
        store.queue.vote(Vote("p0", "bob", "refund", NOW), needed=2)
    names = {*KNOWN, *store.labels.in_use()}
    found = take(read(labelled(tmp_path, "p1,refund"), "ann"), store, TWO, NOW, names)
    assert (found.accepted, found.waiting) == ((1, {}) if new else (0, {"refund": 1}))
    assert store.under(LabelSet()).labels.in_use() == (["refund"] if new else [])
