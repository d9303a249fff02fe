"""The bundled stream of calls is what its generator writes, and drifts the way its events say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.calls import DAYS, KNOWN, PER_DAY, START, make_calls, shares
from everloop.sample import bundled

FOLDER = bundled("generation")


@pytest.fixture(scope="module")
def stream() -> pd.DataFrame:
    frame = pd.read_csv(FOLDER / "stream.csv", parse_dates=["timestamp"])
    frame["day"] = (frame["timestamp"] - pd.Timestamp(START)).dt.days
    frame["name"] = [json.loads(answer)["name"] for answer in frame["answer"]]
    return frame


def test_the_bundled_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    make_calls(tmp_path)
    for name in ("train.csv", "eval.csv", "stream.csv", "events.json"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_the_first_model_sees_the_functions_of_the_first_days_alone(stream: pd.DataFrame) -> None:
    for name in ("train", "eval"):
        answers = pd.read_csv(FOLDER / f"{name}.csv")["answer"]
        assert {json.loads(answer)["name"] for answer in answers} == set(KNOWN)
    assert set(stream[stream["day"] < 3]["name"]) == set(KNOWN)
    assert len(stream) == DAYS * PER_DAY


def test_music_comes_at_once_lists_slowly_and_alarms_change_their_name(stream: pd.DataFrame) -> None:
    def days(name: str) -> set[int]:
        return set(stream[stream["name"] == name]["day"])

    assert min(days("music_play")) == 3
    assert min(days("list_add")) >= 5
    assert max(days("alarm_set")) == 5
    assert min(days("alarm_create")) == 6
    assert shares(8)["list_add"] > shares(6)["list_add"]
    late = stream[stream["name"] == "alarm_create"]["answer"].map(json.loads)
    assert all("time" not in call["arguments"] and "at" in call["arguments"] for call in late)


def test_an_argument_is_in_its_text(stream: pd.DataFrame) -> None:
    for text, answer in zip(stream["text"], stream["answer"], strict=True):
        assert all(value in text for value in json.loads(answer)["arguments"].values())


def test_no_text_is_in_two_places() -> None:
    texts = pd.concat([pd.read_csv(FOLDER / f"{n}.csv")["text"] for n in ("train", "eval", "stream")])
    assert texts.is_unique
