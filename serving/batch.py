"""All rows of a file through the serving path, in parts that a kill cannot take back.

    OUT.parts/000001.jsonl    what became of rows 1 to 512, written whole or not at all
    OUT.parts/joined          all of it beside the columns of the input, renamed to OUT at the end

The store remembers when a batch began and of which file. Ids of requests come from that and the row's
number, so a batch that goes on after a kill asks for the answers it was given before.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from core.cells import decoded, unstorable
from core.errors import DataError
from core.files import sync_folder, whole_text
from core.ids import hash_user
from core.readers import Record, Refused, excerpt, read_table
from core.records.answers import Request
from core.store import Store
from core.stored import Remembered
from core.tables import Columns, as_string, resolve, text_fault, write_quarantine
from core.writers import check_writable, groups, json_line, write_table
from serving.messages.own import told
from serving.service import Service

CHUNK = 512  # rows answered together, in one transaction
ANSWER = "label"  # in parts; in OUT it is called as the task calls it
ADDED: dict[str, type] = {
    ANSWER: str,
    "score": float,
    "model_version": str,
    "variant": str,
    "prediction_id": str,
}
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """Which file to read, where its answers go, and in which column its texts are."""

    source: Path
    out: Path
    text: str = "text"

    @property
    def parts(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def joined(self) -> Path:
        return self.parts / "joined"

    def part(self, number: int) -> Path:
        return self.parts / f"{number:06d}.jsonl"


@dataclass(frozen=True)
class Done:
    """What came of a batch."""

    rows: int  # answered
    refused: int
    bytes: int  # of OUT


@dataclass(frozen=True)
class BatchBegun(Remembered):
    """A batch that was begun, by its OUT; when it was done, what came of it."""

    KEY = "batch/"

    input: str = ""  # hash of the file
    text: str = ""  # name of the column
    now: datetime = datetime.min
    done: Done | None = None


class FileClassifier:
    """Answers a file with a service; the rows that are refused go to the file `quarantine`."""

    def __init__(self, store: Store, service: Service, max_text: int, quarantine: Path) -> None:
        self._store, self._service, self._max_text = store, service, max_text
        self._quarantine = quarantine

    def run(self, job: Job, now: datetime, tell: Tell = lambda *_: None) -> Done:
        """Answer every row of the file; a finished batch is not done again.

        `tell` hears how many rows are through and how many of them just now, first that it is none of
        them: the model is loaded. Raises DataError when the
        file cannot be used, has changed since the batch began, or would replace one that is not its
        own; ModelError and StoreError as the service does.
        """
        columns = self._check(job)
        digest = _digest(job.source)
        known = self._known(job, digest)
        if known and known.done and not job.joined.exists():
            shutil.rmtree(job.parts, ignore_errors=True)
            return known.done
        self._service.switch.turn(now)  # no model, no work
        state = known or BatchBegun(digest, job.text, now)
        if not known:
            self._begin(job, state)
        with _alone(job):
            done = state.done
            if not job.joined.exists() or not done:
                tell(0, 0)
                rows = self._answer(job, columns, state, tell)
                if _digest(job.source) != digest:
                    raise _changed(job)
                done = self._join(job, rows)
                self._store.state.write(replace(state, done=done), _name(job))
            os.replace(job.joined, job.out)
            sync_folder(job.out.parent)
        shutil.rmtree(job.parts)
        return done

    def _check(self, job: Job) -> Columns:
        check_writable(job.out)
        found = read_table(job.source).columns
        self._added(job.source, found)
        return resolve(job.source, found, Columns(text=job.text))

    def _added(self, source: Path, found: Sequence[str]) -> dict[str, str]:
        """What the added columns are called beside those the file has."""
        called = {c: self._store.task.column if c == ANSWER else c for c in ADDED}
        names = {c: f"predicted_{name}" if name in found else name for c, name in called.items()}
        taken = [n for n in names.values() if n in found]
        if taken:
            raise DataError(
                "the input has columns of the names its answers would get",
                where=str(source),
                got=", ".join(taken),
                do="rename them in the file",
            )
        return names

    def _known(self, job: Job, digest: str) -> BatchBegun | None:
        """The batch that was begun here and is to go on, or is done; None when this is a new one."""
        state = self._store.state.read(BatchBegun, _name(job))
        same = (state.input, state.text) == (digest, job.text)
        if job.out.exists():
            if same and state.done and state.done.bytes == job.out.stat().st_size:
                return state
            raise DataError(
                "the output is there already",
                where=str(job.out),
                got="a file that is not the finished answer to this input",
                expected="a name that is free",
                do="choose another name, or remove the file",
            )
        if not job.parts.exists():
            return None
        if not same:
            raise _changed(job)
        if state.done and not job.joined.exists():
            return None  # done once, and its output taken away since
        return state

    def _begin(self, job: Job, state: BatchBegun) -> None:
        shutil.rmtree(job.parts, ignore_errors=True)
        self._store.state.write(state, _name(job))
        try:
            job.parts.mkdir(parents=True)
        except OSError as fault:
            raise DataError(
                "the output cannot be written here",
                where=str(job.out.parent),
                got=fault.strerror or str(fault),
                expected="a folder that can be written",
            ) from None

    def _answer(self, job: Job, columns: Columns, state: BatchBegun, tell: Tell) -> int:
        """Write the parts that are not there yet; returns how many rows the file has."""
        now = state.now
        identity = "\x1f".join((state.input, state.text, now.isoformat()))
        name = f"batch-{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"
        rows = 0
        records = read_table(job.source).records
        requests = (_request(r, columns, self._max_text, name, now) for r in records)
        for number, asked in enumerate(groups(requests, CHUNK), 1):
            new = not job.part(number).exists()
            if new:
                _keep(job.part(number), self._outcomes(asked))
            rows += len(asked)
            tell(rows, len(asked) if new else 0)
        return rows

    def _outcomes(self, asked: Sequence[Request | Refused]) -> list[dict[str, Any]]:
        """One line for each row: the columns that are added to it, or why it is refused."""
        answers = iter(self._service.predict([a for a in asked if isinstance(a, Request)]))
        rows = (a if isinstance(a, Refused) else next(answers) for a in asked)
        return [asdict(r) if isinstance(r, Refused) else {c: told(r, c) for c in ADDED} for r in rows]

    def _join(self, job: Job, total: int) -> Done:
        columns = read_table(job.source).columns
        names = self._added(job.source, columns)

        def answered() -> Iterator[dict[str, Any]]:
            for record, outcome in _outcomes(job):
                if not isinstance(record, Refused) and "reason" not in outcome:
                    yield {**record[1], **{names[c]: outcome[c] for c in ADDED}}

        def refused() -> Iterator[Refused]:
            return (Refused(**o) for _, o in _outcomes(job) if "reason" in o)

        kept: dict[str, type | None] = {
            **dict.fromkeys(columns),
            **{names[c]: kind for c, kind in ADDED.items()},
        }
        rows = write_table(job.joined, job.out.suffix, kept, answered, job.source)
        if rows < total:
            write_quarantine(refused(), self._quarantine)
        return Done(rows, total - rows, job.joined.stat().st_size)


def _request(
    record: Record, columns: Columns, max_text: int, name: str, now: datetime
) -> Request | Refused:
    if isinstance(record, Refused):
        return record
    row, values = record
    text = decoded(values.get(columns.text))
    fault = text_fault(text, max_text)
    if fault:
        return Refused(row, *fault)
    user = as_string(values.get(columns.user)) if columns.user else ""
    if reason := unstorable(text) or unstorable(user):
        return Refused(row, reason, excerpt(text if unstorable(text) else user))
    return Request(f"{name}-{row}", now, str(text), hash_user(user))


def _outcomes(job: Job) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Every record of the input with the line of its part."""
    records = iter(read_table(job.source).records)
    for number in count(1):
        first = next(records, None)
        if first is None:
            return
        with job.part(number).open(encoding="utf-8") as lines:
            rest = islice(records, CHUNK - 1)
            yield from zip(chain([first], rest), map(json.loads, lines), strict=True)


def _changed(job: Job) -> DataError:
    return DataError(
        "the input is not what this batch began with",
        where=str(job.source),
        got=f"another content or text column than {job.parts} was begun with",
        expected="the same file, so that the parts that are done belong to it",
        do=f"bring it back, or remove {job.parts} and start afresh",
    )


def _name(job: Job) -> str:
    return str(job.out.resolve())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _keep(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The file is there whole and on the disk, or not at all."""
    with whole_text(path) as file:
        file.writelines(map(json_line, rows))


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Raises DataError while another process writes the same output."""
    with (job.parts / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                "another process is writing this batch",
                where=str(job.parts),
                do="wait for it to end",
            ) from None
        yield
