"""What `dvc repro` runs: one stage of dvc.yaml on the data of the checked-out version."""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import EverloopError
from flows.home import open_home


def run_stage(root: Path, name: str) -> str:
    """Run stage `datasets`, `training` or `testing` and say in a line what came out."""
    home = open_home(root)
    if name == "datasets":
        from pipelines.datasets.form import form_dataset

        return f"datasets: {form_dataset(home.workspace, home.strategy.datasets)}"
    if name == "training":
        from flows.model_stages import train_candidate

        return f"training: {json.dumps(train_candidate(home).metrics)}"
    if name == "testing":
        from flows.model_stages import test_candidate

        version = json.loads(home.workspace.version_file.read_text())["id"]
        page = home.workspace.reports / f"testing-{version}.html"
        report = test_candidate(home, ("candidate", "champion"), page)
        return f"testing: {'pass' if report.passed else 'fail'}: {'; '.join(report.reasons)}"
    raise EverloopError("no such stage", got=name, expected="datasets, training or testing")
