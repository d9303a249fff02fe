"""kill -9 of an annotator's process: what was acknowledged is there, whole, and the rest can be said again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.records.labels import AnnotationTask
from core.store import Store
from pipelines.labeling import Labeling
from pipelines.labeling.judgements import take
from pipelines.labeling.tables import read
from tests import ROOT
from tests.core.store.test_queue import DAY, IDS, NOW, asked, says, states
from tests.core.store.test_store import prediction

pytestmark = pytest.mark.slow
LABEL = """
import sys
from core.store import Store
from tests.core.store.test_queue import says, leased
store = Store(sys.argv[1])
while found := leased(store, sys.argv[2]):
    store.queue.vote(says(found[0], sys.argv[2], "a"), needed=1)
    print(found[0], flush=True)
"""
IMPORT = """
import sys
from pathlib import Path
from core.store import Store
from pipelines.labeling import Labeling, judgements
from pipelines.labeling.tables import read
from tests.core.store.test_queue import NOW
judgements.AT_ONCE = 200
store = Store(sys.argv[1])
print("begun", flush=True)
judgements.take(read(Path(sys.argv[2]), "ana"), store, Labeling(annotators=2), NOW)
"""


def test_a_vote_that_was_acknowledged_is_settled(tmp_path: Path) -> None:
    store = asked(Store(f"sqlite:///{tmp_path}/store.db"), 40)
    acknowledged: set[int] = set()
    for kill in range(6):
        command = [sys.executable, "-c", LABEL, store.url, "ana"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if first := process.stdout.readline():
            acknowledged.add(int(first))
        time.sleep(0.004 * kill)
        process.kill()
        acknowledged |= {int(line) for line in process.communicate()[0].split("\n")[:-1]}
        voted = {v.prediction_id for v in store.queue.all_votes()}
        assert voted == set(store.labels.of(IDS))  # none without its annotation, none before its vote
        assert {IDS[i] for i in acknowledged} <= voted
    subprocess.run([sys.executable, "-c", LABEL, store.url, "ana"], cwd=ROOT, check=True)
    assert states(store) == {"done": 40}
    assert store.queue.vote(says(0, "ana", "a"), needed=1) == "done"


def test_an_import_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Of a killed import whole transactions are there; again, it ends as if nothing had been."""
    many = [prediction(i) for i in range(3000)]
    stores = [Store(f"sqlite:///{tmp_path}/{name}.db") for name in ("killed", "whole")]
    for store in stores:
        store.answers.log(many)
        store.queue.add([AnnotationTask(p.prediction_id, NOW, "r", "random", 0.5, False) for p in many])
    lines = [
        f"{p.prediction_id},{'ab'[i % 2]},{who}" for who in ("ana", "bob") for i, p in enumerate(many)
    ]
    page = tmp_path / "votes.csv"
    page.write_text("\n".join(["prediction_id,label,annotator", *lines]))
    killed, whole = stores
    seen = set()
    for kill in range(6):
        command = [sys.executable, "-c", IMPORT, killed.url, str(page)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.1 * kill)
        process.kill()
        process.communicate()
        votes = killed.queue.all_votes()
        assert len(votes) % 200 == 0
        seen.add(len(votes))
        settled = {v.prediction_id for v in votes if v.annotator == "bob"}
        assert settled == set(killed.labels.of([p.prediction_id for p in many]))
    done = take(read(page, "ana"), killed, Labeling(annotators=2), NOW)
    assert done.accepted + done.already == len(lines)
    assert take(read(page, "ana"), whole, Labeling(annotators=2), NOW).accepted == len(lines)
    assert killed.queue.all_votes() == whole.queue.all_votes()
    as_claimed = [s.labels.claim("v0002", NOW + DAY).to_dict("records") for s in stores]
    assert as_claimed[0] == as_claimed[1]
    assert len(as_claimed[0]) == len(many)
    assert len(seen) > 1, "no kill came while it was at work"
