"""MLflow's own database of a workspace holds the absolute address of every artifact.

Of a workspace that was copied or moved they are put right before the database is opened, so that a
copy reads and writes its own files and never those of the workspace it was copied from. MLflow has no
call that changes a stored address (its issues 3144 and 3719 ask for one), so its tables are written.

Where a model lies is read here too. `MlflowClient.get_logged_model` says it as well, but to import
MLflow for one address takes two seconds, in which a server could answer.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

WAIT_SECONDS = 60.0
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)

ADDRESS = """
SELECT artifact_location FROM logged_models
JOIN model_version_tags AS tags ON tags.value = model_id
JOIN model_versions AS versions ON versions.name = tags.name AND versions.version = tags.version
WHERE versions.current_stage <> 'Deleted_Internal' AND lifecycle_stage = 'active'
AND tags.name = ? AND tags.version = ? AND tags.key = ?
"""


def follow(database: Path, artifacts: Path) -> None:
    """Let the addresses of a workspace's own tracking database lead into its own folder `artifacts`."""
    if not database.exists():
        return
    here = artifacts.resolve().as_uri()
    with (
        suppress(sqlite3.Error),  # MLflow says it better, when it opens the database
        closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as db,
    ):
        for was in _elsewhere(db, here):
            with db:
                for table, column in ADDRESSES:
                    db.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (here, len(was) + 1, was, len(was) + 1, f"{was}/"),
                    )


def address_of(database: Path, name: str, version: str, tag: str) -> str | None:
    """The address of the logged model that a tag of a registered version names. None where it is not
    to be had: MLflow then says why."""
    with (
        suppress(sqlite3.Error),
        closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)
        ) as db,
    ):
        found = db.execute(ADDRESS, (name, version, tag)).fetchone()
        return str(found[0]) if found else None
    return None


def folder_of(location: str, artifacts: Path | None) -> Path:
    """The folder of an address that begins with `file:`. One of the workspace at another path, as a
    container has it, leads to its own `artifacts`, where they are given."""
    path = unquote(urlparse(location).path)
    if artifacts is None:
        return Path(path)
    _, inside, rest = path.rpartition(f"/{_name(artifacts)}/")
    return artifacts / rest if inside else Path(path)


def _elsewhere(db: sqlite3.Connection, here: str) -> list[str]:
    found = db.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    ends = f"/{_name(Path(unquote(urlparse(here).path)))}"
    return [x for (x,) in found if x and x != here and x.startswith("file:") and x.endswith(ends)]


def _name(artifacts: Path) -> str:
    return f"{artifacts.parent.name}/{artifacts.name}"
