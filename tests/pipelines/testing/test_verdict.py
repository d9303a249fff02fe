"""The gate: exact numbers on models made by hand, and the laws every gate must keep."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.arrays import Array
from core.intervals import paired_difference
from core.models.classifier.head import Head, fit_head
from core.records.versions import TestReport
from pipelines.testing import Contender, Testing, run_tests
from pipelines.testing.compare import PairedComparison, compare
from pipelines.testing.expectations import ContenderAnswers, Expectation, Family, suite, typical
from pipelines.testing.labels import scarce
from pipelines.testing.memorization import memorizes
from pipelines.testing.probes import Probe, changed, joined, slip
from pipelines.testing.report import write_report

LABELS = ["card", "loan", "trip"]
WORDS = {"card": "card please replace", "loan": "loan about money", "trip": "trip around world"}


def embed(texts: list[str]) -> Array:
    """One dimension a label: how often its word is there. Unknown words leave nothing."""
    return np.array([[t.lower().count(name) for name in LABELS] for t in texts], np.float32).reshape(
        -1, 3
    )


def rows(n: int, of_set: str = "eval", segments: str = "") -> pd.DataFrame:
    """n texts a label, all different."""
    return pd.DataFrame(
        [
            {
                "input": f"{WORDS[label]} {label} {i}",
                "target": label,
                "set": of_set,
                "segments": segments,
            }
            for i in range(n)
            for label in LABELS
        ]
    )


def head(weight: Array | None = None) -> Head:
    return Head(
        LABELS,
        (8 * np.eye(3) if weight is None else weight).astype(np.float32),
        np.zeros(3, np.float32),
    )


def model(version: str, evaluation: pd.DataFrame, of: Head | None = None) -> Contender:
    return Contender(version, of or head(), embed(list(evaluation["input"])), embed)


SWAPPED = head(8 * np.eye(3)[[1, 0, 2]])  # card and loan confused: a third of the rows right
COUNTER = head(-8 * np.eye(3))  # always something else


def judged(
    candidate: Head | None, champion: Head | None, evaluation: pd.DataFrame, **settings: float
) -> TestReport:
    before = None if champion is None else model("1", evaluation, champion)
    return run_tests(model("2", evaluation, candidate), before, evaluation, Testing(**settings))


# -- compare ----------------------------------------------------------------------------------


def test_the_comparison_is_paired_and_exact() -> None:
    c = compare(np.array([1, 1, 1, 0, 0, 1, 1, 1, 1, 1]), np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 1]))
    assert (c.rows, c.champion, c.candidate, c.lost, c.gained) == (10, 0.8, 0.9, 1, 2)
    assert c.difference == pytest.approx(0.1)
    assert c.interval == paired_difference(gained=2, lost=1, n=10)[::2]
    assert (c.p_worse, c.p_better) == (7 / 8, 4 / 8)


def test_models_that_never_differ_on_five_rows_may_on_others() -> None:
    c = compare(np.ones(5), np.ones(5))
    assert (c.difference, c.p_worse) == (0.0, 1.0)
    assert c.interval == pytest.approx((-0.28, 0.28), abs=0.001)


def test_no_rows_say_nothing() -> None:
    c = compare(np.zeros(0), np.zeros(0))
    assert (c.rows, c.difference, c.interval, c.p_worse) == (0, 0.0, (-1.0, 1.0), 1.0)


def test_a_large_comparison_does_not_overflow() -> None:
    assert 0 <= PairedComparison(100_000, 0.5, 0.5, lost=3000, gained=3000).p_worse <= 1


@pytest.mark.parametrize(
    ("lost", "gained", "worse"),
    [(7, 0, True), (12, 5, True), (20, 13, False), (6, 0, False), (0, 30, False)],
    ids=["clear", "just", "noise", "small", "gain"],
)
def test_worse_needs_both_a_loss_and_evidence(lost: int, gained: int, worse: bool) -> None:
    assert PairedComparison(300, 0.9, 0.9, lost, gained).is_worse(by=0.02, p=0.1) is worse


# -- the laws of the gate ---------------------------------------------------------------------


@pytest.mark.parametrize("of", [head(), SWAPPED, COUNTER], ids=["good", "poor", "hopeless"])
def test_a_model_is_never_worse_than_itself(of: Head) -> None:
    report = judged(of, of, rows(10))
    assert report.passed, report.reasons


def test_a_worse_model_fails_and_the_reason_has_the_numbers() -> None:
    report = judged(SWAPPED, head(), rows(10))
    assert not report.passed
    assert (
        report.reasons[0] == "fixed set: 0.667 lost, more than anything can pay for (5 x max_drop, 0.1)"
    )
    assert report.metrics["eval_accuracy"] == pytest.approx(1 / 3)
    assert report.metrics["champion_eval_accuracy"] == 1.0
    assert report.metrics["eval_difference"] == pytest.approx(-2 / 3)


def test_a_random_head_fails_against_a_good_one() -> None:
    random = head(np.random.default_rng(0).normal(size=(3, 3)))
    assert not judged(random, head(), rows(10)).passed


def test_a_better_model_passes() -> None:
    report = judged(head(), SWAPPED, rows(10))
    assert report.passed
    assert report.reasons[0].startswith("fixed set: 1.000 against 0.333 on 30 rows, +0.667")
    assert report.reasons[0].endswith("better")


def test_the_first_model_has_nobody_to_beat() -> None:
    report = judged(head(), None, rows(4))
    assert report.passed
    assert (report.champion, report.slices[0]["champion"]) == ("", None)
    assert not any(name.startswith("champion") for name in report.metrics)
    assert "no champion to beat" in report.reasons[0]


def test_min_accuracy_is_asked_of_the_first_model_too() -> None:
    report = judged(SWAPPED, None, rows(4), min_accuracy=0.5, max_failed=1.0)
    assert not report.passed
    assert report.reasons[0] == "accuracy 0.333 over all rows, not 0.5 or more"


def test_without_evaluation_rows_nobody_passes() -> None:
    report = judged(head(), head(), rows(0).reindex(columns=["input", "target", "set", "segments"]))
    assert report.verdict == "cannot judge"
    assert report.reasons == [
        "nothing to judge by: an evaluation set needs 10 rows (testing.min_rows), and there are: none. "
        "The champion stays. Next: label 10 more audit rows (curation.audit_share says how many are "
        "drawn), or start with more: everloop train TRAIN.csv --eval EVAL.csv"
    ]


@pytest.mark.parametrize(("candidate", "champion"), [(head(), SWAPPED), (SWAPPED, head())])
def test_a_handful_of_rows_is_shown_and_not_counted(candidate: Head, champion: Head) -> None:
    """One row of gain was "+1.000 (95 % CI +1.000..+1.000): better", one of loss passed at -1.000."""
    report = judged(candidate, champion, rows(3))
    assert (report.verdict, report.passed) == ("cannot judge", False)
    assert (
        "an evaluation set needs 10 rows (testing.min_rows), and there are: fixed set 9."
        in (report.reasons[0])
    )
    assert report.reasons[1].startswith(f"fixed set: {report.metrics['eval_accuracy']:.3f} against")
    assert report.reasons[1].endswith("): shown, not counted: fewer than 10 rows")
    assert report.reasons[2:] == []
    assert [(s["set"], s["counted"]) for s in report.slices] == [("eval", False)]
    assert not any(e["counted"] for e in report.expectations)


def test_a_set_that_counts_judges_beside_one_that_does_not() -> None:
    few = rows(3, "audit").assign(input=lambda r: "new " + r["input"])
    both = pd.concat([rows(4), few], ignore_index=True)
    seen = embed(list(both["input"]))
    was, now = seen.copy(), seen.copy()
    now[12:] = np.roll(now[12:], 1, axis=1)  # all of the audit rows wrong
    candidate, champion = Contender("2", head(), now, embed), Contender("1", head(), was, embed)
    report = run_tests(candidate, champion, both, Testing())
    assert report.verdict == "pass"
    assert report.reasons[:2] == [
        "fixed set: 1.000 on 12 rows, the same rows right as before",
        "audit set: 0.000 against 1.000 on 9 rows, -1.000 (95 % CI -1.000..-0.529): "
        "shown, not counted: fewer than 10 rows",
    ]
    assert (report.metrics["all_rows"], report.metrics["audit_rows"]) == (12, 9)


def test_what_stops_a_candidate_stops_it_without_a_judge_too() -> None:
    report = run_tests(
        model("2", rows(1)), model("1", rows(1)), rows(1), Testing(),
        [Expectation("memorization", "memorization", "learns", rows=16, failed=9, passed=False)],
    )  # fmt: skip
    assert report.verdict == "fail"
    assert report.reasons[0] == "memorization: 9 of 16 rows do otherwise (learns)"


def test_a_label_of_next_to_no_rows_is_named_with_what_to_do(tmp_path: Path) -> None:
    """One mistyped cell made a class that passed the gate and answered users with 0.971."""
    train = ["card"] * 9 + ["loan"] * 9 + ["trip", "atm", "atm", "no such label"]
    labels = scarce(train, ["card"] * 9 + ["atm"], [*LABELS, "atm"], LABELS, needed=2)
    evaluation = rows(4)
    report = run_tests(
        model("2", evaluation), model("1", evaluation), evaluation, Testing(), labels=labels
    )
    assert report.reasons == [
        "held back, fewer than 2 rows to train on (training.min_label_rows): `no such label` (1 row to "
        "train on, 0 to test). A slip: everloop label set merge 'no such label' --into RIGHT. A new "
        "class: label more rows of it",
        "new to the model: `atm` (2 rows to train on, 1 to test)",
        "known to the champion, but fewer than 2 rows to train on (training.min_label_rows): `trip` (1 "
        "row to train on, 0 to test)",
        "fixed set: 1.000 on 12 rows, the same rows right as before",
        "6 of 6 expectations hold",
    ]
    page = write_report(report, tmp_path / "report.html").read_text()
    assert "<h2>New labels</h2>" in page
    row = (
        '<tr><td><span class="tag ">no such label</span></td><td><span class="tag bad">held back</span>'
    )
    assert f"{row}</td><td class=n>1</td><td class=n>0</td></tr>" in page


def test_new_labels_that_came_together_are_learnt_and_named() -> None:
    train = ["old"] * 3 + ["atm", "loan", "trip"]
    said = list(scarce(train, train, train, ["old"], needed=2).words())
    assert said[0] == (
        "learnt with fewer than 2 rows to train on (training.min_label_rows), as several came at once: "
        "`atm` (1 row to train on, 1 to test), `loan` (1 row to train on, 1 to test), `trip` (1 row to "
        "train on, 1 to test). A slip: everloop label set merge atm --into RIGHT"
    )


def test_new_labels_that_no_evaluation_row_has_are_named() -> None:
    train = [f"new {i}" for i in range(7) for _ in range(3)]
    (new, untested) = scarce(train, ["new 0"], train, ["old"], needed=2).words()
    assert new.startswith("new to the model: `new 0` (3 rows to train on, 1 to test), `new 1` (3 rows")
    assert new.endswith("`new 4` (3 rows to train on, 0 to test) and 2 more")
    assert untested == (
        "no evaluation row has `new 1`, `new 2`, `new 3`, `new 4`, `new 5` and 1 more; a collection can "
        "test that: everloop collection add"
    )


def test_a_single_row_and_a_single_label_are_enough() -> None:
    one = rows(1).head(1)
    only = Head(["card"], np.zeros((1, 3), np.float32), np.zeros(1, np.float32))
    assert judged(only, only, one).metrics["eval_accuracy"] == 1.0


def test_a_loss_on_the_fixed_set_is_paid_for_by_recent_traffic() -> None:
    """5 of 100 old rows lost, 8 of 12 recent ones gained: -0.05 and +0.667, a mean of +0.308."""
    old, recent = rows(34).head(100), rows(4, "audit")
    both = pd.concat([old, recent.assign(input="new " + recent["input"])], ignore_index=True)
    seen = embed(list(both["input"]))
    was, now = seen.copy(), seen.copy()
    now[:5] = np.roll(now[:5], 1, axis=1)
    was[100:] = [1, 0, 0]
    candidate, champion = Contender("2", head(), now, embed), Contender("1", head(), was, embed)
    report = run_tests(candidate, champion, both, Testing())
    assert report.passed, report.reasons
    assert report.reasons[2].startswith("the loss on the fixed set is paid for")
    assert report.reasons[2].endswith("the mean is +0.308")
    alone = run_tests(
        Contender("2", head(), now[:100], embed),
        Contender("1", head(), was[:100], embed),
        old,
        Testing(),
    )
    assert alone.reasons[0] == (
        "fixed set: 0.050 lost, more than max_drop 0.02 and not by chance "
        "(5 rows lost, 0 gained, p = 0.031); no gain pays for it"
    )


def test_nothing_pays_for_a_very_large_loss() -> None:
    """The champion is right on every old row and no new one, the candidate the other way round."""
    recent = rows(10, "audit")
    both = pd.concat([rows(10), recent.assign(input="new " + recent["input"])], ignore_index=True)
    sign = np.where(both["set"] == "eval", 1, -1)[:, None]
    seen = embed(list(both["input"]))
    report = run_tests(
        Contender("2", head(), -sign * seen, embed),
        Contender("1", head(), sign * seen, embed),
        both,
        Testing(),
    )
    assert not report.passed
    assert "more than anything can pay for" in report.reasons[0]
    assert report.metrics["all_difference"] == 0.0


def test_the_same_models_give_the_same_report_and_nothing_is_changed() -> None:
    evaluation = rows(5)
    before = evaluation.copy(deep=True)
    reports = [judged(SWAPPED, head(), evaluation) for _ in range(2)]
    assert asdict(reports[0]) == asdict(reports[1])
    pd.testing.assert_frame_equal(evaluation, before)
    json.dumps(asdict(reports[0]))  # plain values all the way down


def test_the_order_of_the_rows_changes_no_number() -> None:
    evaluation = rows(5)
    turned = evaluation.iloc[::-1].reset_index(drop=True)
    assert judged(SWAPPED, head(), evaluation).metrics == judged(SWAPPED, head(), turned).metrics


# -- slices -----------------------------------------------------------------------------------


def test_segments_of_twenty_rows_are_shown_and_a_loss_in_one_is_a_warning() -> None:
    app, web = rows(7, segments='{"channel": "app"}'), rows(3, segments='{"channel": "web"}')
    report = judged(SWAPPED, head(), pd.concat([app, web], ignore_index=True))
    shown = [(s["set"], s["segment"], s["rows"], round(s["candidate"], 3)) for s in report.slices]
    assert shown == [("eval", "", 30, 0.333), ("eval", "channel=app", 21, 0.333)]
    assert report.reasons[-1] == "warning: fixed set, channel=app: 0.333 against 1.000 on 21 rows"


def test_the_report_names_the_rows_that_were_lost() -> None:
    whole = judged(SWAPPED, head(), rows(2)).slices[0]
    assert whole["gained"] == []
    assert whole["lost"][0] == {
        "text": "card please replace card 0", "label": "card", "champion": "card", "candidate": "loan",
    }  # fmt: skip


# -- expectations -----------------------------------------------------------------------------


def test_probes_are_few_new_and_stable() -> None:
    evaluation, read = rows(20), list[str]()

    def counting(texts: list[str]) -> Array:
        read.extend(texts)
        return embed(texts)

    given = Contender("2", head(), embed(list(evaluation["input"])), counting)
    run_tests(given, None, evaluation, Testing())
    first, read[:] = sorted(read), []
    assert len(first) == len(set(first)) == 100
    assert not set(first) & set(evaluation["input"])
    more = pd.concat([evaluation, rows(4, "audit")], ignore_index=True)
    run_tests(Contender("3", head(), embed(list(more["input"])), counting), None, more, Testing())
    assert sorted(read) == first  # an audit set that grows asks for no new text


def test_without_a_fixed_set_the_encoder_reads_nothing() -> None:
    def refuse(texts: list[str]) -> Array:
        raise AssertionError(texts)

    evaluation = rows(4, "audit")  # probes are made of the fixed set
    candidate = Contender("2", head(), embed(list(evaluation["input"])), refuse)
    report = run_tests(candidate, None, evaluation, Testing())
    assert [e["rows"] for e in report.expectations] == [0] * 6


def test_the_typical_text_of_a_label_is_the_one_in_its_middle() -> None:
    texts = ["card", "card card card", "card card", "loan"]
    fixed = pd.DataFrame({"input": texts, "target": ["card", "card", "card", "loan"]})
    answers = ContenderAnswers(Contender("1", head(), embed(texts), embed), texts, [])
    assert [p.text for p in typical(fixed, answers).probes] == ["card card", "loan"]


def ask(kind: str, probe: Probe, of: Head) -> bool:
    """Does this model break the expectation on this probe?"""
    family = next(f for f in suite(rows(2), 10, 0) if f.name == kind)
    texts = list(probe.sources)
    return family.breaks(
        probe, ContenderAnswers(Contender("1", of, embed(texts), embed), texts, [probe.text])
    )


def test_inv_fails_when_the_label_turns_right_or_wrong() -> None:
    assert not ask("INV-case", Probe(("card",), ("card",), "CARD"), head())
    to_trip = Head(LABELS, head().weight, np.array([0, 0, 1], np.float32))
    assert ask("INV-typos", Probe(("card",), ("card",), "crad"), to_trip)
    assert not ask("INV-typos", Probe(("card",), ("loan",), "card"), head())  # wrong, and invariant


def test_dir_agreement_fails_when_two_of_a_kind_are_less_clear() -> None:
    same = Probe(("card", "card card"), ("card", "card"), "card. card card")
    assert not ask("DIR-agreement", same, head())
    dimmer = Head(LABELS, np.diag([-1.5, 1, 1]).astype(np.float32), np.array([3, 0, 0], np.float32))
    assert ask("DIR-agreement", same, dimmer)  # 0.69 for one card, 0.33 for two, 0.10 for three


def test_dir_mixture_fails_when_another_label_does_not_gain() -> None:
    mixed = Probe(("card", "loan"), ("card", "loan"), "card. loan")
    assert not ask("DIR-mixture", mixed, head())
    assert ask("DIR-mixture", mixed, COUNTER)


@pytest.mark.parametrize(
    ("champion_fails", "candidate_fails", "passed"),
    [(0, 3, True), (0, 4, False), (4, 4, True), (9, 5, True), (None, 3, True), (None, 4, False)],
)
def test_what_fails_as_often_with_the_champion_is_forgiven(
    champion_fails: int | None, candidate_fails: int, passed: bool
) -> None:
    """Ten probes, of which three may fail; four more than the champion's are no chance (p = 1/16)."""
    texts = [str(i) for i in range(10)]
    now, before = (
        ContenderAnswers(Contender("1", head(), embed([]), embed), [], texts) for _ in range(2)
    )
    fails = {id(now): candidate_fails, id(before): champion_fails or 0}
    probes = [Probe((t,), ("card",), t) for t in texts]
    family = Family("F", "INV", "", probes, lambda p, a: int(p.text) < fails[id(a)])
    result = family.check(now, None if champion_fails is None else before, max_failed=0.3, max_more=0.3)
    assert (result.passed, result.failed, result.champion_failed) == (
        passed,
        candidate_fails,
        champion_fails,
    )
    assert [e["text"] for e in result.examples] == texts[: min(5, candidate_fails)]


