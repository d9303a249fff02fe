"""The registry: candidates, their numbers, and who is champion. The only room that imports MLflow.

One candidate is one MLflow run, one logged model and one registered version. MLflow's own notion of a
current tracking server is never touched: it is global, and a process may serve two workspaces.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import ModelError
from core.files import share_content, sync_tree
from core.models import families
from core.models.base import Model
from core.models.files import WEIGHTS
from core.progress import doing
from core.records.versions import Candidate, DatasetVersion
from core.relocation import address_of, folder_of, follow
from core.tracking import SQLITE, connect, quiet_mlflow, refusal, waiting
from core.workspace import Workspace

NAME = "everloop"  # of the experiment and of the registered model
KEY, RECIPE, DATASET = "everloop.key", "everloop.recipe", "everloop.dataset"
MODEL = "everloop.model"  # of a version: its logged model, which MLflow itself forgets
BATCH = 1000  # numbers that MLflow takes at once
REQUIREMENTS = ("mlflow", "numpy", "pandas", "safetensors", "scikit-learn", "torch", "transformers")


class Registry:
    """Models of one workspace. Raises StoreError when the tracking database does not do its part."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def check(self) -> None:
        """Raises StoreError when no candidate could be logged now: before the work, not after it."""
        with self._faults():
            _ = self._experiment

    # -- candidates -----------------------------------------------------------------------

    def log_candidate(
        self,
        model_dir: Path,
        *,
        key: str,
        recipe: str,
        params: dict[str, Any],
        metrics: dict[str, float],
        dataset: DatasetVersion,
    ) -> Candidate:
        """Log and register the model saved in `model_dir`. The same key gives the same candidate.

        A run of this key that was killed half-way is finished if its version was already
        registered, and otherwise deleted and made again.
        """
        with self._faults():
            found = self._resumed(key)
            if found:
                return found
            run = self._client.create_run(
                self._experiment,
                run_name=f"{dataset.id}-{recipe}",
                tags={KEY: key, RECIPE: recipe, DATASET: dataset.id},
            )
            try:
                self._log_numbers(run.info.run_id, params, metrics, dataset)
                doing("registering the model")
                version = self._register(run.info.run_id, model_dir, dataset)
            except BaseException:  # Ctrl-C too: a run that stopped half-way must not look alive
                self._client.set_terminated(run.info.run_id, "FAILED")
                raise
            self._client.set_terminated(run.info.run_id, "FINISHED")
            return _candidate(self._client.get_run(run.info.run_id), version)

    def attach(self, run_id: str, files: list[Path], metrics: dict[str, float]) -> None:
        """Report files and numbers, kept with a candidate's run. Doing it again replaces them."""
        with self._faults():
            for path in files:
                self._client.log_artifact(run_id, str(path), "reports")
            for name, value in metrics.items():
                self._client.log_metric(run_id, name, value)

    def attach_curves(self, run_id: str, curves: Mapping[str, Sequence[float]], when: datetime) -> None:
        """A value for each step of a training, kept with its run. Doing it again changes nothing."""
        from mlflow.entities import Metric

        stamp = int(when.timestamp() * 1000)
        with self._faults():
            for name, values in curves.items():
                kept = len(self._client.get_metric_history(run_id, name))
                points = [Metric(name, v, stamp, step) for step, v in enumerate(values)][kept:]
                for at in range(0, len(points), BATCH):
                    self._client.log_batch(run_id, metrics=points[at : at + BATCH])

    def versions(self) -> list[Candidate]:
        """Every registered version, oldest first."""
        with self._faults():
            return [_candidate(self._client.get_run(v.run_id), v) for v in self._versions()]

    def candidate(self, version: str) -> Candidate:
        """One registered version. Raises ModelError when there is none."""
        with self._faults():
            found = self._version(version)
            return _candidate(self._client.get_run(found.run_id), found)

    # -- models ---------------------------------------------------------------------------

    def load(self, version: str) -> Model:
        """The model of a version. Raises ModelError when there is none or its files are broken."""
        return families.load(self.path(version))

    def labels(self, version: str) -> list[str]:
        """What a version may answer; its weights are not loaded. Raises ModelError as `load`."""
        return families.labels_of(self.path(version))

    def path(self, version: str) -> Path:
        """A local folder with the files of a version, fetched once where artifacts are remote."""
        folder = self._beside(version) or self._fetched(version)
        try:
            return next((folder / "data").iterdir())
        except (OSError, StopIteration):
            raise ModelError(
                "the files of a model version are gone",
                where=str(folder),
                got=f"no model of version {version} there",
                do="put the folder back from a copy, or serve another version: everloop rollout",
            ) from None

    # -- aliases --------------------------------------------------------------------------

    def version(self, alias: str) -> str | None:
        """Who is `champion` or `challenger`; None when nobody is."""
        with self._faults():
            found = self._client.search_registered_models(f"name = '{NAME}'")
            named = found[0].aliases.get(alias) if found else None
        return None if named is None else str(named)

    def point(self, alias: str, version: str) -> None:
        """Let `alias` mean `version` from now on."""
        with self._faults():
            self._client.set_registered_model_alias(NAME, alias, self._version(version).version)

    # -- inside ---------------------------------------------------------------------------

    @property
    def _embedded(self) -> bool:
        """No server: the database and the artifacts are files of this workspace."""
        return self._workspace.tracking_url.startswith(SQLITE)

    @property
    def _owned(self) -> bool:
        """The tracking database lies in the workspace, and goes where that goes."""
        return self._workspace.tracking_url == f"{SQLITE}{self._workspace.tracking}"

    @cached_property
    def _client(self) -> Any:
        if self._owned:
            follow(self._workspace.tracking, self._workspace.artifacts)
        return connect(self._workspace.tracking_url)

    @cached_property
    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(NAME)
        if found and found.lifecycle_stage == "deleted":
            state = f"experiment {found.experiment_id} ({NAME}): its current state is deleted"
            raise refusal(self._workspace.tracking_url, Exception(state), str(found.experiment_id))
        if found:
            return str(found.experiment_id)
        place = self._workspace.artifacts.resolve().as_uri() if self._embedded else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on training runs
        return str(self._client.create_experiment(NAME, artifact_location=place, tags=kind))

    def _resumed(self, key: str) -> Candidate | None:
        runs = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{key}'")
        registered = {v.run_id: v for v in self._versions()} if runs else {}
        whole = [r for r in runs if r.info.run_id in registered]
        for run in (r for r in runs if r not in whole):
            made = f"source_run_id = '{run.info.run_id}'"
            for model in self._client.search_logged_models([self._experiment], made):
                self._client.delete_logged_model(model.model_id)
            self._client.delete_run(run.info.run_id)
        if not whole:
            return None
        if whole[0].info.status != "FINISHED":
            self._client.set_terminated(whole[0].info.run_id, "FINISHED")
        return _candidate(whole[0], registered[whole[0].info.run_id])

    def _log_numbers(
        self, run_id: str, params: dict[str, Any], metrics: dict[str, float], dataset: DatasetVersion
    ) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

        when = int(dataset.as_of.timestamp() * 1000)  # the stream's time, also in a replay
        self._client.log_batch(
            run_id,
            metrics=[Metric(k, v, when, 0) for k, v in metrics.items()],
            params=[Param(k, str(v)) for k, v in params.items()],
        )
        source = json.dumps({"tag": f"dataset/{dataset.id}", "commit": dataset.commit})
        profile = json.dumps({"rows": dataset.rows, "labels": dataset.labels})
        entity = Dataset("data/dataset", dataset.revision, "dvc", source, profile=profile)
        tags = [InputTag("mlflow.data.context", "training"), InputTag("id", dataset.id)]
        self._client.log_inputs(run_id, datasets=[DatasetInput(entity, tags)])

    def _register(self, run_id: str, model_dir: Path, dataset: DatasetVersion) -> Any:
        from mlflow.entities import LoggedModelOutput

        tags = {DATASET: dataset.id}
        model = self._client.create_logged_model(
            self._experiment, name=NAME, source_run_id=run_id, tags=tags, model_type="text-classifier"
        )
        with tempfile.TemporaryDirectory() as temporary:
            _save_pyfunc(Path(temporary) / "model", model_dir, run_id, model.model_id)
            self._client.log_model_artifacts(model.model_id, str(Path(temporary) / "model"))
        if model.artifact_location.startswith("file:"):
            folder = self._local(model.artifact_location, model.model_id)
            _share_weights(folder)
            sync_tree(folder)
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        if not self._client.search_registered_models(f"name = '{NAME}'"):
            self._client.create_registered_model(NAME)
        # a local database resolves models:/ through the global tracking server, which is not ours
        source = model.artifact_location if self._embedded else f"models:/{model.model_id}"
        return self._client.create_model_version(
            NAME, source, run_id, tags={**tags, MODEL: model.model_id}, model_id=model.model_id
        )

    def _versions(self) -> list[Any]:
        found, token = [], None
        while True:
            page = self._client.search_model_versions(f"name = '{NAME}'", page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return sorted(found, key=lambda v: int(v.version))

    def _version(self, version: str) -> Any:
        try:
            return self._client.get_model_version(NAME, version)
        except quiet_mlflow().exceptions.MlflowException:
            known = [str(v.version) for v in self._versions()]
            if version in known:
                raise  # it is there: the database is at fault
            raise ModelError(
                "no such model version",
                where=self._workspace.tracking_url,
                got=version,
                expected=", ".join(known) or "none is registered yet",
            ) from None

    def _beside(self, version: str) -> Path | None:
        """Where the model of a version lies in the workspace itself, known without MLflow."""
        place = self._workspace
        found = self._owned and address_of(place.tracking, NAME, version, MODEL)
        return folder_of(found, place.artifacts) if found and found.startswith("file:") else None

    def _fetched(self, version: str) -> Path:
        with self._faults():
            logged = self._client.get_logged_model(self._version(version).tags[MODEL])
            return self._local(logged.artifact_location, logged.model_id)

    def _local(self, location: str, model_id: str) -> Path:
        """The folder behind an artifact location; a remote one is downloaded once."""
        if location.startswith("file:"):
            artifacts = self._workspace.artifacts if self._owned else None
            return folder_of(location, artifacts)
        folder = self._workspace.state / "models" / model_id
        if not folder.exists():
            part = folder.with_name(f".{model_id}.part")
            url = self._workspace.tracking_url
            fetch = quiet_mlflow().artifacts.download_artifacts
            got = waiting(url, fetch)(location, dst_path=str(part), tracking_uri=url)
            os.replace(got, folder)
            shutil.rmtree(part)
        return folder

    @contextmanager
    def _faults(self) -> Iterator[None]:
        exceptions = quiet_mlflow().exceptions
        try:
            yield
        except exceptions.MlflowException as fault:
            raise refusal(self._workspace.tracking_url, fault) from fault


def _candidate(run: Any, version: Any) -> Candidate:
    tags = run.data.tags
    return Candidate(
        version=str(version.version),
        run_id=run.info.run_id,
        dataset=tags[DATASET],
        recipe=tags[RECIPE],
        metrics=dict(run.data.metrics),
    )


def _share_weights(folder: Path) -> None:
    """Weights that another version has as well lie on the disk once: a version may be other examples
    for the same weights. `folder` is `models/ID/artifacts`, as MLflow lays it out."""
    model = folder.parent
    for file in folder.rglob(WEIGHTS):
        same_place = model.parent.glob(f"*/{file.relative_to(model)}")
        share_content(file, sorted(set(same_place) - {file}))


def _save_pyfunc(folder: Path, model_dir: Path, run_id: str, model_id: str) -> None:
    """The model as `mlflow models serve` takes it: our files and who loads them. No pickle."""
    mlflow = quiet_mlflow()
    needed = (*REQUIREMENTS, *families.packages_of(model_dir))
    text, score = mlflow.types.DataType.string, mlflow.types.DataType.double
    columns = mlflow.types.ColSpec
    signature = mlflow.models.ModelSignature(
        mlflow.types.Schema([columns(text)]),  # unnamed: a column or a list of texts
        mlflow.types.Schema([columns(text, "label"), columns(score, "score")]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for an input example, which would load the model
        mlflow.pyfunc.save_model(
            folder,
            loader_module="core.models.pyfunc",
            data_path=str(model_dir),
            signature=signature,
            pip_requirements=[f"{n}=={importlib.metadata.version(n)}" for n in needed],
            mlflow_model=mlflow.models.Model(run_id=run_id, model_id=model_id),
        )
