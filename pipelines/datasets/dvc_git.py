"""Git and DVC of one workspace. DVC runs in this process: a second interpreter costs 0.4 s.

Only what a version adds is looked at: of a thousand days, the block that the new one is in.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from core.away import why
from core.errors import DatasetError
from core.files import write_whole
from pipelines.datasets.forgotten import Rewritten, entries, replaced
from pipelines.datasets.git import Git
from pipelines.datasets.layout import FORGOTTEN, pointer
from pipelines.datasets.local import settle
from pipelines.datasets.lock import busy
from pipelines.datasets.objects import Objects, md5

DVC_SECONDS = 60  # for another DVC command to end


class Repository(Git):
    """What versions and init need of git and DVC. Every refusal is a DatasetError."""

    def track(self, folders: Sequence[str], stage: str) -> None:
        """Put data folders and the outputs of a stage into the DVC cache, .dvc files and dvc.lock."""
        for folder in folders:
            self._point(folder)
        began = time.time() - 1  # a file system's clock may be coarse
        with self._dvc() as dvc, self._locked(dvc):
            # Repo.commit, less the run cache: that one works in the current folder only
            for done in self._stages(dvc, folders, stage):
                self._when_free(partial(done.save, run_cache=False))
                self._when_free(done.commit)
                done.dump(update_pipeline=False)
                Objects(dvc).sync([o.hash_info.value for o in done.outs if o.use_cache], began)

    def bring(self, folders: Sequence[str], stage: str) -> None:
        """Make the folders what their .dvc files and dvc.lock say, from the cache or the remote."""
        with self._dvc() as dvc, self._locked(dvc):
            outs = [out for s in self._stages(dvc, folders, stage) for out in s.outs if out.use_cache]
            here = Objects(dvc, replaced=self.replaced())
            listings = [out.hash_info.value for out in outs]
            here.bring(listings)
            here.bring(oid for listing in listings for oid in here.listing(listing).values())
            for out in outs:
                if here.listing(out.hash_info.value) == here.written(out.hash_info.value):
                    out.checkout(force=True)
                else:
                    _copy(here, out)

    def changed_folders(self, folders: Sequence[str]) -> list[str]:
        """Which of these folders are not what their .dvc files say."""
        with self._dvc() as dvc:
            outs = [out for s in self._stages(dvc, folders, None) for out in s.outs]
            here = Objects(dvc, replaced=self.replaced())
            changed = [o.fs_path for o in outs if not o.exists or not _unchanged(here, o)]
            return [str(Path(p).relative_to(self.root)) for p in changed]

    def unsaved(self, folders: Sequence[str]) -> list[str]:
        """Files of these folders that the DVC cache does not have: bringing others would lose them."""
        files = sorted(p for f in folders for p in (self.root / f).rglob("*") if p.is_file())
        with self._dvc() as dvc:
            cache = dvc.cache.local
            lost = [p for p in files if not cache.exists(hashlib.md5(p.read_bytes()).hexdigest())]
        return [str(p.relative_to(self.root)) for p in lost]

    @contextmanager
    def objects(self, remote: str | None = None) -> Iterator[Objects]:
        """The DVC cache and a remote, the default one unless named."""
        with self._dvc() as dvc:
            yield Objects(dvc, remote, self.replaced())

    def check_remote(self) -> None:
        """Raises DatasetError when nobody answers where the default remote is, if there is one."""
        with self.objects() as objects:
            if objects.remote_name:
                objects.check_reachable()

    def replaced(self) -> dict[str, str]:
        """Files that had rows which were forgotten, and those that stand for them."""
        return replaced(self.forgotten())

    def forgotten(self) -> list[Rewritten]:
        """What was written anew: by the newest version, whatever is in the folder, and by an erasure
        that is under way."""
        newest = next(reversed(self.tags().values()), "") if (self.root / ".git").exists() else ""
        path = self.root / FORGOTTEN
        texts = [path.read_text(encoding="utf-8")] if path.exists() else []
        texts += self.read(newest, [FORGOTTEN]) if newest else []
        found = [e for text in texts for e in entries(text, str(path))]
        return list(dict.fromkeys(found))

    def remotes(self) -> list[str]:
        with self._dvc() as dvc:
            return list(dvc.config["remote"])

    def _point(self, folder: str) -> None:
        """A .dvc file for a folder that has none yet."""
        path = self.root / pointer(folder)
        if not path.exists():
            out = os.path.relpath(self.root / folder, path.parent)
            write_whole(path, f"outs:\n- path: {out}\n")

    def _stages(self, dvc: Any, folders: Sequence[str], stage: str | None) -> list[Any]:
        found = [dvc.stage.load_one(str(self.root / pointer(f))) for f in folders]
        return found + ([dvc.stage.load_one(str(self.root / "dvc.yaml"), stage)] if stage else [])

    @contextmanager
    def _locked(self, dvc: Any) -> Iterator[None]:
        """DVC's own lock, which a `dvc` command in another window may hold."""
        self._when_free(dvc.lock.lock)
        try:
            yield
        finally:
            dvc.lock.unlock()

    def _when_free(self, step: Callable[[], object]) -> None:
        """Do what another DVC command may hold up. Raises DatasetError when it goes on for too long."""
        from dvc.lock import LockError

        deadline = time.monotonic() + DVC_SECONDS
        while True:
            try:
                step()
                return
            except LockError as fault:
                if time.monotonic() > deadline:
                    raise busy(self.root, fault, DVC_SECONDS) from None
                time.sleep(0.1)

    @contextmanager
    def _dvc(self) -> Iterator[Any]:
        os.environ.setdefault("DVC_NO_ANALYTICS", "1")
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        settle(self.root)
        for name in ("dvc", "dvc_data", "dvc_objects"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        core = {"autostage": False, "site_cache_dir": str(self.root / ".dvc/tmp/site")}
        try:
            with warnings.catch_warnings(), Repo(str(self.root), config={"core": core}) as repo:
                # DVC's own use of pygtrie
                warnings.filterwarnings("ignore", "_NoneStep.value", DeprecationWarning)
                yield repo
        except (DvcException, OSError) as fault:
            do = "dvc doctor, and dvc status, say more; then again: what was done already stays"
            raise DatasetError("DVC refuses", where=str(self.root), got=why(fault), do=do) from fault


def _unchanged(here: Objects, out: Any) -> bool:
    """Whether a folder is what its pointer says, or that without rows which were forgotten."""
    oid = out.hash_info.value
    if not out.changed_checksum():
        return True
    folder = Path(out.fs_path)
    if here.lacking([oid]) or here.listing(oid) == here.written(oid):
        return False
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): md5(p) for p in files} == here.listing(oid)


def _copy(here: Objects, out: Any) -> None:
    """A folder whose files are no longer those that DVC would link."""
    folder = Path(out.fs_path)
    shutil.rmtree(folder, ignore_errors=True)
    for name, oid in here.listing(out.hash_info.value).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here.path(oid), folder / name)
