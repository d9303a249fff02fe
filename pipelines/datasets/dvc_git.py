"""Git and DVC of one workspace. DVC runs in this process: a second interpreter costs 0.4 s.

Nothing of the user's own git set-up (hooks, signing, editors) takes part in the commits made here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from core.errors import DatasetError

WAIT_SECONDS = 60
QUIET = ("core.hooksPath=/dev/null", "commit.gpgsign=false", "tag.gpgsign=false", "gc.auto=0")
TAGS = "refs/tags/dataset/"
OTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
)


class Repository:
    """What versions and init need of git and DVC. Every refusal is a DatasetError."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock: IO[str] | None = None

    # -- one at a time ----------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the workspace's versions. If the last holder was killed, clear what it left locked.

        The git commands started meanwhile hold the lock too, so whoever gets it knows that none of
        them is still running.
        """
        path = self.root / ".everloop" / "versions.lock"
        path.parent.mkdir(exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            self._wait(file)
            file.seek(0)
            if file.read():
                self._clear_locks()
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            self._lock = file
            try:
                yield
            finally:
                self._lock = None
                file.truncate(0)

    def _wait(self, file: IO[str]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DatasetError(
                        "another process is making a version here",
                        where=str(self.root),
                        got=f"still busy after {WAIT_SECONDS} s",
                        do="wait for it to end, then again",
                    ) from None
                time.sleep(0.05)

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

    # -- git --------------------------------------------------------------------------------

    def git(
        self,
        *arguments: str,
        settings: Sequence[str] = (),
        stdin: str = "",
        date: datetime | None = None,
    ) -> str:
        """What git prints. Raises DatasetError with git's own words."""
        env = {k: v for k, v in os.environ.items() if k not in OTHER_REPOSITORY}
        env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        if date:
            env |= {"GIT_AUTHOR_DATE": date.isoformat(), "GIT_COMMITTER_DATE": date.isoformat()}
        chosen = [x for setting in (*QUIET, *settings) for x in ("-c", setting)]
        held = (self._lock.fileno(),) if self._lock else ()
        try:
            done = subprocess.run(
                ["git", "-C", str(self.root), *chosen, *arguments],
                input=stdin.encode(),
                capture_output=True,
                env=env,
                pass_fds=held,
                check=False,
            )
        except FileNotFoundError:
            raise DatasetError("git is not installed", got="no `git` on the PATH") from None
        if done.returncode:
            raise self._refusal(arguments[0], done.stderr.decode(errors="replace").strip())
        return done.stdout.decode("utf-8")

    def _refusal(self, command: str, words: str) -> DatasetError:
        locked = ".lock': File exists" in words
        do = "end the other git command; if there is none, remove that .lock file" if locked else ""
        lines = words.splitlines() or ["no reason given"]
        reason = next((x for x in lines if x.startswith(("fatal:", "error:"))), lines[0])
        return DatasetError(f"git {command} refuses", where=str(self.root), got=reason, do=do)

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
        listed = self.git("for-each-ref", "--format=%(refname) %(objectname)", TAGS).splitlines()
        return dict(sorted(line.removeprefix(TAGS).split() for line in listed))

    def tag(self, version: str, commit: str) -> None:
        self.git("tag", f"dataset/{version}", commit)

    def read(self, revision: str, paths: Sequence[str]) -> list[str]:
        """Files of a revision; "" for one that is not in it."""
        return self.read_many([f"{revision}:{p}" for p in paths])

    def read_many(self, objects: Sequence[str]) -> list[str]:
        """Objects such as `HEAD:params.yaml`, all with one git command."""
        raw = self.git("cat-file", "--batch", stdin="".join(f"{o}\n" for o in objects)).encode()
        found = []
        for _ in objects:
            head, raw = raw.split(b"\n", 1)
            size = 0 if head.endswith(b" missing") else int(head.split()[-1])
            found.append(raw[:size].decode("utf-8"))
            raw = raw[size + 1 :] if not head.endswith(b" missing") else raw
        return found

    def restore(self, revision: str, paths: Sequence[str]) -> None:
        """Put files of a revision into the folder; HEAD and the index stay."""
        self.git("restore", f"--source={revision}", "--worktree", "--", *paths)

    # -- DVC --------------------------------------------------------------------------------

    def track(self, folders: Sequence[str], stage: str) -> None:
        """Put data folders and the outputs of a stage into the DVC cache, .dvc files and dvc.lock."""
        new = [str(self.root / f) for f in folders if not (self.root / f"{f}.dvc").exists()]
        if new:
            with self._dvc() as dvc:
                dvc.add(new)
        with self._dvc() as dvc, dvc.lock:
            # Repo.commit, less the run cache: that one works in the current folder only
            tracked = [dvc.stage.load_one(p) for p in self._pointers(folders)]
            for done in (*tracked, dvc.stage.load_one(str(self.root / "dvc.yaml"), stage)):
                done.save(run_cache=False)
                done.commit()
                done.dump(update_pipeline=False)

    def push(self, folders: Sequence[str], stage: str) -> None:
        """Send what the default remote lacks."""
        with self._dvc() as dvc:
            _forget_index(dvc)
            dvc.push([*self._pointers(folders), self._stage(stage)])

    def unsaved(self, folders: Sequence[str]) -> list[str]:
        """Files of these folders that the DVC cache does not have: bringing others would lose them."""
        files = sorted(p for f in folders for p in (self.root / f).rglob("*") if p.is_file())
        with self._dvc() as dvc:
            cache = dvc.cache.local
            lost = [p for p in files if not cache.exists(hashlib.md5(p.read_bytes()).hexdigest())]
        return [str(p.relative_to(self.root)) for p in lost]

    def bring(self, folders: Sequence[str], stage: str) -> None:
        """Make the folders what their .dvc files and dvc.lock say, from the cache or the remote."""
        targets = [*self._pointers(folders), self._stage(stage)]
        with self._dvc() as dvc:
            try:
                dvc.checkout(targets, force=True)
            except dvc_errors().CheckoutError:
                _forget_index(dvc)
                dvc.pull(targets, force=True)

    def read_data(self, commit: str, paths: Sequence[str]) -> list[bytes]:
        """DVC-tracked files of a commit; the folder is left alone."""
        with self._dvc() as here:  # of a commit, DVC would read the remote's relative path from /
            remotes = {name: {**here.config["remote"][name]} for name in here.config["remote"]}
        from dvc_data.index import DataIndexDirError

        try:
            with self._dvc({"remote": remotes}, rev=commit) as dvc:
                return [dvc.dvcfs.cat_file(path) for path in paths]
        except DataIndexDirError:
            raise DatasetError(
                "the data of a version is neither in the DVC cache nor at the remote",
                where=str(self.root),
                got=f"no {paths[0]} of commit {commit[:12]}",
                do="dvc remote modify local url URL, where the data was pushed to",
            ) from None

    def _pointers(self, folders: Sequence[str]) -> list[str]:
        return [str(self.root / f"{f}.dvc") for f in folders]

    def _stage(self, name: str) -> str:
        return f"{self.root / 'dvc.yaml'}:{name}"

    @contextmanager
    def _dvc(self, settings: dict[str, Any] | None = None, **options: Any) -> Iterator[Any]:
        os.environ.setdefault("DVC_NO_ANALYTICS", "1")
        from dvc.repo import Repo

        for name in ("dvc", "dvc_data", "dvc_objects"):
            logging.getLogger(name).setLevel(logging.ERROR)
        core = {"autostage": False, "site_cache_dir": str(self.root / ".dvc/tmp/site")}
        config = {**(settings or {}), "core": core}
        try:
            with warnings.catch_warnings(), Repo(str(self.root), config=config, **options) as repo:
                # DVC's own use of pygtrie
                warnings.filterwarnings("ignore", "_NoneStep.value", DeprecationWarning)
                yield repo
        except (dvc_errors().DvcException, OSError) as fault:
            raise DatasetError("DVC refuses", where=str(self.root), got=str(fault)) from fault


def _forget_index(dvc: Any) -> None:
    """DVC takes the half of an index that a killed process left for a whole one, and sends half."""
    dvc.drop_data_index()


def dvc_errors() -> Any:
    import dvc.exceptions

    return dvc.exceptions
