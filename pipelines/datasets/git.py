"""Git of one workspace. Nothing of the user's own set-up (hooks, signing, editors) takes part in
the commits made here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from core.errors import DatasetError
from pipelines.datasets.layout import order
from pipelines.datasets.lock import held

QUIET = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",  # may name a program
    "commit.gpgsign=false",
    "tag.gpgsign=false",
    "gc.auto=0",
    "core.fsync=all",  # a version that was named survives a power cut; git alone syncs no tag
)
TAGS = "refs/tags/dataset/"
OTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
)


class Git:
    """What versions and init need of git. Every refusal is a DatasetError with git's own words."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock: IO[str] | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the workspace's versions. If the last holder was killed, clear what it left locked.

        The git commands started meanwhile hold the lock too, so whoever gets it knows that none of
        them is still running.
        """
        with held(self.root / ".everloop" / "versions.lock", self._clear_locks) as file:
            self._lock = file
            try:
                yield
            finally:
                self._lock = None

    def _clear_locks(self) -> None:
        if not (self.root / ".git").exists():
            return
        for folder in {self._git_folder("--absolute-git-dir"), self._git_folder("--git-common-dir")}:
            for lock in (*folder.glob("*.lock"), *folder.glob("refs/**/*.lock")):
                lock.unlink(missing_ok=True)
        readers = self.root / ".dvc" / "tmp" / "rwlock"
        try:
            json.loads(readers.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except ValueError:  # DVC was killed while writing it
            readers.unlink()

    def git(
        self,
        *arguments: str,
        settings: Sequence[str] = (),
        stdin: str = "",
        date: datetime | None = None,
    ) -> str:
        """What git prints; bytes that are no UTF-8 are lone surrogates. Raises DatasetError with git's
        own words."""
        env = {k: v for k, v in os.environ.items() if k not in OTHER_REPOSITORY}
        env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        if date:
            env |= {"GIT_AUTHOR_DATE": date.isoformat(), "GIT_COMMITTER_DATE": date.isoformat()}
        chosen = [x for setting in (*QUIET, *settings) for x in ("-c", setting)]
        try:
            done = subprocess.run(
                ["git", "-C", str(self.root), *chosen, *arguments],
                input=stdin.encode(),
                capture_output=True,
                env=env,
                pass_fds=(self._lock.fileno(),) if self._lock else (),
                check=False,
            )
        except FileNotFoundError:
            raise DatasetError("git is not installed", got="no `git` on the PATH") from None
        if done.returncode:
            raise self._refusal(arguments[0], done.stderr.decode(errors="replace").strip())
        return done.stdout.decode("utf-8", "surrogateescape")

    def _refusal(self, command: str, words: str) -> DatasetError:
        lines = words.splitlines() or ["no reason given"]
        reason = next((x for x in lines if x.startswith(("fatal:", "error:"))), lines[0])
        do = _advice(words)
        return DatasetError(f"git {command} refuses", where=str(self.root), got=reason, do=do)

    def check(self) -> None:
        """Raises DatasetError when git does not work here: before the work, not after it."""
        self.git("rev-parse", "--git-dir")

    def _git_folder(self, which: str) -> Path:
        return (self.root / self.git("rev-parse", which).strip()).resolve()

    def start(self) -> None:
        """Make the folder itself a git repository, whatever it lies in. Again does nothing."""
        if not (self.root / ".git").is_file() and not (self.root / ".git" / "HEAD").exists():
            self.git("init", "--quiet", "--initial-branch=main", ".")

    def has_commits(self) -> bool:
        return bool(self.git("rev-list", "--all", "-n1").strip())

    def branch(self) -> str:
        """The branch that HEAD is on, "" when it is on none."""
        return self.git("branch", "--show-current").strip()

    def busy(self) -> str:
        """What the user has begun and not ended, as "merge"; "" for nothing."""
        folder = self._git_folder("--absolute-git-dir")
        begun = {"merge": "MERGE_HEAD", "cherry-pick": "CHERRY_PICK_HEAD", "revert": "REVERT_HEAD"}
        return next((name for name, file in begun.items() if (folder / file).exists()), "")

    def hooks(self) -> Path | None:
        """The folder of this repository's own hooks; None where the user keeps them elsewhere."""
        return (
            None if self._setting("core.hooksPath") else self._git_folder("--git-common-dir") / "hooks"
        )

    def _setting(self, name: str) -> str:
        """A setting of the user's, "" where there is none."""
        found = self.git("config", "--get-all", name, settings=[f"{name}="]).splitlines()
        return next((x for x in found if x not in ("", "/dev/null")), "")

    def changed(self, paths: Sequence[str], revision: str = "HEAD") -> list[str]:
        """Which of these paths are not as in a revision."""
        return self.git("diff", "--name-only", revision, "--", *paths).split()

    def uncommitted(self, paths: Sequence[str]) -> list[str]:
        """Which of these paths HEAD does not have as they are."""
        listed = self.git("status", "--porcelain", "-uall", "--no-renames", "-z", "--", *paths)
        return sorted(line[3:] for line in listed.split("\0") if line)

    def commit(self, paths: Sequence[str], message: str, date: datetime | None = None) -> str:
        """Commit these paths and nothing else, if any changed; the hash of HEAD afterwards."""
        here = [p for p in paths if (self.root / p).exists()]
        self.git("add", "--", *here)
        if self.uncommitted(here):
            what = ["commit", "--quiet", "-m", message, "--only", "--", *here]
            self.git(*what, settings=self._identity(), date=date)
        return self.git("rev-parse", "HEAD").strip()

    def _identity(self) -> list[str]:
        if self._setting("user.email") or "GIT_COMMITTER_EMAIL" in os.environ:
            return []
        return ["user.name=Everloop", "user.email=everloop@localhost"]

    def tags(self) -> dict[str, str]:
        """Dataset version -> commit, oldest version first."""
        form = "--format=%(refname) %(objectname) %(*objectname)"  # the last: of an annotated tag
        listed = [line.split() for line in self.git("for-each-ref", form, TAGS).splitlines()]
        found = {words[0].removeprefix(TAGS): words[-1] for words in listed}
        return {name: found[name] for name in sorted(found, key=order)}

    def commit_of(self, version: str) -> str:
        """The commit of a version, "" when there is no such tag. A thousand others cost nothing."""
        (text,) = self.git(
            "cat-file", "--batch-check", stdin=f"{TAGS}{version}^{{commit}}\n"
        ).splitlines()
        return "" if text.endswith("missing") else text.split()[0]

    def tag(self, version: str, commit: str) -> None:
        self.git("tag", f"dataset/{version}", commit)

    def untag(self, version: str) -> None:
        self.git("tag", "--delete", f"dataset/{version}")

    def follows(self, commit: str, earlier: str) -> bool:
        """Whether `earlier` is in the history of `commit`."""
        return not self.git("rev-list", "-n1", earlier, f"^{commit}").strip()

    def read(self, revision: str, paths: Sequence[str]) -> list[str]:
        """Files of a revision; "" for one that is not in it."""
        return self.read_many([f"{revision}:{p}" for p in paths])

    def read_many(self, objects: Sequence[str]) -> list[str]:
        """Objects such as `HEAD:params.yaml`, all with one git command; "" for what is no file."""
        printed = self.git("cat-file", "--batch", stdin="".join(f"{o}\n" for o in objects))
        raw = printed.encode("utf-8", "surrogateescape")  # sizes are in bytes
        found, at = [], 0
        for _ in objects:
            end = raw.index(b"\n", at)
            head, at = raw[at:end], end + 1
            if head.endswith(b" missing"):
                found.append("")
                continue
            kind, size = head.split()[-2], int(head.split()[-1])
            found.append("" if kind == b"tree" else raw[at : at + size].decode("utf-8"))
            at += size + 1
        return found

    def restore(self, revision: str, paths: Sequence[str]) -> None:
        """Put files of a revision into the folder; HEAD and the index stay."""
        self.git("restore", f"--source={revision}", "--worktree", "--", *paths)


def _advice(words: str) -> str:
    """What to do about git's refusal: where git says it itself, its own words."""
    own = re.search(r"git config --global --add safe\.directory .+", words)
    if own:
        return f"if you trust who owns it: {own[0]}"
    lock = re.search(r"'(.+\.lock)': File exists", words)
    if lock:
        return f"end the other git command; if there is none: rm {shlex.quote(lock[1])}"
    if "No space left" in words:
        return "make room on the disk, then again"
    if re.search(r"Permission denied|Read-only file system|insufficient permission", words):
        return "give yourself the right to write there (see who owns .git), then again"
    return ""
