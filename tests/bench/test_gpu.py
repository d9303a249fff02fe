"""The script for a machine with a GPU, rehearsed without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


@pytest.mark.slow
def test_the_rehearsal_measures_everything(tmp_path: Path) -> None:
    asked = ["bash", ROOT / "bench/gpu/run.sh", "--cpu"]
    place = {**os.environ, "OUT": str(tmp_path), "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(asked, env=place, capture_output=True, text=True, check=False, timeout=480)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("device: cpu, no GPU, so the processor: ")
    found = json.loads((tmp_path / "gpu.json").read_text())
    [tiny] = found["shapes"]
    assert tiny["sft"]["tokens_per_second"] > 0
    assert 0 < tiny["sft"]["mfu"] < 1
    assert tiny["peer"]["name"].startswith(("TRL's", "transformers'"))
    assert tiny["times"] > 0
    assert tiny["answers"]["tokens_per_second"] > 0
    assert tiny["answers"]["one_at_a_time"] > 0
