"""New versions under load: is every answer that of the version it names, and was it that one's turn?

Each version is crowned once, so an answer names a moment. It is wrong when it is not what that version
says of the text, when it comes before its version was crowned, or when it answers a call sent after
a later version had answered already.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.form import Row
from bench.systems import Running, everloop, load_command, running
from core.arrays import Array
from core.models.classifier.head import Fitting, fit_head
from core.models.classifier.model import TextClassifier
from core.records.versions import DatasetVersion
from core.tables import Columns, read_rows
from everloop.sample import bundled
from flows.session import Session, open_session
from flows.state import set_champion

if TYPE_CHECKING:
    from core.models.classifier.head import Head

POOL = 5000  # different texts; the server's answer cache is off
SHARE = 0.8  # of what the server can do
SAME = 0.002  # a score read back from float16 embeddings, other neighbours in the batch


@dataclass(frozen=True)
class Said:
    """One answered call."""

    text: int
    sent: float
    got: float
    version: str
    label: str
    score: float


@dataclass(frozen=True)
class Crowned:
    version: str
    begun: float
    done: float


def swaps(workspace: Path, texts: Path, seconds: float, every: float) -> list[Row]:
    session = open_session(workspace)
    pool: list[str] = json.loads(texts.read_text())[:POOL]
    heads = _versions(session, int(seconds / every) + 1)
    place = texts.with_name("pool.json")
    place.write_text(json.dumps(pool))
    out = texts.with_name("answers.jsonl")
    with running(everloop(workspace)) as server:
        capacity = server.load(place, 0, "--concurrency", "32", "--seconds", "8")["rate"]
        how = ("--rate", f"{SHARE * capacity:.1f}", "--seconds", str(seconds), "--warm", "0")
        load = load_command(server, place, 0, *how, "--answers", str(out))
        with subprocess.Popen(load, stdout=subprocess.PIPE) as process:
            crowned, memory = _crown_each(session, server, list(heads), every, seconds)
            summary = json.loads(process.communicate()[0])
    embeddings = session.base.embed(pool)
    shares = {version: head.probabilities(embeddings) for version, head in heads.items()}
    labels = {version: head.labels for version, head in heads.items()}
    said = [_said(line) for line in out.read_text().splitlines() if json.loads(line)[3] == 200]
    wrong = faults(said, crowned, shares, labels)
    seen = delays(said, crowned)
    session.store.close()
    grown = 100 * (memory[-1] / memory[len(memory) // 4] - 1)
    return [
        Row(
            "swaps: under load",
            len(crowned) - 1,
            "",
            "",
            f"{seconds:.0f} s",
            f"{summary['rate']:.0f} calls/s",
        ),
        Row("swaps: failed calls", summary["failed"], "", "== 0", peer="; ".join(summary["faults"])),
        *(Row(f"swaps: {what}", count, "", "== 0") for what, count in wrong.items()),
        Row("swaps: p99", summary["p99"], "ms"),
        Row("swaps: crowned to serving, longest", max(seen), "s"),
        Row("swaps: memory grown", grown, "%", "<= 5", peer=f"{memory[-1]:.0f} MB"),
    ]


def _versions(session: Session, count: int) -> dict[str, Head]:
    """The champion and newly registered heads that differ from it: each saw other rows."""
    rows = read_rows(bundled() / "train.csv", Columns(label="label")).frame
    base = TextClassifier.load(session.registry.path(session.store.state.champion()))
    embeddings = base.embed(rows["text"].tolist())
    labels = rows["label"].to_numpy()
    first = session.store.state.champion()
    made = {first: base.trained}
    about = DatasetVersion("v0001", datetime.now(UTC), "all", 1, "", "bench", "", {}, 0, "")
    for i in range(1, count):
        some = np.random.default_rng(i).random(len(rows)) < 0.5
        fitting = Fitting(penalty=(1 / 30, 1 / 3)[i % 2])
        head = fit_head(embeddings[some], list(labels[some]), fitting=fitting)
        folder = session.workspace.root / "bench" / str(i)
        replace(base, head=head).save(folder)
        candidate = session.registry.log_candidate(
            folder, key=f"bench/{i}", recipe="head", params={}, metrics={}, dataset=about
        )
        made[candidate.version] = head
    return made


def _crown_each(
    session: Session, server: Running, versions: Sequence[str], every: float, seconds: float
) -> tuple[list[Crowned], list[float]]:
    """Crown the next version `every` seconds; memory of the server at each beat between."""
    start = time.monotonic()
    crowned, memory = [Crowned(versions[0], 0.0, start)], []
    for version in versions[1:]:
        _sleep_until(start + every * (len(crowned) - 0.5))
        memory.append(server.memory())
        _sleep_until(start + every * len(crowned))
        if time.monotonic() > start + seconds - every / 2:
            break
        begun = time.monotonic()
        set_champion(session, version)
        crowned.append(Crowned(version, begun, time.monotonic()))
    return crowned, memory


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _said(line: str) -> Said:
    text, sent, got, _, body = json.loads(line)
    answer = json.loads(body)["predictions"][0]
    return Said(text, sent, got, answer["model_version"], answer["label"], answer["score"])


def faults(
    said: Sequence[Said],
    crowned: Sequence[Crowned],
    shares: Mapping[str, Array],
    labels: Mapping[str, list[str]],
) -> dict[str, int]:
    """How many answers are wrong, by kind. `shares`: each version's own view of all texts."""
    order = {c.version: i for i, c in enumerate(crowned)}
    first = _first_answers(said, crowned)
    later = [min(first[i + 1 :], default=float("inf")) for i in range(len(crowned))]
    counts = {"not the named version's answer": 0, "named before it was crowned": 0, "stale": 0}
    for one in said:
        place = order.get(one.version)
        own = shares[one.version][one.text % len(shares[one.version])]
        given = own[labels[one.version].index(one.label)]
        counts["not the named version's answer"] += (
            abs(given - one.score) > SAME or own.max() - given > SAME
        )
        counts["named before it was crowned"] += place is None or one.got < crowned[place].begun
        counts["stale"] += place is not None and one.sent > later[place]
    return {kind: int(count) for kind, count in counts.items()}


def delays(said: Sequence[Said], crowned: Sequence[Crowned]) -> list[float]:
    """Seconds from each crowning to the first answer of that version."""
    first = _first_answers(said, crowned)
    return [f - c.done for f, c in list(zip(first, crowned, strict=True))[1:]]


def _first_answers(said: Sequence[Said], crowned: Sequence[Crowned]) -> list[float]:
    first: dict[Any, float] = {}
    for one in said:
        first[one.version] = min(one.got, first.get(one.version, one.got))
    return [first.get(c.version, float("inf")) for c in crowned]
