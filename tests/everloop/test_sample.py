"""The bundled stream is what its generator writes, and drifts the way its events say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.sample import EVENTS, KNOWN, make_sample, shares
from core.tables import Columns, read_rows
from everloop.sample import bundled, copy_sample

FILES = ["train.csv", "eval.csv", "stream.csv", "events.json"]


@pytest.fixture(scope="module")
def stream() -> pd.DataFrame:
    frame = pd.read_csv(bundled() / "stream.csv", parse_dates=["timestamp"])
    frame["day"] = (frame["timestamp"] - pd.Timestamp("2026-01-05")).dt.days
    return frame


def share(stream: pd.DataFrame, intents: list[str], start: int, end: int) -> float:
    rows = stream[stream["day"].between(start, end - 1)]
    return float(rows["label"].isin(intents).mean())


def test_the_bundled_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    make_sample(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (bundled() / name).read_bytes(), name


def test_a_copy_is_the_bundled_files(tmp_path: Path) -> None:
    copy_sample(tmp_path / "shop")
    assert {p.name for p in (tmp_path / "shop").iterdir()} == set(FILES)


def test_another_seed_writes_another_stream_of_the_same_size(tmp_path: Path) -> None:
    make_sample(tmp_path, seed=8)
    other = pd.read_csv(tmp_path / "stream.csv")
    assert len(other) == 3000
    assert (tmp_path / "stream.csv").read_bytes() != (bundled() / "stream.csv").read_bytes()


@pytest.mark.parametrize(
    ("name", "time", "rows"),
    [("train.csv", None, 240), ("eval.csv", None, 102), ("stream.csv", "timestamp", 3000)],
)
def test_every_row_is_taken(name: str, time: str | None, rows: int) -> None:
    taken = read_rows(bundled() / name, Columns(label="label", time=time))
    assert (len(taken.frame), taken.refused) == (rows, [])
    assert set(taken.frame["segments"].map(tuple)) == {("topic",)}


def test_no_text_is_in_two_places() -> None:
    texts = pd.concat(
        [pd.read_csv(bundled() / f"{n}.csv")["text"] for n in ("train", "eval", "stream")]
    )
    assert texts.str.lower().is_unique


def test_twelve_intents_in_four_topics_of_which_the_first_model_knows_six(stream: pd.DataFrame) -> None:
    assert stream["label"].nunique() == 12
    assert sorted(stream["topic"].unique()) == ["account", "orders", "payments", "returns"]
    for name in ("train", "eval"):
        assert set(pd.read_csv(bundled() / f"{name}.csv")["label"]) == set(KNOWN)


def test_the_instantaneous_drift_is_there_from_its_day_on(stream: pd.DataFrame) -> None:
    intents = EVENTS[0]["intents"]
    assert share(stream, intents, 0, 8) == 0
    assert share(stream, intents, 8, 30) == pytest.approx(0.20, abs=0.03)


def test_the_gradual_drift_grows(stream: pd.DataFrame) -> None:
    intents = EVENTS[1]["intents"]
    assert share(stream, intents, 0, 13) == 0
    assert 0.02 < share(stream, intents, 13, 16) < share(stream, intents, 17, 20) < 0.20
    assert share(stream, intents, 20, 30) == pytest.approx(0.20, abs=0.03)


def test_the_periodic_drift_comes_on_weekends_only(stream: pd.DataFrame) -> None:
    weekend = stream["timestamp"].dt.dayofweek >= 5
    pickups = stream["label"].isin(EVENTS[2]["intents"])
    assert not pickups[~weekend].any()
    assert pickups[weekend].mean() == pytest.approx(0.22, abs=0.03)


def test_the_temporary_drift_goes_again(stream: pd.DataFrame) -> None:
    intents = EVENTS[3]["intents"]
    assert share(stream, intents, 0, 22) == share(stream, intents, 25, 30) == 0
    assert share(stream, intents, 22, 25) == pytest.approx(0.30, abs=0.05)


def test_the_shares_of_a_day_are_whole() -> None:
    assert [round(sum(shares(day).values()), 4) for day in range(30)] == [1.0] * 30


def test_the_events_file_says_the_schedule() -> None:
    events = json.loads((bundled() / "events.json").read_text(encoding="utf-8"))
    assert (events["start"], events["days"]) == ("2026-01-05", 30)
    assert [e["type"] for e in events["events"]] == [
        "instantaneous",
        "gradual",
        "periodic",
        "temporary",
    ]


def test_the_first_requests_read_so(stream: pd.DataFrame) -> None:
    assert (bundled() / "stream.csv").read_text(encoding="utf-8").splitlines()[0] == (
        "request_id,timestamp,user_id,text,label,topic"
    )
    assert stream["timestamp"].is_monotonic_increasing
    assert stream["request_id"].is_unique
