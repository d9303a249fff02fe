"""A replay in which a function gets another name: it is noticed, and old rows get it, too."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import rewrites
from core.episodes import Episodes
from core.evidence import AlertEvidence
from everloop.commands import app
from everloop.replay import run
from flows.contradictions import contradictions
from pipelines.datasets.contents import rows_of
from pipelines.datasets.history import list_versions
from tests.generation_loop import START, job, make_session

pytestmark = pytest.mark.slow


def test_a_function_that_is_renamed_is_noticed_and_its_old_rows_get_the_new_name(
    tmp_path: Path,
) -> None:
    session = make_session(tmp_path / "shop", training={"policy": "tests.generation_loop:SameWeights"})
    asked = job(days=5)
    new = asked.stream["timestamp"] >= START + timedelta(days=2)
    stream = asked.stream.assign(
        label=asked.stream["label"].where(
            ~new, asked.stream["label"].str.replace('"weather"', '"forecast"')
        )
    )
    run(session, replace(asked, stream=stream))

    told = session.store.decisions.get('concept/"weather" has become "forecast"')
    assert told is not None
    assert told.read(AlertEvidence).kind == "concept"
    assert '"weather" has become "forecast" since 2026-01-07' in told.reason
    (rule,) = rewrites.load(session.workspace.root)
    assert rule.by == "datasets.supersede"
    newest = list_versions(session.workspace.root)[-1]
    names = {json.loads(t)["name"] for t in rows_of(session.workspace.root, newest.id)["target"]}
    assert names == {"pay", "play", "forecast"}
    assert told.key in [e.key for e in session.store.state.read(Episodes).episodes]

    place, now = str(session.workspace.root), (START + timedelta(days=6)).isoformat()
    _, left = contradictions(session, START + timedelta(days=6))
    assert left.changes == []
    undone = CliRunner().invoke(
        app, ["data", "rewrite", "--undo", "1", "-w", place, "--now", now], catch_exceptions=False
    )
    assert undone.output.startswith('undone: rewrite with (.target.name | select(. == "weather"))')
    shown = CliRunner().invoke(app, ["data", "contradictions", "-w", place, "--now", now])
    assert '"weather" has become "forecast"' in shown.output
    dry = ["data", "rewrite", "--where", '.target.name == "weather"', "--jq", '.target.name = "x"']
    tried = CliRunner().invoke(app, [*dry, "-w", place, "--now", now], catch_exceptions=False)
    assert tried.output.endswith("nothing was changed; --yes does it\n")
