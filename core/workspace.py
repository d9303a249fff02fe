"""A workspace: one model's home, a git + DVC repository. This file only knows where things lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import WorkspaceError


@dataclass(frozen=True)
class Workspace:
    """Paths and URLs of one workspace.

    Everything a machine makes and git must not see lies under `.everloop/`. `EVERLOOP_STORE`,
    `MLFLOW_TRACKING_URI` and `PREFECT_API_URL` point the same code at Postgres and at servers.
    """

    root: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def state(self) -> Path:
        return self.root / ".everloop"

    @property
    def store_url(self) -> str:
        return os.environ.get("EVERLOOP_STORE", f"sqlite:///{self.state / 'store.db'}")

    @property
    def tracking(self) -> Path:
        """MLflow's database, where no other is named."""
        return self.state / "mlflow.db"

    @property
    def tracking_url(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{self.tracking}")

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps models and reports, when its tracking database is local."""
        return self.state / "artifacts"

    @property
    def reservoir(self) -> Path:
        """Every labelled row ever, as append-only Parquet partitions. DVC."""
        return self.root / "data" / "reservoir"

    @property
    def dataset(self) -> Path:
        """The manifest of the current dataset version: which rows of the reservoir it has. DVC."""
        return self.root / "data" / "dataset"

    @property
    def version_file(self) -> Path:
        """What the current dataset version is made from. git."""
        return self.root / "data" / "version.json"

    @property
    def champion(self) -> Path:
        """The champion a candidate starts from and must beat. DVC."""
        return self.root / "data" / "champion"

    @property
    def candidate(self) -> Path:
        """The newest candidate, as the training stage left it. DVC."""
        return self.root / "data" / "candidate"

    @property
    def metrics(self) -> Path:
        """metrics/training.json and metrics/testing.json. git."""
        return self.root / "metrics"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def spool(self) -> Path:
        """Answers on disk, while the store does not take them."""
        return self.state / "spool"

    @property
    def quarantine(self) -> Path:
        """Rows that were refused, with their reasons."""
        return self.state / "quarantine"


def find(start: Path) -> Workspace:
    """The workspace at `start`, a folder. Raises WorkspaceError saying what is missing."""
    root = start.resolve()
    check_name(root)
    if not root.is_dir():
        raise WorkspaceError(
            "no such workspace", where=str(root), expected="a folder", do=f"everloop init {start}"
        )
    missing = [n for n in ("params.yaml", "dvc.yaml", ".git", ".dvc") if not (root / n).exists()]
    if missing:
        raise WorkspaceError(
            "this folder is not a workspace",
            where=str(root),
            got=f"no {', no '.join(missing)}",
            expected="params.yaml, dvc.yaml, .git and .dvc",
            do=f"everloop init {start}",
        )
    return Workspace(root)


def inside(root: Path, named: str | Path) -> bool:
    """Whether a path of a workspace stays in it: no `..`, no absolute path, no link that leads out."""
    return (root / named).resolve().is_relative_to(root.resolve())


def check_name(root: Path) -> None:
    """In the address of a database a question mark ends the file's name. Raises WorkspaceError."""
    if "?" in str(root):
        raise WorkspaceError(
            "a workspace cannot have a question mark in its path",
            where=str(root),
            do="rename the folder, or choose another",
        )
