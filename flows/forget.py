"""Forget what somebody wants forgotten: in the log, the reservoir, the caches and on disk.

look() says what would go; forget() notes it (tombstones) and finish() does it: killed anywhere, it is
finished by the next forget, or by the next retrain before it counts its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from core import collections
from core.errors import DatasetError
from core.records.answers import Prediction
from core.records.versions import DatasetVersion
from core.state import Forgetting, Retrains
from core.store import old_spools
from core.store.spool import Spool
from core.texts import normal
from flows.session import Session
from pipelines.datasets import erase, opinions
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.holders import holders
from pipelines.datasets.layout import order
from pipelines.datasets.partitions import GONE
from pipelines.datasets.versions import Plan, make_version

Asked = Literal["user", "prediction", "text"]
PAGES = (".html", ".json", ".jsonl", ".csv")
LONG = 12  # characters: a shorter text stands on pages that are not about it


@dataclass
class Found:
    """What a wish means. texts: of the rows, and the one asked for."""

    asked: Asked
    value: str  # of a user: the key as stored
    log: list[str] = field(default_factory=list)  # prediction ids
    reservoir: list[str] = field(default_factory=list)  # row ids
    texts: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)  # dataset version -> rows of it
    not_here: list[str] = field(default_factory=list)  # versions whose manifest is at a remote
    models: list[str] = field(default_factory=list)  # that learnt from them or were tested on them
    collections: list[Path] = field(default_factory=list)
    spool: list[Path] = field(default_factory=list)
    spooled: set[str] = field(default_factory=set)  # prediction ids there
    pages: list[Path] = field(default_factory=list)
    begun: int = 0  # rows of an earlier wish that was not done

    @property
    def ids(self) -> list[str]:
        return sorted({*self.log, *self.reservoir, *self.spooled})

    def __bool__(self) -> bool:
        return bool(self.ids or self.collections or self.spool or self.begun)


def look(session: Session, asked: Asked, value: str) -> Found:
    """What would go. Changes nothing. value: the user's key as stored, a row's id, or a text."""
    log = session.store.erasure.matching(asked, value)
    texts = {*log.values(), *([value] if asked == "text" else [])}
    found = Found(asked, value, sorted(log), texts=texts, begun=len(session.store.erasure.to_forget()))
    if _has_versions(session):
        rows = _places(session)
        meant = erase.matching(rows, asked, value, list(log))
        found.reservoir = sorted(set(meant["row_id"]))
        found.texts |= set(meant["text"])
        held = holders(session.workspace.root, zip(meant["partition"], meant["at"], strict=True))
        found.versions = {id: len(sets) for id, sets in held.sets.items()}
        found.not_here = held.not_here
        _look_at_opinions(session, found)
    made = {str(r["dataset"]): str(r["version"]) for r in _trained(session)}
    found.models = [made[v] for v in sorted(found.versions) if v in made]
    found.collections = list(_collections(session, found.texts))
    for path, ids in _spool(session, found):
        found.spool.append(path)
        found.spooled |= ids
    found.pages = list(_pages(session, found.texts))
    return found


def _look_at_opinions(session: Session, found: Found) -> None:
    """Pairs and ratings: every version from that of their partition on has them."""
    said = _opinions(session)
    meant = erase.matching(said, found.asked, found.value, found.log)
    found.reservoir = sorted({*found.reservoir, *meant["row_id"]})
    found.texts |= set(meant["text"])
    for id in Repository(session.workspace.root).tags() if len(meant) else ():
        rows = sum(order(p) <= order(id) for p in meant["partition"])
        if rows:
            found.versions[id] = found.versions.get(id, 0) + rows


def forget(session: Session, found: Found, now: datetime) -> str:
    """Do it; returns the dataset version that was made, "" where none was needed."""
    plan = session.store.state.read(Retrains).plan
    if found.reservoir and plan:
        raise DatasetError(
            "a retrain is under way, and its dataset counts on the rows that are there",
            where=str(session.workspace.root),
            got=f"{plan.id} is not done",
            do="everloop retrain (it goes on), then again",
        )
    for path in found.collections:
        _drop_from_collection(path, found.texts)
    for path in found.pages:
        path.unlink(missing_ok=True)
    found.spool = _drop_from_spool(session, found)
    session.store.erasure.bury(found.ids, found.asked, now)
    return finish(session, now, found.texts)


def finish(session: Session, now: datetime, texts: Collection[str] = ()) -> str:
    """Do what is noted: reservoir and a new version first, since they tell what is left to do."""
    ids, made = session.store.erasure.to_forget(), ""
    session.store.erasure.erase([], {*texts, *session.store.answers.texts(ids).values()})
    if ids and _has_versions(session):
        rows = _places(session)
        rows = pd.concat([rows, _opinions(session)])
        mine = rows[rows["row_id"].isin(ids)]
        session.store.erasure.erase([], mine["text"])  # the reservoir may be the last to know them
        made = _rebuild(session, ids, bool(len(mine)), now)
        erase.purge(session.workspace)
    session.store.erasure.erase(ids, [])
    session.store.erasure.forgotten(ids)
    return made


def _places(session: Session) -> pd.DataFrame:
    """Every row of the reservoir and its place there, with its text."""
    rows = erase.places(session.workspace)
    return rows.assign(text=session.texts(rows))


def _opinions(session: Session) -> pd.DataFrame:
    """Every pair and rating of the reservoir, with its text."""
    rows = opinions.stored(session.workspace.reservoir, ["row_id", "input", "user_key", "set"])
    rows = rows[rows["set"] != GONE]
    return rows.assign(text=session.texts(rows))


def _rebuild(session: Session, ids: Collection[str], there: bool, now: datetime) -> str:
    """Blank the rows, and make the version that knows of it. Its number is noted first: the next
    retrain takes the one after it."""
    state = session.store.state
    under_way = state.read(Forgetting)
    if not under_way:
        if not there:
            return ""
        under_way = Forgetting(f"v{state.read(Retrains).done + 1:04d}", now, len(ids))
        state.write(under_way)
    id, as_of = under_way.id, under_way.as_of or now
    number = int(id[1:])

    def make() -> DatasetVersion:
        rewritten = erase.erase(session.workspace, ids, as_of)
        plan = Plan(id, as_of, number, f"v{number - 1:04d}", "rows were forgotten")
        champion = session.registry.path(session.store.state.champion())
        policy = session.strategy.datasets
        return make_version(session.workspace, None, plan, policy, champion, rewritten)

    state.made(DatasetVersion, f"datasets/{id}", make)
    state.write(replace(state.read(Retrains), done=number))
    state.write(Forgetting())
    return id


def remains(session: Session, found: Found) -> list[str]:
    """What is still somewhere, and what to do about it."""
    lines = []
    for name, count in (erase.still_there(session.workspace) if _has_versions(session) else {}).items():
        if count:
            what = f"{count} old files" if count > 0 else "cannot be asked: it may have old files"
            do = f"everloop data gc --remote {name} --yes"
            lines.append(f"remote {name}: {what} with the rows; {do}")
    if found.models:
        many = ", ".join(found.models)
        lines.append(f"models that learnt from the rows or were tested on them: {many}")
        lines.append("  the next one learns without them: everloop retrain")
    if found.collections:
        names = ", ".join(p.name for p in found.collections)
        lines.append(
            f"git history of data/collections ({names}): git filter-repo --path FILE --invert-paths"
        )
    if found.spool:
        lines.append(
            "a server of an earlier version runs and has rows on its disk: they go when it stores them"
        )
    quoting = session.store.erasure.mentions(sorted(found.texts)) if found.texts else 0
    if quoting:
        lines.append(f"{quoting} decisions quote a text; newer ones replace them")
    if found.ids:
        lines.append("backups, clones and exported files are not known here")
    return lines


def _has_versions(session: Session) -> bool:
    return session.workspace.version_file.exists()


def _trained(session: Session) -> list[dict[str, Any]]:
    return [r for r in session.store.state.results("training/").values() if "version" in r]


def _collections(session: Session, texts: Collection[str]) -> Iterator[Path]:
    wanted = {normal(t) for t in texts}
    for path in collections.files(session.workspace.root).values():
        if wanted & set(collections.read(path)["text"].map(normal)):
            yield path


def _drop_from_collection(path: Path, texts: Collection[str]) -> None:
    wanted = {normal(t) for t in texts}
    rows = collections.read(path)
    collections.write(path, rows[~rows["text"].map(normal).isin(wanted)])


def _spool(session: Session, found: Found) -> Iterator[tuple[Path, set[str]]]:
    """Files of answers that are not in the store yet, and hold some that are meant: which these are,
    with the other answers to the same requests."""
    folder, meant = session.workspace.spool, _meant(found)
    read = {path: old_spools.rows(path) for path in old_spools.files(folder)}
    with closing(Spool(folder)) as spool:
        read[spool.path] = spool.rows()
        for path, answers in read.items():
            rows = [(r.request_id, r.prediction_id, meant(r)) for r in answers]
            requests = {request for request, _, is_meant in rows if is_meant}
            if requests:
                yield path, {id for request, id, _ in rows if request in requests}


def _drop_from_spool(session: Session, found: Found) -> list[Path]:
    """What is left of them: files of a server of an earlier version that runs."""
    folder = session.workspace.spool
    if found.spool:
        old_spools.take_over(folder)
        with closing(Spool(folder)) as spool:
            spool.remove(_meant(found))
    left = old_spools.files(folder)
    return [path for path in found.spool if path in left]


def _meant(found: Found) -> Callable[[Prediction], bool]:
    ids, texts = {*found.ids, found.value}, {normal(t) for t in found.texts}

    def meant(row: Prediction) -> bool:
        if found.asked == "user":
            return row.user_key == found.value
        return row.prediction_id in ids or (found.asked == "text" and normal(row.text) in texts)

    return meant


def _pages(session: Session, texts: Collection[str]) -> Iterator[Path]:
    """Reports and tables of refused rows that quote a text. They are made for people to look at, and
    may go."""
    import html
    import json

    wanted = [t for t in texts if len(t) >= LONG]
    forms = {f(t).encode() for t in wanted for f in (str, html.escape, lambda x: json.dumps(x)[1:-1])}
    folders: Sequence[Path] = (
        session.workspace.reports,
        session.workspace.artifacts,
        session.workspace.quarantine,
    )
    for folder in folders if forms else ():
        for path in sorted(p for p in folder.rglob("*") if p.suffix in PAGES and p.is_file()):
            content = path.read_bytes()
            if any(form in content for form in forms):
                yield path