def test_slip_keeps_length_ends_and_letters() -> None:
    for draw in range(30):
        slipped = slip("could you freeze my account", draw)
        assert slipped != "could you freeze my account"
        assert sorted(slipped) == sorted("could you freeze my account")


def test_a_text_that_cannot_be_changed_is_not_asked() -> None:
    short = pd.DataFrame({"input": ["ok", "aaaa", "42"], "target": ["a", "a", "b"]})
    assert changed(short, slip, 9, 0) == []
    assert [p.labels for p in joined(short, same=True, n=9, seed=0)] == [("a", "a")]


# -- memorization -----------------------------------------------------------------------------


def blobs(labels: int = 5, each: int = 6) -> tuple[Array, list[str]]:
    rng = np.random.default_rng(0)
    names = [f"l{i}" for i in range(labels) for _ in range(each)]
    return np.repeat(np.eye(labels, 8), each, axis=0) + 0.05 * rng.normal(
        size=(labels * each, 8)
    ), names


def test_the_real_training_step_memorizes() -> None:
    result = memorizes(*blobs(), seed=0)
    assert (result.rows, result.failed, result.passed, result.kind) == (16, 0, True, "memorization")


def test_a_step_with_slipped_labels_fails() -> None:
    result = memorizes(*blobs(), seed=0, train=lambda x, y: fit_head(x, [*y[5:], *y[:5]]))
    assert not result.passed


