"""From any id to all it came from and all it led to.

request -> prediction -> task -> label -> partition -> dataset -> model -> test -> rollout -> answers
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import DataError
from core.evidence import TestEvidence
from core.ids import is_uuid7
from core.state import Champion
from core.store import Store
from core.store.lineage import Story
from core.workspace import Workspace

SHOWN = 8  # of many of a kind, in text
KINDS = (
    "a prediction or request id, a dataset version (v0003), a model version (3), an MLflow run id or "
    "a rollout id"
)


@dataclass(frozen=True)
class Link:
    """One thing, what is known of it, and where it leads."""

    kind: str
    id: str
    facts: dict[str, Any] = field(default_factory=dict)
    leads: list[Link] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        leads = {"leads_to": [x.to_json() for x in self.leads]} if self.leads else {}
        return {"kind": self.kind, "id": self.id, **self.facts, **leads}

    def to_text(self) -> str:
        return "\n".join([self._line(), *_branches(self.leads)])

    def _line(self) -> str:
        said = ", ".join(f"{k} {_plain(v)}" for k, v in self.facts.items() if v not in (None, "", {}))
        return f"{self.kind} {self.id}".strip() + (f": {said}" if said else "")


def trace(place: Workspace, store: Store, id: str) -> list[Link]:
    """What this id is, mostly one thing; a request with a shadow answer is two. Raises DataError for
    an id that nothing here has."""
    tracer = _Tracer(place, store)
    found = [*tracer.predictions(id), *tracer.rows(id), *tracer.dataset(id), *tracer.named(id)]
    if not found:
        raise DataError(
            "nothing here has this id",
            where=str(place.root),
            got=ascii(id),
            expected=KINDS,
            do="everloop data list, everloop rollout status, everloop label export",
        )
    return found


class _Tracer:
    def __init__(self, place: Workspace, store: Store) -> None:
        self.place, self.store = place, store
        trained = store.state.results("training/")
        self.models = {str(r["dataset"]): r for r in trained.values() if "version" in r}
        self.rollouts = store.decisions.rollouts()
        self.champion = store.state.read(Champion).version

    # -- from a row on ----------------------------------------------------------------------

    def predictions(self, id: str) -> Iterator[Link]:
        for row in self.store.lineage.answers(id):
            facts = {
                "request": row["request_id"],
                "at": _time(row["timestamp"]),
                "label": row["output"],
                "score": round(row["confidence"], 3),
                "variant": row["variant"],
                "chance to be logged": row["propensity"],
            }
            story = self.store.lineage.story(row["prediction_id"])
            answered = [self._model(row["model_version"], "answered by model")]
            leads = [*answered, *_said(story), *self._fed(row["prediction_id"], story.partitions)]
            yield Link("prediction", row["prediction_id"], facts, leads)

    def rows(self, id: str) -> Iterator[Link]:
        """A row that the log does not have: a first row, one retired, one forgotten."""
        if self.store.lineage.answers(id):
            return
        story = self.store.lineage.story(id)
        if story.tombstone:
            facts = {"on": _time(story.tombstone["timestamp"]), "by": story.tombstone["asked"]}
            yield Link("forgotten row", id, facts)
        elif story.task or story.labels:
            leads = [*_said(story), *self._fed(id, story.partitions)]
            yield Link("prediction that the log no longer has", id, {}, leads)
        elif is_uuid7(id):
            fed = self._fed(id, ["v0001"])
            if fed:
                yield Link("first row", id, {}, fed)

    def _fed(self, row_id: str, partitions: Sequence[str]) -> list[Link]:
        from pipelines.datasets.holders import holders, place_of

        places = [p for name in partitions if (p := place_of(self.place, name, row_id))]
        found = holders(self.place.root, places)
        links = [Link("reservoir partition", name, {"row": at}) for name, at in places]
        links += [self._dataset(version, {"as": sets[0]}) for version, sets in found.sets.items()]
        if found.not_here:
            many = {"versions": len(found.not_here), "do": "everloop data pull"}
            links.append(Link("manifests that are not here", found.not_here[0], many))
        return links

    # -- versions, models, rollouts ---------------------------------------------------------

    def dataset(self, id: str) -> Iterator[Link]:
        if not re.fullmatch(r"v\d{4,}", id):
            return
        from pipelines.datasets.dvc_git import Repository

        if Repository(self.place.root).commit_of(id):
            yield self._dataset(id, self._contents(id))

    def named(self, id: str) -> Iterator[Link]:
        """A model by version or run, a rollout."""
        for made in self.models.values():
            if id in (str(made["version"]), made["run_id"]):
                origin = self._contents(str(made["dataset"]))
                source = Link("trained on dataset", str(made["dataset"]), origin)
                model = self._model(str(made["version"]))
                yield Link(model.kind, model.id, model.facts, [source, *model.leads])
        for rollout in self.rollouts:
            if id == rollout.rollout_id:
                yield Link(
                    "rollout",
                    id,
                    _ended(rollout),
                    [
                        self._model(rollout.candidate, "its candidate, model"),
                        self._model(rollout.champion, "held against model", brief=True),
                    ],
                )

    def _contents(self, id: str) -> dict[str, Any]:
        from pipelines.datasets.history import version

        found = version(self.place.root, id)
        return {
            "as of": _time(found.as_of.isoformat()),
            "policy": found.policy,
            "parent": found.parent,
            "rows": found.rows,
            "its rows": f"everloop data export {id} rows.csv",
        }

    def _dataset(self, id: str, facts: dict[str, Any]) -> Link:
        made = self.models.get(id)
        return Link("dataset", id, facts, [self._model(str(made["version"]))] if made else [])

    def _model(self, version: str, kind: str = "model", brief: bool = False) -> Link:
        made = next((m for m in self.models.values() if str(m["version"]) == version), None)
        facts: dict[str, Any] = {"serves now": "yes"} if version == self.champion else {}
        if made:
            facts |= {"run": made["run_id"], "recipe": made["recipe"], "dataset": made["dataset"]}
        if brief:
            return Link(kind, version, facts)
        leads = [*self._tested(made), *self._rolled_out(version), *self._answers(version)]
        return Link(kind, version, facts, leads)

    def _tested(self, made: dict[str, Any] | None) -> Iterator[Link]:
        verdict = self.store.decisions.get(f"testing/{made['dataset']}") if made else None
        if verdict:
            page = self.place.reports / verdict.read(TestEvidence).report
            shown = str(page.relative_to(self.place.root)) if page.is_file() else None
            facts = {"why": verdict.reason, "page": shown}
            yield Link("test report", verdict.verdict, facts)

    def _rolled_out(self, version: str) -> Iterator[Link]:
        for rollout in self.rollouts:
            if rollout.candidate == version:
                yield Link("rollout", rollout.rollout_id, _ended(rollout))

    def _answers(self, version: str) -> Iterator[Link]:
        for told in self.store.answers.served(version):
            facts = {
                "predictions": told.predictions,
                "first": _time(told.since.isoformat()),
                "last": _time(told.until.isoformat()),
            }
            yield Link("answers as", told.variant, facts)


def _said(story: Story) -> Iterator[Link]:
    """Task, votes, feedback and labels of a row."""
    if story.task:
        task = story.task
        facts = {
            "policy": task["policy"],
            "chance": round(task["propensity"], 6),
            "audit": "yes" if task["audit"] else "no",
        }
        yield Link("task of round", task["round"], facts)
    for vote in story.votes:
        said = vote["label"] if vote["label"] is not None else "skipped"
        yield Link("vote by", vote["annotator"], {"label": said, "at": _time(vote["timestamp"])})
    for given in story.feedback:
        yield Link("feedback", given["kind"], {"says": given["value"], "at": _time(given["timestamp"])})
    for label in story.labels:
        facts = {
            "by": label.get("annotator") or f"feedback ({label.get('kind', '')})",
            "at": _time(label["timestamp"]) if "timestamp" in label else None,
            "partition": label["partition"] or "not taken yet",
        }
        said = label["value"] if "value" in label else label["label"]  # as feedback gave it
        yield Link("label", said, facts)


def _ended(rollout: Any) -> dict[str, Any]:
    return {
        "stage": rollout.stage,
        "since": _time(rollout.stage_started.isoformat()),
        "started": _time(rollout.started.isoformat()),
        "share": rollout.share,
        "why": rollout.reason,
    }


def _branches(links: Sequence[Link]) -> Iterator[str]:
    shown = list(_few(links))
    for i, link in enumerate(shown):
        last = i == len(shown) - 1
        head, *rest = link.to_text().splitlines()
        yield f"{'└─' if last else '├─'} {head}"
        yield from (f"{'   ' if last else '│  '}{line}" for line in rest)


def _few(links: Iterable[Link]) -> Iterator[Link]:
    """Of many of one kind the first and the newest."""
    groups: dict[str, list[Link]] = {}
    for link in links:
        groups.setdefault(link.kind, []).append(link)
    for kind, group in groups.items():
        if len(group) <= SHOWN:
            yield from group
            continue
        half = SHOWN // 2
        more = Link(f"... {len(group) - SHOWN} more of", f"{kind} (--json has them all)")
        yield from [*group[:half], more, *group[-half:]]


def _time(iso: str) -> str:
    return iso.replace("T", " ")[:16] + " UTC"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{n} {name}" for name, n in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def as_json(links: Sequence[Link]) -> str:
    return json.dumps([x.to_json() for x in links], indent=2)
