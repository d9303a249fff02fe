"""Labels of the first files: what no training row has, and what is no classification."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import DataError
from core.label_set import LabelSet, Operation
from everloop.init import init
from flows.first_labels import check_labels
from tests.command_line import refused

TRAIN, EVAL = Path("train.csv"), Path("eval.csv")
KNOWN = ["transfer"] * 3 + ["balance"] * 2
MERGED = LabelSet((Operation("merge", ("balance",), ("money",)), Operation("add", ("refund",))))


def test_labels_that_training_rows_have_are_no_news() -> None:
    assert check_labels((TRAIN, KNOWN), (EVAL, ["balance", "transfer"]), LabelSet(), None) == ""


def test_an_evaluation_label_that_no_training_row_has_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError) as fault:
        check_labels((TRAIN, KNOWN), (EVAL, ["tranfer", "tranfer", "x", "balance"]), LabelSet(), None)
    assert str(fault.value) == (
        "evaluation labels that no training row has\n"
        "  where:    eval.csv\n"
        "  got:      'tranfer' in 2 rows (did you mean 'transfer'?), 'x' in 1 row\n"
        "  expected: labels of train.csv: balance, transfer\n"
        "  do:       correct them; one that is meant and has no row yet: everloop label set add LABEL"
    )


def test_many_such_labels_are_counted() -> None:
    with pytest.raises(DataError, match=r"'q7' in 1 row, and 2 more labels"):
        check_labels((TRAIN, KNOWN), (EVAL, [f"q{i}" for i in range(10)]), LabelSet(), None)


def test_one_label_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match=r"one label\n.*train.csv\n.*'balance' in 2 rows"):
        check_labels((TRAIN, ["balance"] * 2), (EVAL, ["balance"]), LabelSet(), None)


def test_a_declared_label_may_have_no_row_yet() -> None:
    warning = "eval.csv: no training row has 'refund' in 1 row; such rows count as wrong until one has"
    asked = ["balance", "refund"]
    assert check_labels((TRAIN, KNOWN), (EVAL, asked), MERGED, None) == warning
    closed = ["transfer", "balance", "refund"]
    assert check_labels((TRAIN, KNOWN), (EVAL, asked), LabelSet(), closed) == warning


def test_names_are_read_as_the_label_set_calls_them() -> None:
    assert check_labels((TRAIN, KNOWN), (EVAL, ["money", "balance"]), MERGED, None) == ""
    both = LabelSet((Operation("merge", ("balance", "transfer"), ("money",)),))
    with pytest.raises(DataError, match="one label"):
        check_labels((TRAIN, KNOWN), (EVAL, ["money"]), both, None)


def test_train_and_replay_refuse_before_any_work(tmp_path: Path) -> None:
    init(tmp_path / "w")
    train, evaluation, stream = (tmp_path / f"{n}.csv" for n in ("train", "eval", "stream"))
    train.write_text("text,label\none,transfer\ntwo,balance\n")
    evaluation.write_text("text,label\nthree,tranfer\n")
    stream.write_text("text,label,timestamp\nfour,balance,2026-01-05\n")
    files = ["--eval", evaluation, "-w"]
    assert "did you mean 'transfer'?" in refused("train", train, *files, tmp_path / "w")
    replay = ["replay", stream, "--initial", train, *files, tmp_path / "r"]
    assert "did you mean 'transfer'?" in refused(*replay)
    assert not (tmp_path / "r" / "params.yaml").exists()
    train.write_text("text,label\none,transfer\ntwo,transfer \n")
    assert "nothing can be learnt from one label" in refused("train", train, *files, tmp_path / "w")