def test_a_step_that_learns_nothing_fails_even_if_it_knew_everything() -> None:
    embeddings, labels = blobs()
    champion = fit_head(embeddings, labels)
    result = memorizes(embeddings, labels, seed=0, train=lambda x, y: champion)
    assert (result.failed, result.passed) == (16, False)


def test_memorizing_works_with_less_than_a_handful() -> None:
    embeddings, labels = blobs(labels=2, each=1)
    assert memorizes(embeddings, labels, seed=0).rows == 2


def test_a_memorization_result_counts_in_the_verdict() -> None:
    evaluation = rows(2)
    champion = fit_head(*blobs())
    broken = memorizes(*blobs(), seed=0, train=lambda x, y: champion)
    report = run_tests(model("2", evaluation), model("1", evaluation), evaluation, Testing(), [broken])
    assert not report.passed
    assert report.reasons[0].startswith("memorization: 16 of 16 rows do otherwise")
    assert report.metrics["memorization_failed"] == 1.0


# -- the page and the params ------------------------------------------------------------------


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    evaluation = rows(2, segments=json.dumps({evil: evil}))
    evaluation["input"] = [f"{t} {evil}" for t in evaluation["input"]]
    page = write_report(
        judged(SWAPPED, head(), evaluation), tmp_path / "reports" / "t.html", evil + "\ud800"
    )
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html


def test_the_page_needs_nothing_else_and_is_the_same_every_time(tmp_path: Path) -> None:
    report = judged(SWAPPED, head(), rows(5))
    one, two = (write_report(report, tmp_path / f"{i}.html").read_text() for i in range(2))
    assert one == two
    assert "http" not in one
    assert "the champion stays" in one
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.html", "1.html"]


def test_a_share_is_a_share() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Testing(max_drop=2.0)
