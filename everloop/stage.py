"""What `dvc repro` runs: one stage of dvc.yaml on the data of the checked-out version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from core.errors import DatasetError
from core.workspace import Workspace
from flows.session import open_session

StageName = Literal["datasets", "training", "testing"]


def run_stage(root: Path, name: StageName) -> str:
    """Run a stage and say in a line what came out. Raises DatasetError when there is no data for it."""
    session = open_session(root)
    _check_inputs(session.workspace, name)
    if name == "datasets":
        from pipelines.datasets.form import form_dataset

        _check_reservoir(session.workspace)
        formed = form_dataset(session.workspace, session.strategy.datasets)
        return f"datasets: {json.dumps(formed)}"
    if name == "training":
        from flows.model_stages import train_candidate

        return f"training: {json.dumps(train_candidate(session).metrics)}"
    from flows.model_stages import test_candidate

    version = json.loads(session.workspace.version_file.read_text(encoding="utf-8"))["id"]
    page = session.workspace.reports / f"testing-{version}.html"
    report = test_candidate(session, ("candidate", "champion"), page)
    return f"testing: {report.verdict}: {'; '.join(report.reasons)}"


def _check_reservoir(place: Workspace) -> None:
    """`dvc repro` takes the data it finds for the data that is meant."""
    from pipelines.datasets.dvc_git import Repository
    from pipelines.datasets.inputs import read_inputs
    from pipelines.datasets.layout import blocks

    found = Repository(place.root).changed_folders(blocks(read_inputs(place).partitions))
    if found:
        raise DatasetError(
            "data/reservoir is not what data/blocks says",
            where=str(place.root),
            got=f"{', '.join(found[:3])} changed, or not here",
            do="git checkout -- data && dvc checkout data/blocks/*.dvc, then again",
        )


def _check_inputs(place: Workspace, name: StageName) -> None:
    inputs = {
        "datasets": (place.version_file, place.reservoir),
        "training": (place.dataset, place.reservoir, place.champion),
        "testing": (
            place.version_file,
            place.dataset,
            place.reservoir,
            place.champion,
            place.candidate,
        ),
    }
    missing = [p for p in inputs[name] if not p.exists()]
    if missing:
        raise DatasetError(
            f"stage {name} has nothing to work on",
            where=str(place.root),
            got=f"no {', no '.join(str(p.relative_to(place.root)) for p in missing)}",
            expected="the data of a dataset version",
            do="everloop data checkout VERSION, then: dvc repro",
        )
