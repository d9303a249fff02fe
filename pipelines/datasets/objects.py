"""What DVC keeps, by hash: the cache of a workspace and a remote.

A hash that ends in `.dir` names a listing: the hashes of a folder's files. A listing comes to the
remote after all its files, so a listing that is there says that the folder is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from core.away import while_there, why
from core.errors import DatasetError
from core.files import sync_file, sync_folder
from core.texts import first_few
from pipelines.datasets.endpoint import check_reachable, endpoint

T = TypeVar("T")
NOT_LET_IN = r"\((401|403)\)|AccessDenied|InvalidAccessKey|SignatureDoesNotMatch|[Cc]redentials"
MISSING = "the data of a version is neither in the DVC cache nor at the remote"


class Objects:
    """The objects of one workspace, while its DVC repository is open. Oids are DVC's md5 hashes."""

    def __init__(
        self, dvc: Any, remote: str | None = None, replaced: Mapping[str, str] | None = None
    ) -> None:
        """replaced: oids of files that had rows which were forgotten -> those that stand for them."""
        self._dvc = dvc
        self.replaced = replaced or {}
        self._name = remote
        self.cache: Any = dvc.cache.local

    @cached_property
    def remote(self) -> Any:
        """The remote by that name, else the default one. Raises DatasetError when there is none, or
        nobody answers where it is."""
        self.check_reachable()
        return self._odb

    @cached_property
    def _odb(self) -> Any:
        from dvc.config import ConfigError

        known = ", ".join(self._dvc.config["remote"]) or "none"
        try:
            return self._dvc.cloud.get_remote(self._name).odb
        except ConfigError as fault:
            raise DatasetError(
                f"there is no remote {self._name}" if self._name else "no remote to keep the data at",
                where=f"{self._dvc.root_dir}/.dvc/config",
                got=str(fault).splitlines()[0],
                expected=f"one of: {known}",
                do="dvc remote add -d NAME URL",
            ) from None

    @cached_property
    def remote_name(self) -> str:
        return self._name or str(self._dvc.config["core"].get("remote", ""))

    @property
    def url(self) -> str:
        return str(self._odb.fs.unstrip_protocol(self._odb.path)).removeprefix("local://")

    @property
    def _where(self) -> str:
        return f"{self.url}, at {self._endpoint}" if self._endpoint not in self.url else self.url

    # -- what is where ----------------------------------------------------------------------

    def path(self, oid: str) -> Path:
        return Path(self.cache.oid_to_path(oid))

    def lacking(self, oids: Iterable[str]) -> set[str]:
        """Which of these the cache does not have."""
        return {oid for oid in oids if not self.path(oid).is_file()}

    def lacking_there(self, oids: Collection[str]) -> set[str]:
        """Which of these the remote does not have."""
        if not oids:
            return set()
        never = uuid4().hex
        asked = [*oids, never]
        there = set(self._asked(lambda: list(self.remote.list_oids_exists(asked))))
        if never in there:  # a web server whose answer to everything is a page
            raise self._refusal(OSError("it says that it has an object that nobody ever stored"))
        return set(oids) - there

    def listing(self, oid: str) -> dict[str, str]:
        """The files of a folder as they may be read today: name -> oid. Raises DatasetError."""
        listed = self.written(oid)
        return {name: self.replaced.get(file, file) for name, file in listed.items()}

    def written(self, oid: str) -> dict[str, str]:
        """The files of a folder as they were when it was listed."""
        try:
            listed = json.loads(self.path(oid).read_bytes())
            return {entry["relpath"]: entry["md5"] for entry in listed}
        except FileNotFoundError:
            raise DatasetError(MISSING, where=self._dvc.root_dir, got=f"no object {oid}") from None
        except (ValueError, KeyError, TypeError) as fault:
            raise DatasetError(
                "a listing in the DVC cache is damaged",
                where=str(self.path(oid)),
                got=str(fault),
                do=f"rm {self.path(oid)} && everloop data pull",
            ) from None

    def sync(self, folders: Iterable[str], since: float) -> None:
        """Let these folders (oids of listings) be on the disk, as far as they came after a time: DVC
        itself leaves that to the system."""
        for folder in folders:
            for path in map(self.path, [*self.written(folder).values(), folder]):
                if path.stat().st_ctime >= since:
                    sync_file(path)
                    sync_folder(path.parent)

    def all(self, odb: Any) -> set[str]:
        """Every object of the cache or the remote."""
        return self._at(odb, lambda: set(odb.all()))

    def sizes(self, odb: Any, oids: Iterable[str]) -> dict[str, int]:
        """Objects of the cache or the remote: oid -> bytes."""
        names = list(oids)
        infos = self._at(odb, lambda: odb.fs.info([odb.oid_to_path(oid) for oid in names]))
        return {oid: int(info["size"]) for oid, info in zip(names, infos, strict=True)}

    def hash_there(self, oid: str) -> str:
        """The md5 of an object's bytes at the remote."""
        from dvc_data.hashfile.hash import file_md5

        return self._asked(lambda: str(file_md5(self.remote.oid_to_path(oid), self.remote.fs)))

    # -- letting go, bringing, sending ------------------------------------------------------

    def remove(self, odb: Any, oids: Iterable[str]) -> None:
        """From the cache or the remote; a listing before its files, so that none stands for what is
        gone."""
        for _, part in groupby(sorted(oids, key=_is_listing, reverse=True), _is_listing):
            self._at(odb, partial(odb.fs.remove, [odb.oid_to_path(oid) for oid in part]))

    def bring(self, oids: Iterable[str]) -> int:
        """Fetch what the cache lacks; how many came. Raises DatasetError for what is nowhere."""
        wanted = self.lacking(oids)
        if not wanted:
            return 0
        nowhere = self.lacking_there(wanted)
        if nowhere:
            raise DatasetError(
                MISSING,
                where=f"{self._dvc.root_dir}, {self.url}",
                got=f"no object {first_few(sorted(nowhere), 3)}",
                do="dvc remote modify NAME url URL, where the data was pushed to",
            )
        self._move(self.remote, self.cache, wanted)
        if odd := self.lacking(wanted):
            raise DatasetError(
                "the remote gave other bytes than were stored",
                where=f"{self.url}, object {first_few(sorted(odd), 3)}",
                do="everloop data verify --remote NAME says what else is wrong there",
            )
        return len(wanted)

    def send(self, folders: Collection[str]) -> int:
        """Send what the remote lacks of these folders (oids of listings); how many objects went."""
        lacking = self.lacking_there(folders)
        files = {oid for folder in lacking for oid in self.listing(folder).values()}
        files = self.lacking_there(files)
        gone = self.lacking(files)
        if gone:
            raise DatasetError(
                MISSING, where=self._dvc.root_dir, got=f"no object {first_few(sorted(gone), 3)}"
            )
        self._move(self.cache, self.remote, files)
        self._move(self.cache, self.remote, lacking)
        return len(files) + len(lacking)

    def _move(self, source: Any, target: Any, oids: set[str]) -> None:
        if not oids:
            return
        faults: list[BaseException] = []
        names = sorted(oids)
        paths = [source.oid_to_path(oid) for oid in names]
        self._asked(
            lambda: target.add(
                paths,
                source.fs,
                names,
                check_exists=False,
                verify=target is self.cache,  # what came over a line and is not what was meant goes
                on_error=lambda _, x: faults.append(x),
            )
        )
        if faults:
            raise self._refusal(
                faults[0], f"{len(faults)} of {len(names)} objects did not go through: "
            )

    def check_reachable(self) -> None:
        """Raises DatasetError when nobody answers where the remote is."""
        try:
            check_reachable(self._endpoint)
        except OSError as fault:
            raise self._refusal(fault) from fault

    @cached_property
    def _endpoint(self) -> str:
        return endpoint(self._dvc.config["remote"].get(self.remote_name, {}))

    def _at(self, odb: Any, ask: Callable[[], T]) -> T:
        return ask() if odb is self.cache else self._asked(ask)

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return while_there(ask, self.check_reachable) if self._endpoint else ask()
        except DatasetError:
            raise
        except Exception as fault:  # the clients of some ten clouds, each with errors of its own
            self.check_reachable()  # says more than a client that got no answer
            raise self._refusal(fault) from fault

    def _refusal(self, fault: BaseException, more: str = "") -> DatasetError:
        got = f"{more}{why(fault)}"
        do = "set it right (dvc remote modify)"
        if re.search(NOT_LET_IN, got):
            keys = "access_key_id ID, and secret_access_key KEY"
            do = f"set the keys of whoever may: dvc remote modify --local {self.remote_name} {keys}"
        return DatasetError(
            f"the remote {self.remote_name} refuses",
            where=self._where,
            got=got,
            expected="a place that can be read and written",
            do=f"{do}, then again: what is there already stays",
        )


def files_of(objects: Objects, folders: Mapping[str, str]) -> dict[str, str]:
    """Every file of these folders (path -> oid of its listing): path -> oid. Fetches listings."""
    objects.bring(folders.values())
    return {
        f"{folder}/{name}": oid
        for folder, listing in folders.items()
        for name, oid in objects.listing(listing).items()
    }


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _is_listing(oid: str) -> bool:
    return oid.endswith(".dir")
