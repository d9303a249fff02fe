"""A promotion is undone at once, for good, and every time a person says so; a pin holds a version."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import RolloutError
from core.records.rollouts import Rollout
from core.state import Champion, RetrainPlan, Retrains, RollbackBegun
from flows import stages, undo
from flows.session import Session, open_session
from flows.undo import Requester
from pipelines.datasets.inputs import fingerprint
from serving.service import Service
from tests import ROOT
from tests.command_line import everloop, refused
from tests.flows.test_loop import Killed, killed_at
from tests.serving.real_server import wait_until
from tests.small_loop import correct_one

START = datetime(2026, 1, 7, tzinfo=UTC)
ANA = Requester("ana", "complaints")


def hour(n: int) -> datetime:
    return START + timedelta(hours=n)


@pytest.fixture
def shop(own: Path) -> Iterator[Session]:
    """Version 1 was replaced by 2; 3 is in the shadow against it."""
    session = open_session(own)
    yield session
    session.store.close()


@pytest.fixture
def promoted(shop: Session) -> Session:
    """And then 2 by 3."""
    stages.promote_now(shop, hour(1), Requester("ana"))
    return shop


def at(n: int) -> tuple[str, ...]:
    return "--by", "ana", "--now", hour(n).isoformat()


def test_a_rollback_brings_the_version_before_back(promoted: Session) -> None:
    here = ("-w", promoted.workspace.root)
    ran = everloop("rollout", "rollback", *here, *at(9), "--why", "complaints")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == ("version 3 -> rollback to version 2: by ana: complaints\nchampion: version 2\n")
    assert promoted.registry.version("champion") == "2"
    shown = everloop("rollout", "status", *here).out.splitlines()
    assert shown[:4] == [
        "champion: version 2",
        "under way: nothing",
        "version 3 was rolled back on 2026-01-07 09:00 by ana: complaints",
        "",
    ]
    assert shown[5].startswith("2026-01-07 00:00  2     3   promoted")
    stored = promoted.store.decisions.read("rollout")[-1]
    assert (stored.verdict, stored.timestamp, stored.severity) == ("rollback", hour(9), "warning")
    assert stored.evidence.stored() == {"from": "3", "to": "2", "by": "ana", "why": "complaints"}


def test_a_rollback_that_is_asked_twice_takes_one_step(promoted: Session) -> None:
    here = ("rollout", "rollback", "-w", promoted.workspace.root)
    assert everloop(*here, *at(9)).code == 0
    assert refused(*here, *at(10)) == (
        "error: the last rollback is done already\n"
        "  where:    version 2 serves\n"
        "  got:      2026-01-07 09:00, version 3 -> rollback to version 2: by ana\n"
        "  expected: a promotion since then\n"
        "  do:       everloop rollout rollback --to 1 | 3\n"
    )
    assert everloop(*here, *at(10), "--to", "1").out == (
        "version 2 -> rollback to version 1: by ana\nchampion: version 1\n"
    )
    assert undo.undone(promoted) == [
        "version 2 was rolled back on 2026-01-07 10:00 by ana",
        "version 3 was rolled back on 2026-01-07 09:00 by ana",
    ]
    everloop(*here, *at(11), "--to", "3")  # a person may take it back
    assert promoted.store.state.champion() == "3"
    assert undo.barred(promoted, "3") == ""


def test_a_rollout_that_was_ended_by_hand_is_not_taken_for_more(shop: Session) -> None:
    """The same command twice: the second does not undo the promotion of before."""
    here = ("rollout", "rollback", "-w", shop.workspace.root)
    assert everloop(*here, *at(1), "--why", "slow").out == (
        "shadow -> rollback: by hand, ana: slow\nchampion: version 2\n"
    )
    assert "the last rollback is done already" in refused(*here, *at(1))
    assert shop.store.state.champion() == "2"


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("3", "error: version 3 serves already\n  do:       everloop rollout status\n"),
        ("9", "error: no such model version\n"),
        ("x", "error: no such model version\n"),
    ],
)
def test_a_version_that_cannot_be_meant(promoted: Session, to: str, said: str) -> None:
    ran = refused("rollout", "rollback", "-w", promoted.workspace.root, "--to", to, *at(2))
    assert ran.startswith(said)
    assert (promoted.store.state.champion(), undo.undone(promoted)) == ("3", [])


def test_a_candidate_that_never_served_is_no_version_to_go_back_to(shop: Session) -> None:
    assert refused("rollout", "rollback", "-w", shop.workspace.root, "--to", "3", *at(2)) == (
        "error: this version never served everybody\n"
        "  got:      version 3\n"
        "  expected: 1\n"
        "  do:       everloop rollout status\n"
    )
    assert shop.store.decisions.live_rollout() is not None


def test_the_first_model_has_nothing_before_it(shop: Session) -> None:
    stages.roll_back_now(shop, hour(1), ANA, "1")
    shop.store.state.write(Champion("1"))
    for d in shop.store.decisions.read("rollout"):
        assert d.evidence.stored().get("to", "1") == "1"
    with pytest.raises(RolloutError, match="the last rollback is done already"):
        stages.roll_back_now(shop, hour(2), ANA)


def test_an_alias_that_was_moved_is_undone_too(shop: Session) -> None:
    """The candidate became champion in the registry, and the loop has not looked since."""
    shop.registry.point("champion", "3")
    service = Service(shop.store, shop.registry.load, 1000)
    service.switch.turn(hour(1))
    assert service.switch.adopt("3", hour(1))
    stages.roll_back_now(shop, hour(2), ANA)
    assert (shop.store.state.champion(), shop.registry.version("champion")) == ("2", "2")
    assert shop.store.decisions.live_rollout() is None


def test_what_was_rolled_back_is_not_promoted_again(promoted: Session) -> None:
    """Not by a plan that is finished, and not by a rollout whose candidate it is."""
    (rollout,) = promoted.store.decisions.rollouts("3")
    stages.roll_back_now(promoted, hour(2), ANA)
    again = Rollout("3-again", "3", "2", "canary", 0.5, hour(3), hour(3))
    promoted.store.decisions.put_rollout(again)
    assert stages.roll_out(promoted, hour(4)) == "no rollout to step"
    (ended, _) = promoted.store.decisions.rollouts("3")
    assert (ended.stage, ended.reason) == (
        "rolled_back",
        "canary 50 % -> rollback: by hand, version 3 was rolled back on 2026-01-07 02:00 by ana: "
        "complaints",
    )
    assert promoted.store.state.champion() == "2"

    progress = promoted.store.state.read(Retrains)
    plan = RetrainPlan("v0003", START, "killed", "2")
    with promoted.store.database.write() as db:  # it was killed before the last step was noted
        db.exec_driver_sql("DELETE FROM steps WHERE key = 'rollout/v0003'")
    promoted.store.state.write(replace(progress, done=2, plan=plan))
    result = stages.retrain(promoted, hour(5), "again")
    assert (result["candidate"], result["passed"]) == ("3", True)
    assert promoted.store.decisions.live_rollout() is None
    assert rollout in promoted.store.decisions.rollouts("3")


def test_a_pin_holds_the_champion_and_unpin_lets_the_rollout_go_on(shop: Session) -> None:
    here = ("-w", shop.workspace.root)
    ran = everloop("rollout", "pin", *here, *at(1), "--why", "audit")
    assert ran.out == "version 2 -> pin: by ana: audit\nchampion: version 2\n"
    assert everloop("rollout", "status", *here, *at(1)[2:]).out.startswith(
        "champion: version 2\nunder way: version 3, shadow, waits\nversion 2 is pinned by ana: audit\n"
    )
    service = Service(shop.store, shop.registry.load, 1000)
    assert service.switch.turn(hour(1)).rollout is None
    assert not service.switch.adopt("3", hour(1))

    turn = everloop("loop", *here, "--now", hour(24).isoformat())
    assert turn.code == 0, turn.err
    assert "rollout: wait: shadow -> wait: version 2 is pinned by ana: audit\n" in turn.out
    assert "triggers: wait: version 2 is pinned by ana: audit\n" in turn.out
    assert everloop("retrain", *here, "--now", hour(25).isoformat()).out == (
        "triggers: wait: version 2 is pinned by ana: audit\n"
    )
    for verb in ("promote", "rollback"):
        more = ("--to", "1") if verb == "rollback" else ()
        assert "while a version is pinned" in refused("rollout", verb, *more, *here, *at(25))
    assert len(shop.registry.versions()) == 3

    assert everloop("rollout", "unpin", *here, *at(26)).out == (
        "version 2 -> unpin: by ana\nchampion: version 2\n"
    )
    live = shop.store.decisions.live_rollout()
    assert live is not None
    assert (live.candidate, live.stage_started) == ("3", hour(26))
    assert refused("rollout", "unpin", *here) == (
        "error: no version is pinned\n  do:       everloop rollout status\n"
    )


def test_only_the_version_that_serves_is_pinned(shop: Session) -> None:
    here = ("rollout", "pin", "-w", shop.workspace.root)
    assert everloop(*here[:2], "2", *here[2:], *at(1)).code == 0
    assert refused(*here[:2], "1", *here[2:], *at(1)) == (
        "error: only the version that serves can be pinned\n"
        "  got:      version 1\n"
        "  expected: version 2\n"
        "  do:       everloop rollout rollback --to 1, then: everloop rollout pin 1\n"
    )
    assert refused(*here[:2], "7", *here[2:], *at(1)) == (
        "error: only the version that serves can be pinned\n"
        "  got:      version 7\n"
        "  expected: version 2\n"
        "  do:       everloop rollout status; without a number, pin holds the version that serves\n"
    )


def test_a_rollback_that_is_killed_is_finished_once(promoted: Session) -> None:
    for write in range(1, 9):
        before = promoted.store.state.champion()
        to = "2" if before == "3" else "3"
        try:
            with killed_at(promoted.store, write):
                stages.roll_back_now(promoted, hour(write), ANA, to)
        except Killed:
            with suppress(RolloutError):  # it was done, and its last word lost
                stages.roll_back_now(promoted, hour(write), ANA, to)
            assert promoted.store.state.read(RollbackBegun).decision is None
        else:
            break
        assert promoted.store.state.champion() == promoted.registry.version("champion") == to
        assert undo.barred(promoted, before)
        undos = [d for d in promoted.store.decisions.read("rollout") if "to" in d.evidence.stored()]
        assert len(undos) == write
    assert write > 3


def test_a_rollback_that_is_killed_between_registry_and_store(
    promoted: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = promoted.registry.point

    def dying(alias: str, version: str) -> None:
        honest(alias, version)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(promoted.registry, "point", dying)
        with pytest.raises(Killed):
            stages.roll_back_now(promoted, hour(2), ANA)
    assert (promoted.store.state.champion(), promoted.registry.version("champion")) == ("3", "2")
    assert stages.roll_back_now(promoted, hour(3), ANA).timestamp == hour(2)
    assert promoted.store.state.champion() == promoted.registry.version("champion") == "2"


def test_a_turn_finishes_a_rollback_that_was_killed(promoted: Session) -> None:
    with pytest.raises(Killed), killed_at(promoted.store, 1):
        stages.roll_back_now(promoted, hour(2), ANA)
    assert promoted.store.state.champion() == "3"
    assert stages.roll_out(promoted, hour(3)) == "no rollout to step"
    assert promoted.store.state.champion() == promoted.registry.version("champion") == "2"


def test_the_next_candidate_starts_from_what_serves_now(promoted: Session) -> None:
    stages.roll_back_now(promoted, hour(2), ANA)
    correct_one(promoted, hour(2))
    result = stages.retrain(promoted, hour(3), "a correction")
    assert (result["dataset"], result["candidate"]) == ("v0004", "4")
    (rollout,) = promoted.store.decisions.rollouts("4")
    assert (rollout.champion, rollout.stage) == ("2", "shadow")
    assert fingerprint(promoted.workspace.champion) == fingerprint(promoted.registry.path("2"))


def test_without_a_new_label_nothing_is_trained(shop: Session) -> None:
    here = ("-w", shop.workspace.root)
    live = shop.store.decisions.live_rollout()
    first = everloop("retrain", *here, "--now", hour(1).isoformat())
    assert (first.code, first.out) == (
        0,
        "triggers: wait: a rollout is under way: version 3, shadow\n",
    )
    assert shop.store.decisions.live_rollout() == live
    stages.roll_back_now(shop, hour(2), ANA)
    shop.store.labels.claim("elsewhere", hour(3))  # no label is new
    again = everloop("retrain", *here, "--now", hour(3).isoformat())
    assert (again.code, again.out) == (0, "triggers: wait: no new label to learn from\n")
    assert len(shop.registry.versions()) == 3
    assert shop.store.state.read(Retrains).plan is None


@pytest.mark.slow
def test_a_server_follows_within_a_second(promoted: Session) -> None:
    command = [sys.executable, "-m", "everloop", "serve", "--port", "0", "-w", promoted.workspace.root]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split(",")[0].removeprefix("serving on ")
        try:
            wait_until(lambda: answered_by(url) == "3", 120)
            ran = everloop("rollout", "rollback", "-w", promoted.workspace.root, "--by", "ana")
            done = time.monotonic()
            assert ran.code == 0
            wait_until(lambda: answered_by(url) == "2", 60)
            took = time.monotonic() - done
        finally:
            server.terminate()
    assert took < 5  # a second on an idle machine


def answered_by(url: str) -> str:
    body = json.dumps({"text": "where is my card"}).encode()
    request = urllib.request.Request(f"{url}/v1/predict", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["predictions"][0]["model_version"])
    except urllib.error.HTTPError:
        return "none yet"
