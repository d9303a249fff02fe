"""The command line is an interface: what it prints is compared whole."""

from __future__ import annotations

import csv
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from core.records.labels import AnnotationTask
from core.records.rollouts import Rollout
from core.state import Champion
from core.store import Store
from everloop.commands import app
from everloop.init import init
from flows.session import open_session
from tests.command_line import everloop, refused
from tests.small_loop import correct_one

END = datetime(2026, 1, 7, tzinfo=UTC)  # the shop's loop has turned twice
NUMBER = re.compile(r"\d+\.\d+")  # what a machine's rounding may change


def store(place: Path) -> Store:
    return Store(f"sqlite:///{place / '.everloop' / 'store.db'}")


def commands(command: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        if not hasattr(child, "commands"):
            yield (*at, name), child
        yield from commands(child, (*at, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


# -- help ---------------------------------------------------------------------------------------


def test_the_version() -> None:
    ran = everloop("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"everloop {version('everloop')}\n", "")


def test_the_help_of_the_top() -> None:
    ran = everloop("--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == everloop().err == TOP


TOP = """\
Usage: everloop [OPTIONS] COMMAND [ARGS]...

  Keep a deployed language model from going stale.

  Example: everloop demo

Options:
  --version  Say which version this is.
  --help     Show this message and exit.

Commands:
  init        Make a workspace: git, DVC, params.yaml and dvc.yaml.
  check       Validate params.yaml and report all faults together.
  train       Train the first model of a workspace; it is the champion.
  serve       Serve the champion over HTTP.
  predict     Answer every row of a file.
  demo        The whole loop on a bundled sample stream.
  replay      Drive every stage over a stream of the past.
  monitor     Is all well? The newest window's signals and alerts.
  alerts      Alerts: open ones, those lately over, and how many a week.
  signals     The history of a signal, or what signals there are.
  loop        One turn: rollout, monitor, pick labels, retrain if due.
  retrain     Make a dataset version, train, test, and start a rollout.
  schedule    Run the loop as Prefect flows, on the schedule of params.yaml.
  runtimes    Measure the champion on every runtime, and say which to take.
  data        Dataset versions: list, compare, check, keep and bring back.
  collection  Make and list collections of hard examples.
  label       Send tasks out for labels and take annotations in.
  feedback    Take in what users say of answers.
  rollout     Look at a rollout, promote it, or undo it.
  keys        Make, list and revoke API keys.
  topics      List new topics, and send their rows for labels.
"""


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_a_worked_example(path: tuple[str, ...], monkeypatch: Any) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    ran = everloop(*path, "--help")
    [example] = [x.strip() for x in ran.out.splitlines() if x.startswith("  Example: everloop ")]
    words = shlex.split(example.removeprefix("Example: everloop "))
    assert tuple(words[: len(path)]) == path
    with COMMANDS[path].make_context("everloop", words[len(path) :]):
        pass  # its options are there, and take these values
    cut = [line for line in ran.out.splitlines() if "..." in line]  # lists of values end in dots
    assert all("]..." in line or "}..." in line or "... <list[str]>" in line for line in cut)


def test_help_is_instant() -> None:
    """No command line pays for a library that it does not use."""
    script = "import sys, everloop.__main__, everloop.commands; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {
        "torch", "transformers", "mlflow", "prefect", "evidently", "great_expectations", "sklearn", "dvc",
        "pandas", "numpy", "sqlalchemy", "pyarrow", "pydantic", "fastapi", "uvicorn", "matplotlib", "yaml",
    }  # fmt: skip
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["bogus"], "Error: No such command 'bogus'."),
        (["flow", "loop"], "Error: 'flow' is gone; now: everloop schedule --once NAME"),
        (["data", "log"], "Error: 'log' is gone; now: everloop data list VERSION"),
        (["check", "--bogus"], "Error: No such option: --bogus"),
        (["init"], "Error: Missing argument 'directory'."),
        (["replay", "a.csv"], "Error: Missing option '--initial'."),
        (["data", "show"], "Error: 'show' is gone; now: everloop data list VERSION --rows"),
        (["clock"], "Error: 'clock' is gone; now: everloop check --clock, or --set-back"),
        (["data", "list", "--rows"], "Error: Invalid value for '--rows': say which version, as v0003"),
        (["data", "diff", "v1"], "Error: Missing argument 'b'."),
        (
            ["stage", "all"],
            "Error: Invalid value for 'name': Value error, 'all' is not one of "
            "'datasets', 'training', 'testing'.",
        ),
        (
            ["serve", "--port", "99999"],
            "Error: Invalid value for '--port': Input should be less than or equal to 65535",
        ),
    ],
)
def test_usage_errors(arguments: list[str], error: str) -> None:
    assert refused(*arguments).splitlines()[-1] == error


# -- workspace ------------------------------------------------------------------------------------


def test_init_twice(tmp_path: Path) -> None:
    made = ".dvc/config params.yaml dvc.yaml .gitignore .dvc/.gitignore .dvcignore data/.gitignore "
    made += ".dvc/config.local .git/hooks/post-checkout"
    first = everloop("init", tmp_path / "shop")
    expected = [*(f"made {name}" for name in made.split()), "made the first commit"]
    assert (first.code, first.out.splitlines(), first.err) == (0, expected, "")
    again = everloop("init", tmp_path / "shop")
    line = f"{tmp_path / 'shop'} is a workspace already; nothing to do\n"
    assert (again.code, again.out, again.err) == (0, line, "")


def test_a_workspace_that_is_not_there(tmp_path: Path) -> None:
    assert refused("check", "-w", tmp_path / "no") == (
        "error: no such workspace\n"
        f"  where:    {tmp_path / 'no'}\n"
        "  expected: a folder\n"
        f"  do:       everloop init {tmp_path / 'no'}\n"
    )


@pytest.mark.parametrize("command", [("init",), ("check", "-w")])
def test_a_path_that_no_database_takes(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert refused(*command, tmp_path / "what?") == (
        "error: a workspace cannot have a question mark in its path\n"
        f"  where:    {tmp_path / 'what?'}\n"
        "  do:       rename the folder, or choose another\n"
    )


def test_a_workspace_with_spaces_and_signs(tmp_path: Path) -> None:
    place = init(tmp_path / "my shop #1 100%20é").root
    nothing = "champion: none yet\nunder way: nothing\n"
    assert everloop("rollout", "status", "-w", place).out == nothing
    assert (place / ".everloop" / "store.db").exists()


def test_the_first_model_is_trained_once(shop: Path) -> None:
    assert refused("train", "rows.csv", "--eval", "rows.csv", "-w", shop) == (
        "error: this workspace has its first model already\n"
        f"  where:    {shop}\n"
        f"  got:      version {champion(shop)} is champion\n"
        "  do:       everloop retrain makes the next, or choose another workspace\n"
    )


def champion(place: Path) -> str:
    return str(store(place).state.read(Champion).version)


def test_nothing_serves_without_a_model(empty: Path) -> None:
    assert refused("serve", "-w", empty, "--port", "0") == (
        "error: no model serves yet\n"
        "  where:    state 'champion' of the store\n"
        "  got:      nothing\n"
        "  expected: the version of a trained model\n"
        "  do:       everloop train TRAIN.csv --eval EVAL.csv\n"
    )


def test_a_port_in_use(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("serve", "-w", shop, "--port", port) == (
            "error: the server cannot listen here\n"
            f"  where:    127.0.0.1:{port}\n"
            "  got:      address already in use\n"
            "  expected: a free port on an address of this machine\n"
            "  do:       everloop serve --port ANOTHER\n"
        )


@pytest.mark.parametrize("name", ["datasets", "training", "testing"])
def test_a_stage_without_data(empty: Path, name: str) -> None:
    error = refused("stage", name, "-w", empty)
    assert error.startswith(f"error: stage {name} has nothing to work on\n  where:    {empty}\n")
    assert error.endswith("  do:       everloop data checkout VERSION, then: dvc repro\n")


def test_the_stages_of_a_version(own: Path) -> None:
    ran = [everloop("stage", name, "-w", own) for name in ("datasets", "training", "testing")]
    assert [(r.code, r.err) for r in ran] == [(0, "")] * 3
    assert re.fullmatch(r'datasets: \{"policy": "all", "rows": \{"train": 77.*\}\n', ran[0].out)
    metrics = json.loads(ran[1].out.removeprefix("training: "))
    assert (metrics["train_rows"], metrics["evaluation_rows"]) == (77, 36)
    assert re.match(r"testing: (pass|fail): .*fixed set: ", ran[2].out)


# -- dataset versions -----------------------------------------------------------------------------


def test_data_list(shop: Path, empty: Path) -> None:
    assert everloop("data", "list", "-w", shop).out == (
        "version  as of (UTC)       policy  labels  train  eval  audit\n"
        "v0001    2026-01-05 00:00  all          6     60    30      0\n"
        "v0002    2026-01-06 00:00  all          6     68    30      3\n"
        "v0003    2026-01-07 00:00  all          6     77    30      6\n"
    )
    first = "no dataset version yet; the first: everloop train TRAIN.csv --eval EVAL.csv\n"
    assert everloop("data", "list", "-w", empty).out == first


def test_rows_of_a_version(shop: Path) -> None:
    lines = everloop("data", "list", "v0001", "--rows", "-w", shop).out.splitlines()
    assert [re.sub(r"[0-9a-f]{12,}", "HASH", x) for x in lines[:11]] == [
        "v0001",
        "  as of     2026-01-05 00:00 UTC",
        "  policy    all",
        "  seed      1",
        "  parent    none",
        "  revision  HASH.dir",
        "  commit    HASH (tag dataset/v0001)",
        "  label set version 0",
        "  schema    HASH",
        "  rows      60 train, 30 eval, 0 audit",
        "  label              train    eval   audit",
    ]
    assert len(lines) == 11 + 6
    assert all(re.fullmatch(r"  [a-z_]+ +\d+ +\d+ +0", x) for x in lines[11:])
    assert sum(int(x.split()[1]) for x in lines[11:]) == 60
    assert refused("data", "list", "v9", "--rows", "-w", shop) == (
        "error: there is no dataset version v0009\n"
        f"  where:    {shop}\n"
        "  expected: v0003, or one of v0001 .. v0003\n"
        "  do:       everloop data list\n"
    )


def test_data_diff(shop: Path) -> None:
    lines = everloop("data", "diff", "v0001", "v0003", "-w", shop).out.splitlines()
    assert lines[:6] == [
        "v0001 -> v0003",
        "  added train   17",
        "  added eval    6",
        "  removed train 0",
        "  removed eval  0",
        "  relabelled    0",
    ]
    assert re.fullmatch(r"  share of label in training \(\d changed\)", lines[6])
    assert re.fullmatch(r"    \w+ +\d+\.\d\d% ->  \d+\.\d\d%", lines[7])


def test_data_checkout(own: Path) -> None:
    ran = everloop("data", "checkout", "v0002", "-w", own)
    assert (ran.code, ran.out) == (0, "data/ is now v0002; dvc repro trains and tests on it\n")
    assert json.loads((own / "data" / "version.json").read_text())["id"] == "v0002"


# -- labels ---------------------------------------------------------------------------------------


@pytest.fixture
def asked(own: Path) -> Path:
    """A shop with three open tasks."""
    answered = store(own).answers.window(datetime(2026, 1, 5, tzinfo=UTC), END).rows
    free = answered[answered["propensity"].isna()]["prediction_id"][:3]
    store(own).queue.add([AnnotationTask(p, END, "by hand", "random", 0.1, False) for p in free])
    return own


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_labels_go_out_and_come_back(asked: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"tasks.{suffix}"
    known = store(asked).labels.count()
    out = everloop("label", "export", file, "-w", asked)
    line = f"3 tasks in {file}; fill in `label`, then: everloop label import {file}\n"
    assert (out.code, out.out, out.err) == (0, line, "")
    blank = everloop("label", "import", file, "-w", asked)
    assert blank.out == "0 new labels, 0 known already, 3 not filled in\n"
    fill_in(file, ["track_order", "", "a_new_intent"])
    done = everloop("label", "import", file, "-w", asked, "--annotator", "ana", "--new-labels")
    assert (done.code, done.out) == (0, "2 new labels, 0 known already, 1 not filled in\n")
    again = everloop("label", "import", file, "-w", asked)
    assert (again.code, again.out) == (0, "0 new labels, 2 known already, 1 not filled in\n")
    assert store(asked).labels.count() == known + 2
    assert len(store(asked).queue.open()) == 1


def fill_in(file: Path, labels: list[str]) -> None:
    if file.suffix == ".jsonl":
        rows = [json.loads(x) for x in file.read_text(encoding="utf-8").splitlines()]
    else:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    for row, label in zip(rows, labels, strict=True):
        row["label"] = label
    with file.open("w", encoding="utf-8", newline="") as out:
        if file.suffix == ".jsonl":
            out.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def test_labels_that_cannot_be_taken(asked: Path, tmp_path: Path) -> None:
    file = tmp_path / "back.csv"
    file.write_text("prediction_id,label\nnobody,track_order\n")
    ran = everloop("label", "import", file, "-w", asked)
    page = asked / ".everloop" / "quarantine" / "annotations-back.csv"
    assert (ran.code, ran.out) == (1, "0 new labels, 0 known already, 0 not filled in\n")
    assert ran.err == (
        f"warning: back.csv: 1 row refused (row 2: no task for this prediction id); "
        f"the reasons are in {page}\n"
    )
    assert page.read_text() == "row,reason,value\n2,no task for this prediction id,nobody\n"


def test_no_open_task(shop: Path, tmp_path: Path) -> None:
    ran = everloop("label", "export", tmp_path / "tasks.csv", "-w", shop)
    assert ran.out == f"no open task; {tmp_path / 'tasks.csv'} has only its header\n"
    assert refused("label", "export", tmp_path / "tasks.xls", "-w", shop) == (
        "error: tasks cannot be written so\n"
        f"  where:    {tmp_path / 'tasks.xls'}\n"
        "  got:      .xls\n"
        "  expected: .csv, .jsonl or .ndjson; .json with --format label-studio or --format argilla\n"
    )


# -- rollout --------------------------------------------------------------------------------------


@pytest.fixture
def rolling(own: Path) -> Path:
    """A shop with version 2 in a canary against version 1, and nothing else."""
    known = store(own)
    known.state.write(Champion("1"))
    for r in known.decisions.rollouts():
        ended = Rollout(
            r.rollout_id,
            r.candidate,
            r.champion,
            "rolled_back",
            0.0,
            r.started,
            r.started,
            "it was worse",
        )
        known.decisions.put_rollout(ended)
    began = END.replace(hour=1)
    known.decisions.put_rollout(Rollout("2-live", "2", "1", "canary", 0.5, began, began, "against 1"))
    return own


def test_rollout_status(rolling: Path, empty: Path) -> None:
    now = ("--now", "2026-01-07T09:00")
    lines = everloop("rollout", "status", "-w", rolling, *now).out.splitlines()
    assert lines[:9] == [
        "champion: version 1",
        "under way: version 2, canary 50 %",
        "",
        "answered by  version  requests  users  complained",
        "champion     1               0      0           0",
        "candidate    2               0      0           0",
        "",
        "started (UTC)     from  to  stage        share  why",
        "2026-01-07 01:00  1     2   canary       50%    against 1",
    ]
    assert "2026-01-06 00:00  1     2   rolled_back  0%     it was worse" in lines
    nothing = "champion: none yet\nunder way: nothing\n"
    assert everloop("rollout", "status", "-w", empty).out == nothing


@pytest.mark.parametrize(
    ("verb", "verdict", "serves"), [("promote", "promote", "2"), ("rollback", "rollback", "1")]
)
def test_the_hand_on_the_lever(rolling: Path, verb: str, verdict: str, serves: str) -> None:
    asked = ("--by", "ana", "--why", "I saw it", "--now", "2026-01-07T09:00")
    ran = everloop("rollout", verb, "-w", rolling, *asked)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"canary 50 % -> {verdict}: by hand, ana: I saw it\nchampion: version {serves}\n"
    )
    assert champion(rolling) == serves
    again = {
        "promote": "error: no rollout is under way\n  do:       everloop rollout status\n",
        "rollback": "error: there is no promotion to roll back\n"
        "  got:      version 1 serves and replaced none\n"
        "  do:       everloop rollout status\n",
    }
    assert refused("rollout", verb, "-w", rolling) == again[verb]


# -- the loop by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["loop", "retrain"])
def test_no_loop_without_a_model(empty: Path, command: str) -> None:
    assert refused(command, "-w", empty) == (
        "error: no model serves yet\n"
        "  where:    state 'champion' of the store\n"
        "  got:      nothing\n"
        "  expected: the version of a trained model\n"
        "  do:       everloop train TRAIN.csv --eval EVAL.csv\n"
    )


def test_a_time_that_is_none(empty: Path) -> None:
    assert refused("monitor", "-w", empty, "--now", "yesterday") == (
        "error: not a time\n"
        "  where:    --now\n"
        "  got:      yesterday\n"
        "  expected: ISO 8601, as 2026-01-05T00:00\n"
    )


def test_a_retrain_and_a_turn_by_hand(own: Path) -> None:
    for rollout in store(own).decisions.rollouts():
        if rollout.live:
            everloop("rollout", "rollback", "-w", own, "--now", "2026-01-07T01:00")
    correct_one(open_session(own), END.replace(hour=2))
    ran = everloop("retrain", "-w", own, "--reason", "a new product", "--now", "2026-01-08")
    assert (ran.code, ran.err) == (0, "")
    assert [NUMBER.sub("#", x)[:40] for x in ran.out.splitlines()] == [
        "training: candidate 4: head on v0004: 77",
        NUMBER.sub("#", ran.out.splitlines()[1])[:40],
    ]
    assert re.match(r"testing: (pass|fail): ", ran.out.splitlines()[1])
    turn = everloop("loop", "-w", own, "--now", "2026-01-08T12:00")
    assert (turn.code, turn.err) == (0, "")
    assert "curation: " in turn.out
    assert "triggers: wait: " in turn.out


# -- replay ---------------------------------------------------------------------------------------


def test_sample(tmp_path: Path) -> None:
    ran = everloop("demo", "--data", tmp_path / "data")
    line = f"train.csv, eval.csv, stream.csv and events.json in {tmp_path / 'data'}\n"
    assert (ran.code, ran.out, ran.err) == (0, line, "")
    names = ["eval.csv", "events.json", "stream.csv", "train.csv"]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == names
    (tmp_path / "file").write_text("")
    assert refused("demo", "--data", tmp_path / "file") == (
        f"error: the system refuses\n  where:    {tmp_path / 'file'}\n  got:      File exists\n"
    )


def replaying(*more: object) -> tuple[object, ...]:
    """The bundled sample: enough where no replay gets as far as its first model."""
    from everloop.sample import bundled

    folder = bundled()
    files = ("--initial", folder / "train.csv", "--eval", folder / "eval.csv")
    return ("replay", folder / "stream.csv", *files, *more)


def test_frozen_and_oracle(tmp_path: Path) -> None:
    error = refused(*replaying("-w", tmp_path / "w", "--frozen", "--oracle"))
    assert error == "error: --frozen and --oracle exclude each other\n  do:       choose one\n"
    assert not (tmp_path / "w").exists()


def test_a_result_file_that_is_a_folder_is_an_error_before_the_work(tmp_path: Path) -> None:
    assert refused(*replaying("-w", tmp_path / "w", "--json", tmp_path)) == (
        f"error: this is a folder\n  where:    {tmp_path}\n  expected: a file to write the result to\n"
    )
    assert not (tmp_path / "w").exists()


def test_a_workspace_holds_one_stream(shop: Path) -> None:
    error = refused(*replaying("-w", shop))
    assert re.fullmatch(
        "error: this workspace already holds another stream\n"
        f"  where:    {shop}\n"
        "  got:      replay [0-9a-f]{16}\n"
        "  expected: replay [0-9a-f]{16}, of the same files and options\n"
        "  do:       choose another --workspace\n",
        error,
    )
