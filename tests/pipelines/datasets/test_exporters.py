"""Rows of a dataset version in the forms of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.datasets.exporters.exporter import exporter

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Zoë?"}]
ROWS = pd.DataFrame(
    [
        ("r1", "pay my card", '{"name":  "pay"}\n', "demonstration", "train"),
        ("r2", json.dumps(CHAT), "Here.", "demonstration", "eval"),
        ("r3", '[{"quoted', "refund", "label", "train"),
    ],
    columns=["row_id", "input", "target", "kind", "set"],
)


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    exporter("chat").write(ROWS, tmp_path / "chat.jsonl")
    return tmp_path / "chat.jsonl"


def test_chats_end_with_the_right_answer(chats: Path) -> None:
    lines = [json.loads(line) for line in chats.read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {
            "messages": [
                {"role": "user", "content": "pay my card"},
                {"role": "assistant", "content": '{"name":  "pay"}\n'},
            ],
            "id": "r1",
            "set": "train",
        },
        {
            "messages": [*CHAT, {"role": "assistant", "content": "Here."}],
            "id": "r2",
            "set": "eval",
        },
        {
            "messages": [
                {"role": "user", "content": '[{"quoted'},
                {"role": "assistant", "content": "refund"},
            ],
            "id": "r3",
            "set": "train",
        },
    ]


def test_pairs_are_prompt_chosen_and_rejected(tmp_path: Path) -> None:
    pairs = pd.DataFrame(
        [("f1", json.dumps(CHAT), "Here.", "I'm sorry."), ("f2", "pay", "{}", "no")],
        columns=["id", "input", "chosen", "rejected"],
    )
    exporter("preferences").write(pairs, tmp_path / "pairs.jsonl")
    first, second = map(json.loads, (tmp_path / "pairs.jsonl").read_text().splitlines())
    assert first == {
        "prompt": CHAT,
        "chosen": [{"role": "assistant", "content": "Here."}],
        "rejected": [{"role": "assistant", "content": "I'm sorry."}],
        "id": "f1",
    }
    assert second["prompt"] == [{"role": "user", "content": "pay"}]
