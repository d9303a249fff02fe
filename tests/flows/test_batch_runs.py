"""`everloop predict` and the flow `batch-predict` as people run them, killed and run again."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from core.readers import about_rows
from core.store import Store
from everloop.replay import run
from everloop.sample import bundled
from flows.batch_predict import scheduled_job
from flows.session import Session
from flows.strategy import BatchPredict
from serving.batch import Job
from tests.command_line import everloop, refused
from tests.flows.test_flows import prefect
from tests.flows.test_kill import finish, start
from tests.small_loop import job, make_session

DAY = "2026-01-06"
SPEED = re.compile(r"\d+\.\d s, \d+ texts/s")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A workspace with a model and nothing else."""
    session = make_session(tmp_path_factory.mktemp("batch") / "shop")
    run(session, job(days=1, each_day=5, frozen=True))
    session.store.close()
    return session


@pytest.fixture
def shop(made: Session, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.workspace.root, tmp_path / "shop", symlinks=True))


def tickets(path: Path, rows: int = 6) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = pd.read_csv(bundled() / "stream.csv", dtype=str)["text"].head(rows)
    pd.DataFrame({"ticket": texts.index, "text": texts}).to_csv(path, index=False)
    return path


def test_a_file_of_which_no_row_is_answered_is_an_error(shop: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(b"text,n\ncaf\xe9,1\n,2\n")
    for _ in range(2):  # also when it is done already
        ran = everloop("predict", source, out, "-w", shop, "--now", DAY)
        assert (ran.code, ran.err.splitlines()[1:]) == (
            2,
            [
                "error: not one row of this file could be answered",
                f"  where:    {source}",
                "  got:      2 rows, all refused",
                "  expected: at least one text",
                f"  do:       see the reasons in {shop}/.everloop/quarantine/predict-out.csv",
            ],
        )


def test_a_file_is_answered_and_the_command_says_so(shop: Path, tmp_path: Path) -> None:
    source, out = tickets(tmp_path / "in.csv"), tmp_path / "out.csv"
    ran = everloop("predict", source, out, "-w", shop, "--now", DAY)
    assert (ran.code, ran.err) == (0, "")
    assert SPEED.sub("TIME", ran.out) == f"{out}: 6 rows, 0 refused, TIME\n"
    assert list(pd.read_csv(out)) == [
        *("ticket", "text", "label", "score", "model_version", "variant", "prediction_id")
    ]
    again = everloop("predict", source, out, "-w", shop)
    assert (again.out, again.err) == (f"{out}: 6 rows, 0 refused, done already\n", "")


def test_refused_rows_are_told_with_where_to_look(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("words\nhello\n \n")
    out = tmp_path / "out.jsonl"
    ran = everloop("predict", tmp_path / "in.csv", out, "-w", shop, "--text-column", "words")
    page = shop / ".everloop" / "quarantine" / "predict-out.csv"
    assert ran.err == f"warning: in.csv: 1 row refused; the reasons are in {page}\n"
    assert SPEED.sub("TIME", ran.out) == f"{out}: 1 rows, 1 refused, TIME\n"
    assert page.read_text() == "row,reason,value\n3,an empty text, \n"


def test_what_cannot_be_read_is_an_error(shop: Path, tmp_path: Path) -> None:
    tickets(tmp_path / "in.csv")
    assert refused("predict", tmp_path / "on.csv", tmp_path / "out.csv", "-w", shop) == (
        "error: no such file\n"
        f"  where:    {tmp_path}/on.csv\n"
        f"  do:       did you mean {tmp_path}/in.csv?\n"
    )
    assert refused("predict", tmp_path / "in.csv", tmp_path / "out", "-w", shop) == (
        "error: this kind of file cannot be written\n"
        f"  where:    {tmp_path}/out\n"
        "  got:      a name without a suffix\n"
        "  expected: .csv, .jsonl, .ndjson, .parquet\n"
    )


def test_rows_are_counted_for_the_bar(tmp_path: Path) -> None:
    source = tickets(tmp_path / "in.csv")
    pd.read_csv(source).to_parquet(tmp_path / "in.parquet")
    assert (about_rows(source), about_rows(tmp_path / "in.parquet")) == (7, 6)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_one_that_was_not(made: Session, tmp_path: Path) -> None:
    source = tickets(tmp_path / "in.csv", rows=3000)
    places = [tmp_path / n / "shop" for n in ("calm", "killed")]
    for place in places:
        shutil.copytree(made.workspace.root, place, symlinks=True)
    calm, killed = (place.parent / "out.csv" for place in places)
    finish(start("predict", source, calm, "-w", places[0], "--now", DAY))

    parts = killed.with_name("out.csv.parts")
    moments: list[Callable[[], bool]] = [
        parts.exists,
        lambda: len([*parts.glob("*.jsonl")]) >= 1,
        lambda: len([*parts.glob("*.jsonl")]) >= 3,
        (parts / "joined").exists,
    ]
    chance = random.Random(0)
    for moment in moments:
        process = start("predict", source, killed, "-w", places[1], "--now", DAY)
        while process.poll() is None and not moment():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05))  # anywhere after it
        process.kill()
        process.communicate()
    finish(start("predict", source, killed, "-w", places[1], "--now", DAY))

    assert killed.read_bytes() == calm.read_bytes()
    stores = [Store(f"sqlite:///{place}/.everloop/store.db") for place in places]
    assert len({s.answers.count() for s in stores}) == 1
    assert len({s.state.counters()["encoder_passes.serving"] for s in stores}) == 1
    assert not parts.exists()


def test_the_file_of_an_hour(made: Session) -> None:
    place, strategy = made.workspace.root, made.strategy
    batch = BatchPredict(input="in/{date}T{hour}.csv", output="/out/{date}/{hour}.csv", hours=1)
    schedule = strategy.schedule.model_copy(update={"batch": batch})
    session = replace(made, strategy=strategy.model_copy(update={"schedule": schedule}))
    found = scheduled_job(session, datetime(2026, 1, 6, 3, 59, tzinfo=UTC))
    assert found == Job(place / "in/2026-01-06T03.csv", Path("/out/2026-01-06/03.csv"))


@pytest.mark.slow
def test_the_flow_answers_the_file_of_the_day(shop: Path) -> None:
    params = yaml.safe_load((shop / "params.yaml").read_text())
    params["schedule"]["batch"] = {"input": "inbox/{date}.csv", "output": "answers/{date}.parquet"}
    (shop / "params.yaml").write_text(yaml.safe_dump(params))
    tickets(shop / "inbox" / f"{DAY}.csv")
    now = datetime(2026, 1, 6, 3, tzinfo=UTC)
    with prefect():
        from flows.deployed import FLOWS

        first, retry = (FLOWS["batch-predict"](workspace=str(shop), now=now) for _ in range(2))
    assert first == retry == {"rows": 6, "refused": 0}
    assert len(pd.read_parquet(shop / "answers" / f"{DAY}.parquet")) == 6
