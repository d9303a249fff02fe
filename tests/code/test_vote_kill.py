"""kill -9 of an annotator's process: what was acknowledged is there, whole, and the rest can be said again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.store import Store
from tests.code.test_queue import IDS, asked, says, states

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LABEL = """
import sys
from core.store import Store
from tests.code.test_queue import says, leased
store = Store(sys.argv[1])
while found := leased(store, sys.argv[2]):
    store.vote(says(found[0], sys.argv[2], "a"), needed=1)
    print(found[0], flush=True)
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
        voted = {v.prediction_id for v in store.all_votes()}
        assert voted == set(store.labels_of(IDS))  # none without its annotation, none before its vote
        assert {IDS[i] for i in acknowledged} <= voted
    subprocess.run([sys.executable, "-c", LABEL, store.url, "ana"], cwd=ROOT, check=True)
    assert states(store) == {"done": 40}
    assert store.vote(says(0, "ana", "a"), needed=1) == "done"
