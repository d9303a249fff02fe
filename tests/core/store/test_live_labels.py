"""Labels that were said before they were merged, split or retired: what is read of them at which time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import LabelError
from core.kept import Kept
from core.label_set import LabelSet, Operation
from core.readers import Refused
from core.records.answers import Feedback
from core.records.labels import Annotation, AnnotationTask, Review, Vote
from core.store import Store
from core.tasks import Classification
from everloop.labels import picture
from monitoring.accuracy.feedback import feedback_by_answer
from pipelines.labeling import Labeling, argilla, label_studio, tables
from pipelines.labeling.judgements import Judgement, take
from pipelines.logging.profile import Profiled
from tests.logs import NOW, row

DAY = timedelta(days=1)
SAID = ("lost", "stolen", "gone", "card", "fax", "fee", "other")
LABELS = LabelSet(
    (
        Operation("merge", ("lost", "stolen"), ("gone",), (NOW + 1 * DAY).isoformat()),
        Operation("split", ("card",), ("fee", "limit"), (NOW + 2 * DAY).isoformat()),
        Operation("retire", ("fax",), (), (NOW + 3 * DAY).isoformat(), why="no fax any more"),
    )
)
LATER = NOW + 9 * DAY


def renamed(store: Store) -> Store:
    """The store with names that change day by day."""
    store.label_set_at = LABELS.as_of
    return store


def answered(store: Store, pairs: list[tuple[str, str | None]], tasks: bool = False) -> list[str]:
    """Answers, each with its truth where it has one; prediction ids."""
    rows = [row(i, output=label) for i, (label, _) in enumerate(pairs)]
    store.answers.log(rows)
    if tasks:
        store.queue.add([AnnotationTask(p.prediction_id, NOW, "r", "margin", 0.5, False) for p in rows])
    truths = [(p, truth) for p, (_, truth) in zip(rows, pairs, strict=True) if truth]
    store.labels.annotate([Annotation(p.prediction_id, truth, "ana", NOW) for p, truth in truths])
    return [p.prediction_id for p in rows]


def correct(store: Store) -> list[bool]:
    rows = store.answers.window(NOW, NOW + DAY).rows
    return [bool(x) for x in rows["output"] == rows["truth"]]


def test_an_old_answer_is_right_when_its_truth_has_the_new_name(store: Store) -> None:
    answered(
        renamed(store),
        [("lost", "gone"), ("gone", "stolen"), ("lost", "stolen"), ("lost", "fee"), ("fax", "fax")],
    )
    assert correct(store) == [False, False, False, False, True]
    assert correct(store.at(NOW)) == [False, False, False, False, True]
    assert correct(store.at(NOW + DAY)) == [True, True, True, False, True]
    assert correct(store.at(LATER)) == [True, True, True, False, False]
    assert store.at(LATER).answers.window(NOW, NOW + DAY).rows["truth"].tolist()[-1] is None
    assert store.at(LATER).answers.labelled(NOW, NOW + DAY).rows["output"].tolist()[-1] == "fax"


def test_the_past_reads_as_it_did_whatever_is_changed_later(store: Store) -> None:
    """Replayed, every time sees the names of that time."""
    answered(store, [(a, b) for a in SAID for b in SAID], tasks=True)
    for n in range(len(LABELS.operations)):
        until = NOW + n * DAY + timedelta(hours=1)
        store.label_set_at = LabelSet(LABELS.operations[:n]).as_of
        before = store.at(until).answers.window(NOW, NOW + DAY).rows
        store.label_set_at = LABELS.as_of
        assert store.at(until).answers.window(NOW, NOW + DAY).rows.equals(before)


READS: dict[str, Callable[[Store], list[Any]]] = {
    "window": lambda s: s.answers.window(NOW, LATER).rows[["output", "truth"]].to_numpy().tolist(),
    "labelled": lambda s: s.answers.labelled(NOW, LATER).rows["output"].tolist(),
    "answers": lambda s: s.answers.side_by_side(NOW, LATER)["output"].tolist(),
    "tasks": lambda s: [t.predicted for t in s.queue.tasks([p.prediction_id for p in ROWS]).values()],
    "feedback": lambda s: [f.value for f in s.feedback.within(NOW, LATER) if f.kind == "correction"],
    "reviews": lambda s: [r.label for r in s.reviews.open()],
    "answered": lambda s: list(s.labels.answered()),
    "names said": lambda s: sorted(s.feedback.names().items()),
    "profiles": lambda s: sorted(k for p in s.answers.profiles(NOW, LATER) for k in p.labels.items()),
}
HELD: dict[str, Callable[[Store], list[str | None]]] = {
    "votes": lambda s: [v.label for v in s.queue.all_votes()],
    "votes aside": lambda s: [v.label for v in s.queue.waiting()],
    "votes of": lambda s: [v.label for v in s.queue.votes([p.prediction_id for p in ROWS])],
    "labels of": lambda s: sorted(s.labels.of([p.prediction_id for p in ROWS]).values()),
    "label names": lambda s: list(s.labels.names()),
    "in use": lambda s: list(s.labels.in_use()),
    "untrained": lambda s: sorted(x[0] for x in s.labels.untrained()),
    "examples": lambda s: sorted(x.label for x in s.labels.examples(100)),
}
ROWS = [row(i, output=label) for i, label in enumerate(SAID)]
DISTINCT = {"label names", "in use"}


def said(store: Store) -> Store:
    """Every label in every table that has one."""
    store.answers.append([Kept(ROWS, len(ROWS), profiles=Profiled(policy="profile").count(ROWS))])
    ids = [p.prediction_id for p in ROWS]
    store.queue.add([AnnotationTask(i, NOW, "r", "margin", 0.5, False) for i in ids])
    pairs = list(zip(ids, SAID, strict=True))
    store.queue.vote_all([Vote(i, "ana", label, NOW) for i, label in pairs], needed=1)
    store.queue.put_aside([Vote(i, "eve", label, NOW) for i, label in pairs])
    store.feedback.add([Feedback(i, i, NOW, "correction", x) for i, x in pairs])
    store.feedback.add([Feedback(f"{i}/", i, NOW, "thumbs", "up") for i, _ in pairs])
    store.reviews.add([Review(i, NOW, label, "", 0.1, "") for i, label in pairs])
    return store


@pytest.mark.parametrize("name", [*READS, *HELD])
def test_every_read_of_a_label_goes_through_the_one_view(store: Store, name: str) -> None:
    """What a room reads is what was said, each name as it is called: answers keep a last name, votes and
    truths of a label that is gone are none."""
    said(store)
    labels = LABELS.as_of(LATER)
    if name == "window":
        expected: list[Any] = [[labels.last(x), labels.now(x)] for x in SAID]
    elif name == "answered":
        expected = sorted({labels.last(x) for x in SAID})
    elif name in ("profiles", "names said"):
        expected = [("card", 1), ("fax", 1), ("fee", 1), ("gone", 3), ("other", 1)]
    elif name in READS:
        expected = [labels.last(x) for x in SAID]
    elif name.startswith("votes"):
        expected = [labels.now(x) for x in SAID]
    else:
        left = [x for x in map(labels.now, SAID) if x]
        expected = sorted(set(left) if name in DISTINCT else left)
    assert (READS | HELD)[name](store.under(labels)) == expected
    assert (READS | HELD)[name](store) == (READS | HELD)[name](store.under(LabelSet()))


def test_a_users_correction_under_an_old_name_is_no_complaint(store: Store) -> None:
    first, second, third = answered(renamed(store), [("gone", None), ("lost", None), ("gone", None)])
    words = [(first, "lost"), (second, "gone"), (third, "fax")]
    store.feedback.add([Feedback(i, i, NOW, "correction", value) for i, value in words])
    store.feedback.add([Feedback("up", third, NOW, "thumbs", "up")])
    assert store.feedback.complained(NOW, LATER) == {first, second, third}
    view = store.at(LATER)
    assert view.feedback.complained(NOW, LATER) == {third}
    assert view.answers.side_by_side(NOW, LATER)["complained"].tolist() == [False, False, True]
    import pandas as pd

    told = pd.DataFrame([vars(f) for f in view.feedback.within(NOW, LATER)])
    window = view.answers.window(NOW, NOW + DAY)
    until = pd.Series([LATER.replace(tzinfo=None)] * 3).to_numpy()
    assert feedback_by_answer(window, told, until, Classification())["corrected"].tolist() == [
        False,
        False,
        True,
    ]


def test_a_pick_is_judged_by_the_names_of_the_time(store: Store) -> None:
    """What the error budget bets on: neither a merge nor a label that is gone is an error."""
    answered(renamed(store), [("lost", "gone"), ("lost", "fee"), ("card", "card")], tasks=True)
    picks = (NOW - DAY, LATER)
    assert [p.score for p in store.queue.picks("1", *picks)] == [False, False, True]
    assert [p.score for p in store.at(LATER).queue.picks("1", *picks)] == [True, False, None]


def test_two_models_are_compared_under_the_names_of_the_time(store: Store) -> None:
    champion, shadow = row(0, output="lost"), row(0, "shadow", output="gone", model_version="2")
    renamed(store).answers.log([champion, shadow])
    store.labels.annotate([Annotation(champion.prediction_id, "stolen", "ana", NOW)])
    seen = store.at(LATER).answers.side_by_side(NOW, LATER)
    assert seen["output"].tolist() == seen["truth"].tolist() == ["gone", "gone"]


def test_votes_that_a_merge_made_one_settle(store: Store) -> None:
    ids = answered(renamed(store), [("lost", None)] * 3, tasks=True)
    votes = [("ana", "lost"), ("bob", "stolen")]
    for who, label in votes:
        store.queue.vote(Vote(ids[0], who, label, NOW), needed=2)
    assert len(store.reviews.disputed()) == 1
    assert store.queue.state(NOW)["disputed"] == 1
    view = store.at(LATER)
    assert view.reviews.disputed() == []
    assert view.queue.state(LATER)["waiting"] == 1
    assert view.queue.settle(2) == 1
    assert view.labels.of(ids) == {ids[0]: "gone"}
    assert view.queue.vote(Vote(ids[0], "ana", "gone", LATER), needed=2) == "done"  # nothing new


def test_who_voted_for_a_label_that_is_gone_is_asked_again(store: Store) -> None:
    (only,) = answered(renamed(store), [("card", None)], tasks=True)
    store.queue.vote(Vote(only, "ana", "card", NOW), needed=2)
    assert store.queue.lease("ana", NOW, LATER) == []
    view = store.at(LATER)
    assert view.queue.state(LATER)["open"] == 1
    assert [t.prediction_id for t in view.queue.lease("ana", LATER, LATER + DAY)] == [only]
    state = view.queue.vote_all([Vote(only, "ana", "fee", LATER)], needed=1, replace=False)
    assert state == ["done"]


def test_the_status_counts_what_was_said_and_compares_what_it_means(store: Store) -> None:
    ids = answered(renamed(store), [("a", None)] * 3, tasks=True)
    for who, labels in {"ana": ("lost", "fax", None), "bob": ("stolen", "fee", "fee")}.items():
        for i, label in zip(ids, labels, strict=True):
            store.queue.vote(Vote(i, who, label, NOW), needed=3)
    before, after = picture(store.at(NOW), NOW, []), picture(store.at(LATER), LATER, [])
    assert (
        before["annotators"]
        == after["annotators"]
        == [
            {"annotator": "ana", "labels": 2, "skipped": 1},
            {"annotator": "bob", "labels": 3, "skipped": 0},
        ]
    )
    assert [p["agreed"] for p in before["agreement"]["pairs"]] == [0]
    assert [(p["tasks"], p["agreed"]) for p in after["agreement"]["pairs"]] == [(1, 1)]
    assert (before["queue"]["disputed"], after["queue"]["disputed"]) == (2, 0)


def test_a_settled_label_is_corrected_only_where_it_says_something_else(store: Store) -> None:
    ids = answered(renamed(store), [("a", "lost"), ("a", "card")], tasks=True)
    view = store.at(LATER)
    view.reviews.adjudicate(ids[0], "gone", "cy", LATER)
    view.reviews.adjudicate(ids[1], "fee", "cy", LATER)
    assert view.labels.of(ids) == {ids[0]: "gone", ids[1]: "fee"}
    assert store.labels.of(ids) == {ids[0]: "lost", ids[1]: "fee"}  # the store has what was said
    view.labels.annotate([Annotation(ids[0], "stolen", "oracle", LATER)])
    with pytest.raises(LabelError, match="two labels for one prediction"):
        view.labels.annotate([Annotation(ids[0], "fee", "oracle", LATER)])


def test_a_label_that_is_gone_is_nothing_to_learn_from(store: Store) -> None:
    answered(renamed(store), [("a", "card"), ("a", "fax"), ("a", "lost")], tasks=True)
    assert store.labels.unclaimed() == (3, 0)
    assert store.at(LATER).labels.unclaimed() == (1, 0)


def test_weak_labels_come_under_their_names_and_others_as_they_were_said(store: Store) -> None:
    first, second, third = answered(
        renamed(store), [("fee", None), ("lost", None), ("fee", "lost")], tasks=False
    )
    store.feedback.add([Feedback("1", first, NOW, "correction", "stolen")])
    store.feedback.add([Feedback("2", second, NOW, "thumbs", "up")])
    trust = {"correction": 0.8, "thumbs": 0.8}
    rows = store.at(LATER).labels.claim("v0002", LATER, trust, ["fee", "gone"])
    took = dict(zip(rows["prediction_id"], rows["target"], strict=True))
    assert took == {first: "gone", second: "gone", third: "lost"}
    again = store.labels.claim("v0002", LATER, trust, [])
    assert again["target"].tolist() == rows["target"].tolist()


def test_an_import_under_old_names_is_idempotent_across_the_change(store: Store) -> None:
    ids = answered(renamed(store), [("a", None)] * 3, tasks=True)
    given = list(zip(ids, ("lost", "card", "fax"), strict=True))
    found = [Judgement(n, i, "ana", label) for n, (i, label) in enumerate(given, 1)]
    assert take(found[:1], store.at(NOW), Labeling(), NOW).accepted == 1
    done = take(found, store.at(LATER), Labeling(labels=[*SAID]), LATER)
    assert (done.accepted, done.already, done.renamed) == (0, 1, 1)
    assert [r.reason for r in done.refused] == [
        "'card' was split: say which of fee, limit",
        "'fax' was retired: no fax any more",
    ]
    assert take([replace(found[0], label="gone")], store.at(LATER), Labeling(), LATER).already == 1


def back(form: str, pairs: list[tuple[str, str]], path: Path) -> Iterator[Judgement | Refused]:
    """A file with these labels as it comes back from a tool."""
    if form == "csv":
        rows = [f"{i},{label}" for i, label in pairs]
        path.with_suffix(".csv").write_text("\n".join(["prediction_id,label", *rows]))
        return tables.read(path.with_suffix(".csv"), "ana")
    if form == "jsonl":
        lines = [json.dumps({"prediction_id": i, "label": label}) for i, label in pairs]
        path.with_suffix(".jsonl").write_text("\n".join(lines))
        return tables.read(path.with_suffix(".jsonl"), "ana")
    found: list[dict[str, Any]] = []
    for i, label in pairs:
        chosen = {"from_name": "label", "value": {"choices": [label]}}
        if form == "argilla":
            said = {"label": [{"value": label, "user_id": "7"}]}
            found.append({"id": i, "metadata": {"workspace": "ours"}, "responses": said})
        else:
            about = {"prediction_id": i, "workspace": "ours"}
            found.append({"data": about, "annotations": [{"completed_by": 7, "result": [chosen]}]})
    path.write_text(json.dumps(found))
    return (argilla if form == "argilla" else label_studio).read(path, "ours", "ana")


@pytest.mark.parametrize("form", ["csv", "jsonl", "label-studio", "argilla"])
def test_a_file_of_any_tool_may_have_old_names(store: Store, tmp_path: Path, form: str) -> None:
    ids = answered(renamed(store), [("a", None)] * 4, tasks=True)
    pairs = list(zip(ids, ("lost", "gone", "card", "fax"), strict=True))
    found = back(form, pairs, tmp_path / "back.json")
    done = take(found, store.at(LATER), Labeling(), LATER)
    assert (done.accepted, done.renamed) == (2, 1)
    assert [r.reason[:16] for r in done.refused] == ["'card' was split", "'fax' was retire"]
    assert set(store.labels.of(ids).values()) == {"gone"}


def test_choices_follow_what_a_label_became() -> None:
    labels = LABELS.after(Operation("merge", ("limit",), ("bound",)), [*SAID, "limit"])
    assert labels.choices("card") == ["fee", "bound"]
    assert labels.refusal("card") == "'card' was split: say which of fee, bound"
    ended = labels.after(Operation("retire", ("fee", "bound")), [*SAID])
    assert ended.refusal("card") == "'card' was split; its parts are gone"
