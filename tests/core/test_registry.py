from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError, StoreError
from core.models.classifier.encoder import Encoder, load_encoder
from core.models.classifier.head import fit_head
from core.models.classifier.model import TextClassifier
from core.records.versions import Candidate, DatasetVersion
from core.registry import Registry
from core.workspace import Workspace
from tests import ROOT
from tests.core.models.tiny import said, save_tiny_encoder

REVISION = "0123456789abcdef0123456789abcdef.dir"
DATASET = DatasetVersion(
    "v0007",
    datetime(2026, 1, 5, tzinfo=UTC),
    "all",
    0,
    "v0006",
    REVISION,
    "c" * 40,
    {"train": 2},
    2,
    "s",
)
TEXTS = ["pay my card", "rain"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("tiny")), 64)


@pytest.fixture(scope="module")
def saved(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "candidate"
    TextClassifier(encoder, fit_head(encoder.encode(TEXTS), ["pay", "sky"])).save(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def registry(workspace: Workspace) -> Registry:
    return Registry(workspace)


def log(registry: Registry, saved: Path, key: str) -> Candidate:
    return registry.log_candidate(
        saved,
        key=key,
        recipe="head",
        params={"regularization": 0.1},
        metrics={"eval_accuracy": 0.75},
        dataset=DATASET,
    )


def test_a_candidate_is_logged_with_its_numbers_and_its_dataset(
    registry: Registry, saved: Path
) -> None:
    candidate = log(registry, saved, "numbers")
    assert (candidate.dataset, candidate.recipe) == ("v0007", "head")
    assert candidate.metrics == {"eval_accuracy": 0.75}
    found = registry._client.search_runs([registry._experiment], f"dataset.digest = '{REVISION}'")
    run = next(r for r in found if r.info.run_id == candidate.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "v0007-head")
    assert run.data.params == {"regularization": "0.1"}
    assert run.inputs.dataset_inputs[0].dataset.source_type == "dvc"
    assert run.outputs.model_outputs[0].model_id.startswith("m-")


def test_the_same_key_is_the_same_candidate(registry: Registry, saved: Path) -> None:
    first = log(registry, saved, "again")
    assert log(registry, saved, "again") == first
    assert log(Registry(registry._workspace), saved, "again") == first
    assert log(registry, saved, "more").version == str(int(first.version) + 1)


def test_a_run_killed_before_its_model_is_made_again(registry: Registry, saved: Path) -> None:
    half = registry._client.create_run(registry._experiment, tags={"everloop.key": "half"})
    candidate = log(registry, saved, "half")
    assert candidate.run_id != half.info.run_id
    assert registry._client.get_run(half.info.run_id).info.lifecycle_stage == "deleted"
    assert log(registry, saved, "half") == candidate


def test_a_run_killed_after_its_version_is_only_finished(registry: Registry, saved: Path) -> None:
    candidate = log(registry, saved, "late")
    count = len(registry.versions())
    registry._client.set_terminated(candidate.run_id, "RUNNING")
    assert log(registry, saved, "late") == candidate
    assert registry._client.get_run(candidate.run_id).info.status == "FINISHED"
    assert len(registry.versions()) == count


def test_a_run_that_fails_says_so_and_registers_nothing(registry: Registry, tmp_path: Path) -> None:
    count = len(registry.versions())
    with pytest.raises(OSError, match="nowhere"):
        log(registry, tmp_path / "nowhere", "broken")
    (run,) = registry._client.search_runs([registry._experiment], "tags.`everloop.key` = 'broken'")
    assert run.info.status == "FAILED"
    assert len(registry.versions()) == count


def test_aliases_point_at_versions(registry: Registry, saved: Path) -> None:
    one, two = log(registry, saved, "one"), log(registry, saved, "two")
    assert registry.version("champion") is None
    registry.point("champion", one.version)
    registry.point("challenger", two.version)
    assert (registry.version("champion"), registry.version("challenger")) == (one.version, two.version)
    registry.point("champion", two.version)
    assert Registry(registry._workspace).version("champion") == two.version
    with pytest.raises(ModelError, match=r"(?s)no such model version.*got: +999"):
        registry.point("champion", "999")


def test_a_version_is_loaded_as_it_was_saved(registry: Registry, saved: Path, encoder: Encoder) -> None:
    candidate = log(registry, saved, "load")
    model = registry.load(candidate.version)
    assert said(model, TEXTS) == said(TextClassifier.load(saved), TEXTS)
    files = {p.name: p.read_bytes() for p in registry.path(candidate.version).iterdir() if p.is_file()}
    assert files == {p.name: p.read_bytes() for p in saved.iterdir() if p.is_file()}
    with pytest.raises(ModelError, match="no such model version"):
        registry.load("999")


def test_reports_are_kept_with_the_run(registry: Registry, saved: Path, tmp_path: Path) -> None:
    candidate = log(registry, saved, "report")
    (tmp_path / "testing.html").write_text("<p>passed</p>")
    for _ in range(2):
        registry.attach(candidate.run_id, [tmp_path / "testing.html"], {"test_passed": 1.0})
    (kept,) = registry._client.list_artifacts(candidate.run_id, "reports")
    assert kept.path == "reports/testing.html"
    again = log(registry, saved, "report")
    assert again.metrics == {"eval_accuracy": 0.75, "test_passed": 1.0}


def test_a_curve_has_a_value_for_each_step_once(registry: Registry, saved: Path) -> None:
    candidate = log(registry, saved, "v0007/curve")
    values = [1 / (step + 1) for step in range(1500)]  # more than MLflow takes at once
    for _ in range(2):  # one that was killed is attached again
        registry.attach_curves(candidate.run_id, {"loss": values}, DATASET.as_of)
    history = registry._client.get_metric_history(candidate.run_id, "loss")
    assert [(point.step, point.value) for point in history] == list(enumerate(values))


def test_mlflow_can_load_the_model_and_nothing_is_pickled(registry: Registry, saved: Path) -> None:
    import mlflow
    import pandas as pd

    folder = registry.path(log(registry, saved, "pyfunc").version).parent.parent
    served = mlflow.pyfunc.load_model(str(folder))
    expected = said(TextClassifier.load(saved), TEXTS)
    for texts in (TEXTS, pd.DataFrame({"text": TEXTS})):
        assert list(served.predict(texts).itertuples(index=False, name=None)) == expected
    suffixes = {p.suffix for p in folder.rglob("*") if p.is_file()}
    assert suffixes <= {"", ".yaml", ".txt", ".json", ".safetensors"}


def test_two_workspaces_in_one_process_do_not_mix(
    registry: Registry, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = Registry(Workspace(tmp_path / "other"))
    count = len(registry.versions())
    assert log(other, saved, "other").version == "1"
    assert len(registry.versions()) == count
    assert said(registry.load(str(count)), TEXTS) == said(other.load("1"), TEXTS)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_a_broken_database_is_one_clear_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.state.mkdir()
    (workspace.state / "mlflow.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(
        StoreError,
        match=r"(?s)the tracking database is damaged.*got: .*file is not a database\n  do:       put a copy",
    ):
        Registry(workspace).version("champion")


def test_a_deleted_experiment_says_how_it_is_restored(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    Registry(workspace).check()
    client = Registry(workspace)._client
    client.delete_experiment("1")
    url = f"sqlite:///{tmp_path}/.everloop/mlflow.db"
    restore = f"MLFLOW_TRACKING_URI={url} mlflow experiments restore --experiment-id 1"
    with pytest.raises(StoreError, match=rf"(?s)experiment is deleted.*do:       {restore}$"):
        Registry(workspace).check()
    client.restore_experiment("1")
    Registry(workspace).check()


@pytest.mark.parametrize("version", ["0a8213491aaa", "fffffffffff0"])  # an older one, an unknown one
def test_a_database_of_another_version_says_what_to_do(
    version: str, workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    registry.check()
    (tmp_path / ".everloop").mkdir()
    copy = tmp_path / ".everloop/mlflow.db"
    shutil.copyfile(workspace.state / "mlflow.db", copy)
    with sqlite3.connect(copy) as db:
        db.execute("update alembic_version set version_num = ?", (version,))
    db.close()
    do = f"then: mlflow db upgrade sqlite:///{copy}"
    with pytest.raises(StoreError, match=rf"(?s)not of this MLflow's version.*{version}.*{do}$"):
        Registry(Workspace(tmp_path)).check()


def test_files_of_a_version_that_are_gone(
    workspace: Workspace, registry: Registry, saved: Path
) -> None:
    version = log(registry, saved, "gone").version
    folder = registry.path(version)
    folder.rename(folder.parent.parent / "elsewhere")
    with pytest.raises(ModelError, match=rf"(?s)files of a model version are gone.*version {version} "):
        registry.path(version)


def test_a_version_that_was_deleted_is_no_more(registry: Registry, saved: Path) -> None:
    version = log(registry, saved, "deleted").version
    registry._client.delete_model_version("everloop", version)
    with pytest.raises(ModelError, match="no such model version"):
        registry.path(version)


def test_a_head_on_a_public_encoder_is_small(registry: Registry, tmp_path: Path) -> None:
    encoder = load_encoder("sentence-transformers/all-MiniLM-L6-v2")
    embeddings = np.random.default_rng(0).normal(size=(300, 384))
    TextClassifier(encoder, fit_head(embeddings, [f"{i % 150}" for i in range(300)])).save(tmp_path)
    folder = registry.path(log(registry, tmp_path, "small").version).parent.parent
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 300_000


def test_weights_lie_on_the_disk_once_and_as_long_as_a_version_has_them(
    registry: Registry, saved: Path, tmp_path: Path
) -> None:
    moved = load_encoder(save_tiny_encoder(tmp_path / "moved", seed=8), 64)
    TextClassifier(moved, fit_head(moved.encode(TEXTS), ["pay", "sky"])).save(tmp_path / "candidate")
    folders = (saved, tmp_path / "candidate", saved)
    one, other, again = (
        registry.path(log(registry, f, f"once-{i}").version) for i, f in enumerate(folders)
    )
    (weights,) = (p.relative_to(one) for p in one.rglob("model.safetensors"))
    assert (one / weights).samefile(again / weights)
    assert not (one / weights).samefile(other / weights)
    shutil.rmtree(one)
    assert said(TextClassifier.load(again), TEXTS) == said(TextClassifier.load(saved), TEXTS)


@pytest.mark.slow
def test_mlflow_models_serve_answers(registry: Registry, saved: Path) -> None:
    registry.point("champion", log(registry, saved, "serve").version)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": registry._workspace.tracking_url,
    }
    serve = f"serve -m models:/everloop@champion --env-manager local -p {port}".split()
    process = subprocess.Popen(
        [scripts / "mlflow", "models", *serve],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer = _ask(port, process, b'{"inputs": ["pay my card", "rain"]}')
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    assert b'"label": "pay"' in answer
    assert b'"label": "sky"' in answer


def _ask(port: int, process: subprocess.Popen[bytes], body: bytes) -> bytes:
    url = f"http://127.0.0.1:{port}"
    for _ in range(120):
        assert process.poll() is None, "the server went away"
        try:
            urllib.request.urlopen(f"{url}/ping", timeout=5).close()
            break
        except OSError:
            time.sleep(0.5)
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())
