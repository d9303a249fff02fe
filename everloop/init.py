"""`everloop init DIR`: a git + DVC workspace, one model's home."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import yaml

from core.errors import WorkspaceError
from core.files import write_whole
from core.tasks import CLASSIFICATION, GENERATION
from core.workspace import Workspace, check_name
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.local import LOCAL, local_settings

TEMPLATES = Path(__file__).parent / "templates"
PARAMS = {CLASSIFICATION: "params.yaml", GENERATION: "params-generation.yaml"}  # of a new workspace
DVC_CONFIG = """\
[core]
    analytics = false
    check_update = false
    autostage = true
    remote = local
['remote "local"']
    url = ../.everloop/remote
"""
# `dvc repro` takes the data that lies there for the data that is meant, so the data follows the commit
HOOK = """\
#!/bin/sh
# Everloop: the data of the commit comes along, when a whole commit is checked out
[ "$3" = 1 ] && [ -d data/blocks ] && [ ! -d .git/rebase-merge ] || exit 0
command -v dvc >/dev/null || { echo "no dvc on the PATH; later: dvc checkout" >&2; exit 0; }
said=$(dvc checkout --quiet data/blocks/*.dvc data/champion.dvc datasets 2>&1) && exit 0
# what stands for a file of which rows were forgotten, only Everloop knows
version=$(git describe --exact-match --tags --match 'dataset/*' 2>/dev/null)
[ -n "$version" ] && command -v everloop >/dev/null && exec everloop data checkout "${version#dataset/}"
echo "$said" >&2
exit 1
"""
OUR_HOOK = HOOK.splitlines()[1]  # those of older versions have it too
IGNORED = {
    ".gitignore": (".everloop/", "/reports/"),
    ".dvc/.gitignore": ("/config.local", "/tmp", "/cache"),
    ".dvcignore": (".venv/", ".everloop/"),
    "data/.gitignore": ("/reservoir", "/dataset", "/champion", "/candidate"),
}
OURS = ("params.yaml", "dvc.yaml", ".dvc/config", *IGNORED)


def init(
    directory: Path, say: Callable[[str], None] = lambda _: None, task: str = CLASSIFICATION
) -> Workspace:
    """Make the folder a workspace, adding only what is missing; `say` is told each thing done.

    A new repository gets its first commit; in one that has commits the user is told what to commit.
    Raises WorkspaceError, before anything is written, when the folder has other files by these names,
    or there is no such task.
    """
    root, params = directory.expanduser().absolute(), template(task)
    check_name(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check_free(root)
        repository = Repository(root)
        repository.start()
        with repository.exclusive():
            made = _write_missing(root, params) + _write_hook(repository)
            for name in made:
                say(f"made {name}")
            _commit(repository, bool(made), say)
    except OSError as fault:
        raise WorkspaceError(
            "a workspace cannot be made here",
            where=str(root),
            got=str(fault),
            expected="a writable folder",
        ) from None
    return Workspace(root.resolve())


def template(task: str) -> Path:
    """The params.yaml that a workspace of this task begins with. Raises WorkspaceError."""
    if task not in PARAMS:
        raise WorkspaceError("no such task", where="--task", got=task, expected=" or ".join(PARAMS))
    return TEMPLATES / PARAMS[task]


def _check_free(root: Path) -> None:
    """This is a workspace, or what is there is as init would write it."""
    if _is_ours(root / "dvc.yaml"):
        return
    taken = [
        n for n in ("params.yaml", "dvc.yaml") if (root / n).exists() and not _is_template(root / n)
    ]
    if taken:
        raise WorkspaceError(
            "the folder is not a workspace and has files of these names",
            where=str(root),
            got=", ".join(taken),
            expected="an empty folder, or one without them",
            do="move them away, or choose another folder",
        )


def _is_ours(dvc_yaml: Path) -> bool:
    try:
        stages = yaml.safe_load(dvc_yaml.read_text(encoding="utf-8"))["stages"]
        return all(
            "everloop stage" in str(stages[n]["cmd"]) for n in ("datasets", "training", "testing")
        )
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return False


def _is_template(path: Path) -> bool:
    known = {path.name, *PARAMS.values()} if path.name in PARAMS.values() else {path.name}
    return _read(path) in [_read(TEMPLATES / name) for name in known]


def _write_missing(root: Path, params: Path) -> list[str]:
    """Write what is not there; the names of it."""
    wanted = {".dvc/config": DVC_CONFIG, "params.yaml": _read(params)}
    wanted["dvc.yaml"] = _read(TEMPLATES / "dvc.yaml")
    wanted = {n: text for n, text in wanted.items() if not (root / n).exists()}
    for name, lines in IGNORED.items():
        text = _read(root / name)
        missing = [x for x in lines if x not in text.splitlines()]
        if missing:
            gap = "" if text.endswith("\n") or not text else "\n"
            wanted[name] = text + gap + "".join(f"{x}\n" for x in missing)
    if (local := local_settings(root)) is not None:
        wanted[LOCAL] = local
    for name, text in wanted.items():
        _write(root / name, text)
    return list(wanted)


def _write_hook(repository: Repository) -> list[str]:
    folder = repository.hooks()
    if folder is None:
        return []
    found = _read(folder / "post-checkout")
    if found == HOOK or (found and OUR_HOOK not in found):
        return []
    _write(folder / "post-checkout", HOOK, mode=0o755)
    return [".git/hooks/post-checkout"]


def _commit(repository: Repository, made: bool, say: Callable[[str], None]) -> None:
    if not repository.has_commits():
        repository.commit(OURS, "An Everloop workspace")
        say("made the first commit")
        return
    uncommitted = repository.uncommitted(OURS)
    if uncommitted:
        names = " ".join(shlex.quote(n) for n in uncommitted)
        say(f"commit it: git add {names} && git commit -m 'An Everloop workspace' -- {names}")
    elif not made:
        say(f"{repository.root} is a workspace already; nothing to do")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    write_whole(path, text, mode=mode)
