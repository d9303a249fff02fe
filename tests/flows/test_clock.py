"""No command decides at a time that cannot be, and a clock that ran ahead has a way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import ClockError
from core.records.answers import Request
from core.records.labels import Annotation, AnnotationTask
from core.state import CuratedUntil, Retrains
from flows import clock, stages
from flows.curate import curate
from flows.model_stages import test_candidate as judge
from flows.model_stages import train_candidate
from flows.session import Session, open_session
from pipelines.datasets.form import form_dataset
from pipelines.datasets.inputs import read_inputs
from serving.service import Service
from tests.command_line import everloop, refused
from tests.small_loop import correct_one

END = datetime(2026, 1, 7, tzinfo=UTC)  # of the replay; its newest turn
EARLY = "2026-01-06T09:00"
DECIDES: dict[str, tuple[Any, ...]] = {
    "loop": ("loop",),
    "retrain": ("retrain",),
    "promote": ("rollout", "promote"),
    "rollback": ("rollout", "rollback"),
    "pin": ("rollout", "pin"),
    "review": ("label", "review"),
    "adjudicate": ("label", "adjudicate", "x", "y"),
    "import": ("label", "import", "x.csv"),
    "forget": ("data", "forget", "--text", "x", "--yes"),
    "topics": ("topics", "ask", "x"),
}


@pytest.fixture
def session(own: Path) -> Iterator[Session]:
    session = open_session(own)
    yield session
    session.store.close()


def ask(session: Session, when: datetime, count: int = 1) -> None:
    """Traffic at a time."""
    asked = [
        Request(f"{when.isoformat()}-{i}", when - timedelta(seconds=i), f"where is card {i}?", "u")
        for i in range(count)
    ]
    Service(session.store, session.registry.load, 1000).predict(asked)


def oracle(task: AnnotationTask, now: datetime) -> Annotation:
    return Annotation(task.prediction_id, "card_arrival", "ana", now)


def end_rollout(session: Session) -> None:
    if live := session.store.decisions.live_rollout():
        session.store.decisions.put_rollout(replace(live, stage="rolled_back"))


def error(where: Path, got: str) -> str:
    return (
        "error: this workspace knows of a later time already\n"
        f"  where:    {where}\n"
        f"  got:      {got}\n"
        "  expected: 2026-01-06 23:59:00 or later: dataset v0003 is of 2026-01-07 00:00:00\n"
        "  do:       leave --now out, or give a later time; if the later time is the wrong one: "
        "everloop check --set-back\n"
    )


def test_a_turn_before_the_last_one_is_refused(shop: Path) -> None:
    told = refused("loop", "-w", shop, "--now", EARLY)
    assert told == error(shop, "2026-01-06 09:00:00, by --now")


@pytest.mark.parametrize("name", DECIDES)
def test_nothing_decides_at_a_time_before_what_is_known(shop: Path, name: str) -> None:
    told = refused(*DECIDES[name], "-w", shop, "--now", EARLY)
    assert told.startswith("error: this workspace knows of a later time already\n")


@pytest.mark.parametrize("name", [*DECIDES, "predict"])
def test_nothing_decides_at_a_time_that_is_still_to_come(shop: Path, name: str, tmp_path: Path) -> None:
    """One such turn would make every later one a turn of the past."""
    command = DECIDES.get(name, ("predict", "in.csv", tmp_path / "out.csv"))
    told = refused(*command, "-w", shop, "--now", "2099-01-01")
    assert told.startswith("error: this time is still to come\n  where:    --now\n  got:      2099")


def test_a_first_model_is_not_of_a_time_to_come(empty: Path) -> None:
    told = refused("train", "a.csv", "--eval", "b.csv", "-w", empty, "--now", "2099-01-01")
    assert told.startswith("error: this time is still to come\n")


@pytest.mark.parametrize("flow", ["monitor", "retrain", "rollout", "loop"])
def test_flows_have_the_same_clock(shop: Path, flow: str) -> None:
    from flows.deployed import FLOWS

    with pytest.raises(ClockError, match="knows of a later time already"):
        FLOWS[flow].fn(str(shop), now=datetime(2026, 1, 6, tzinfo=UTC))


def test_commands_that_only_look_may_look_at_the_past(shop: Path) -> None:
    for command in (
        ("monitor",),
        ("alerts",),
        ("signals",),
        ("rollout", "status"),
        ("label", "status"),
    ):
        ran = everloop(*command, "-w", shop, "--now", EARLY)
        assert (ran.code, ran.err) == (0, "")


def test_a_machine_whose_clock_went_back_is_told(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Back(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 1, 1, tzinfo=tz)

    monkeypatch.setattr(clock, "datetime", Back)
    with pytest.raises(
        ClockError, match=r"by the clock of this machine(?s:.*)set this machine's clock"
    ):
        clock.acting(session, None)


def test_clocks_of_two_machines_may_differ_a_little(session: Session) -> None:
    for when in (END, END - timedelta(seconds=59), END + timedelta(days=9)):
        assert clock.acting(session, when) == when
    with pytest.raises(ClockError, match="later time already"):
        clock.acting(session, END - timedelta(seconds=61))


def test_traffic_goes_on_while_a_turn_is_under_way(session: Session) -> None:
    later = END + timedelta(hours=9)
    ask(session, later)
    assert clock.acting(session, later - timedelta(minutes=59)) == later - timedelta(minutes=59)
    with pytest.raises(ClockError, match=r"07:59:59(?s:.*)08:00:00 or later: an answer is of"):
        clock.acting(session, later - timedelta(hours=1, seconds=1))
    assert clock.acting(session, END) == END  # that turn was begun, and may be run again


def test_a_workspace_that_lives_ahead_goes_on_for_a_day(session: Session) -> None:
    session.store.state.write(CuratedUntil(datetime(2099, 1, 5, tzinfo=UTC)))
    ahead = datetime(2099, 1, 6, tzinfo=UTC)
    assert clock.acting(session, ahead) == ahead
    with pytest.raises(ClockError, match=r"still to come(?s:.*)2099-01-06 00:00 at most"):
        clock.acting(session, ahead + timedelta(hours=1))


def test_a_clock_that_ran_ahead_is_set_back(session: Session) -> None:
    """A whole turn of 2099, with traffic, tasks and a dataset; then the turns of today go on."""
    end_rollout(session)
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    ask(session, ahead - timedelta(hours=1), 12)
    correct_one(session, ahead)
    stages.loop(session, ahead, lambda tasks, now: [oracle(t, now) for t in tasks])
    stages.retrain(session, ahead + timedelta(seconds=1), "ahead")
    done = session.store.state.read(Retrains).done
    here = ("-w", session.workspace.root)
    assert "later time already" in refused("loop", *here)

    shown = everloop("check", *here, "--clock").out
    assert "an answer      2098-12-31 23:00:00  later than now\n" in shown
    ran = everloop("check", *here, "--set-back")
    assert (ran.code, ran.err) == (0, "")
    assert "(the latest said 2099-01-01 00:00)" in ran.out
    assert "later than now" not in ran.out
    assert session.store.answers.count(ahead - timedelta(days=9), ahead) == 0
    assert [d.verdict for d in session.store.decisions.read("clock")] == ["set back"]
    end_rollout(session)
    again = everloop("loop", *here)
    assert (again.code, again.err) == (0, "")
    end_rollout(session)
    correct_one(session, datetime.now(UTC), 1)
    made = stages.retrain(session, clock.acting(session, None), "of today")
    assert made["dataset"] == f"v{done + 1:04d}"
    nothing = everloop("check", *here, "--set-back").out
    assert ": nothing was later\n" in nothing


def test_first_rows_and_evaluation_rows_were_there_whatever_their_clock_said(session: Session) -> None:
    place = session.workspace
    before = form_dataset(place, session.strategy.datasets)["rows"]
    inputs = replace(read_inputs(place), as_of=datetime(2025, 1, 1, tzinfo=UTC))
    place.version_file.write_text(inputs.to_json())
    after = form_dataset(place, session.strategy.datasets)["rows"]
    assert (after["eval"], after["audit"]) == (before["eval"], before["audit"])
    assert after["train"] >= 60 - before["eval"]


def test_a_candidate_without_evaluation_rows_is_no_traceback(session: Session, tmp_path: Path) -> None:
    from pipelines.datasets import contents

    honest = contents.Manifest.rows

    def only_train(self: Any, locate: Any, sets: Any = (), columns: Any = None) -> Any:
        found = honest(self, locate, sets, columns)
        return found[found["set"] == "train"] if "set" in found else found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents.Manifest, "rows", only_train)
        train_candidate(session)
        report = judge(session, ("4", "2"), tmp_path / "page.html")
    assert not report.passed


def test_a_gap_earns_labels_of_the_days_that_had_requests(session: Session) -> None:
    """The loop turned once, long ago; then a day of traffic came."""
    later = END + timedelta(days=40)
    ask(session, later - timedelta(minutes=9), 150)
    curate(session, later)
    picked = session.store.decisions.read("curation")[-1].evidence.stored()
    assert picked["requests"] == 150
    rate = session.strategy.curation.labels_per_day
    assert picked["budget"] <= 2 * rate
