"""The Grafana dashboard asks for numbers that the server has, and for all of them."""

from __future__ import annotations

import json
import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics
from tests import ROOT

BOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text(encoding="utf-8"))
PANELS = [p for p in BOARD["panels"] if p["type"] != "row"]
ASKED = [t["expr"] for p in PANELS for t in p["targets"]]


def families() -> dict[str, set[str]]:
    """What /metrics has: a metric -> the names of its series."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    page = Metrics().page().decode()
    return {
        f.name: {f.name + s for s in suffixes[f.type]}
        for f in text_string_to_metric_families(page)
        if not f.name.endswith("_created") and f.type in suffixes
    }


def test_every_metric_named_is_there() -> None:
    there = set().union(*families().values())
    named = {n for e in ASKED for n in re.findall(r"\b(?:everloop|process)_\w+", e)}
    assert named - there == set()


def test_every_number_of_ours_has_a_panel() -> None:
    named = " ".join(ASKED)
    unseen = [
        n for n, s in families().items() if n[:9] == "everloop_" and not any(x in named for x in s)
    ]
    assert unseen == []


def test_labels_named_are_those_of_the_metric() -> None:
    own = vars(Metrics()).values()
    known = {m._name: set(m._labelnames) | {"le", "instance"} for m in own if hasattr(m, "_labelnames")}
    for expression in ASKED:
        grouped = re.findall(
            r"by \(([^)]+)\) \((?:\w+\()?everloop_(\w+?)(?:_total|_bucket)?\{", expression
        )
        for labels, name in grouped:
            assert set(labels.split(", ")) <= known[f"everloop_{name}"], expression


def test_panels_do_not_overlap_and_fit_the_width() -> None:
    taken = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({p["id"] for p in BOARD["panels"]}) == len(BOARD["panels"])
