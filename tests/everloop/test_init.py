"""`everloop init`: only what is missing is added, however often and wherever it is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import WorkspaceError
from core.workspace import find
from everloop import init as module
from everloop.init import HOOK, OUR_HOOK, init
from pipelines.datasets.dvc_git import Repository

PARAMS = "datasets:\n  policy: all\n"


@pytest.fixture(autouse=True)
def templates(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "dvc.yaml").write_bytes((module.TEMPLATES / "dvc.yaml").read_bytes())
    (folder / "params.yaml").write_text(PARAMS)
    monkeypatch.setattr(module, "TEMPLATES", folder)


def files(root: Path) -> dict[str, bytes]:
    """Every file but git's own."""
    found = [p for p in root.rglob("*") if p.is_file() and ".git" not in p.relative_to(root).parts]
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


def git(root: Path, *arguments: str) -> str:
    return Repository(root).git(*arguments)


def test_a_new_workspace_is_whole_and_committed(tmp_path: Path) -> None:
    said: list[str] = []
    workspace = init(tmp_path / "deep" / "shop", said.append)
    assert find(tmp_path / "deep" / "shop") == workspace
    assert git(workspace.root, "status", "--porcelain") == ""
    assert git(workspace.root, "branch", "--show-current") == "main\n"
    assert git(workspace.root, "ls-files").split() == [
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvcignore",
        ".gitignore",
        "data/.gitignore",
        "dvc.yaml",
        "params.yaml",
    ]
    assert said[-1] == "made the first commit"


def test_dvc_takes_the_settings(tmp_path: Path) -> None:
    from dvc.config import Config

    root = init(tmp_path / "shop").root
    settings = Config(str(root / ".dvc"))
    assert settings["core"]["analytics"] is False
    assert settings["core"]["check_update"] is False
    assert settings["core"]["autostage"] is True
    assert settings["core"]["remote"] == "local"
    assert os.path.realpath(settings["remote"]["local"]["url"]) == str(root / ".everloop/remote")
    assert settings["core"]["site_cache_dir"] == str(root / ".dvc/tmp/site")


def test_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    root = init(tmp_path).root
    (root / "params.yaml").write_text("mine: true\n")
    Repository(root).commit(["params.yaml"], "mine")
    before, head = files(root), git(root, "rev-parse", "HEAD")
    said: list[str] = []
    init(tmp_path, said.append)
    assert said == [f"{root} is a workspace already; nothing to do"]
    assert (files(root), git(root, "rev-parse", "HEAD")) == (before, head)


class KilledError(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("n", range(12))
def test_a_half_made_workspace_is_finished(
    tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [n]

    def die(step):  # type: ignore[no-untyped-def]  # wraps any function
        def wrapped(*args, **kwargs):  # type: ignore[no-untyped-def]
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return step(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die(os.replace))
        patch.setattr(Repository, "git", die(Repository.git))
        with pytest.raises(KilledError):
            init(tmp_path / "shop")
    whole, finished = init(tmp_path / "whole").root, init(tmp_path / "shop").root
    expected = {k: v for k, v in files(whole).items() if k != ".dvc/config.local"}
    assert {k: v for k, v in files(finished).items() if k != ".dvc/config.local"} == expected
    assert git(finished, "status", "--porcelain") == ""
    assert git(finished, "rev-list", "--count", "HEAD") == "1\n"
    assert (finished / ".git/hooks/post-checkout").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("there", "renewed"),
    [(f"#!/bin/sh\n{OUR_HOOK}\nexec dvc checkout\n", True), ("#!/bin/sh\necho mine\n", False)],
)
def test_our_hook_is_renewed_and_the_users_own_is_left_alone(
    tmp_path: Path, there: str, renewed: bool
) -> None:
    hook = init(tmp_path / "shop").root / ".git/hooks/post-checkout"
    hook.write_text(there)
    init(tmp_path / "shop")
    assert hook.read_text() == (HOOK if renewed else there)


def test_a_repository_with_commits_is_only_added_to(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.start()
    (tmp_path / "README.md").write_text("hello\n")
    (tmp_path / ".gitignore").write_text(".venv/\n.everloop/")
    repository.commit(["README.md", ".gitignore"], "before")
    head = repository.git("rev-parse", "HEAD")
    said: list[str] = []
    init(tmp_path, said.append)
    assert (tmp_path / ".gitignore").read_text() == ".venv/\n.everloop/\n/reports/\n"
    assert repository.git("rev-parse", "HEAD") == head
    names = ".dvc/.gitignore .dvc/config .dvcignore .gitignore data/.gitignore dvc.yaml params.yaml"
    message = "An Everloop workspace"
    assert said[-1] == f"commit it: git add {names} && git commit -m '{message}' -- {names}"


def test_files_that_would_be_lost_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("lr: 1\n")
    before = files(tmp_path)
    with pytest.raises(WorkspaceError, match=r"(?s)files of these names.*params\.yaml, dvc\.yaml"):
        init(tmp_path)
    assert files(tmp_path) == before
    assert not (tmp_path / ".git").exists()


def test_other_files_stay_uncommitted(tmp_path: Path) -> None:
    (tmp_path / "stream.csv").write_text("text\nhi\n")
    root = init(tmp_path).root
    assert git(root, "status", "--porcelain") == "?? stream.csv\n"


def test_a_workspace_inside_a_repository_is_its_own(tmp_path: Path) -> None:
    Repository(tmp_path).start()
    root = init(tmp_path / "shop").root
    assert git(root, "rev-parse", "--show-toplevel").strip() == str(root)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("")
    with pytest.raises(WorkspaceError, match=r"(?s)cannot be made here.*shop"):
        init(tmp_path / "shop")


def test_hooks_and_signing_of_the_user_take_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgsign = true\n"
        "[user]\n\tname = Ann\n\temail = ann@x.org\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    root = init(tmp_path / "shop").root
    assert git(root, "log", "-1", "--format=%an <%ae>") == "Ann <ann@x.org>\n"
    assert sorted(p.name for p in hooks.iterdir()) == ["pre-commit"]


def test_a_moved_workspace_finds_its_cache_again(tmp_path: Path) -> None:
    init(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    root = init(tmp_path / "new").root
    assert f"= {root}/.dvc/tmp/site\n" in (root / ".dvc/config.local").read_text()
