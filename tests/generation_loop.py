"""The loop of a model that writes, in seconds: a tiny causal model with random weights, a few days of
requests of our own making, a busy strategy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from core import params, trust
from core.models.base import Model
from everloop.init import init, template
from everloop.people import People
from everloop.replay import Replay
from flows.session import Session, open_session
from flows.strategy import Strategy
from pipelines.training.data import Recipe, Trained, TrainingData
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import save_tiny_causal

START = datetime(2026, 1, 5, tzinfo=UTC)
SAID = {"pay": "pay my {} card", "play": "play the {} song", "weather": "is it {} rain"}
MORE = ("lost", "cold", "loud", "sun", "my", "please", "send", "rate")
RECIPE = "tests.generation_loop:SameWeights"
BUSY: dict[str, Any] = {
    "curation": {"policy": "mix", "labels_per_day": 12, "audit_share": 0.25},
    "triggers": {"policy": "labels", "at_least": 8},
    "testing": {"max_drop": 1.0, "max_failed": 1.0},
    "rollout": {"policy": "shadow-canary", "shares": [0.5], "min_requests": 5},
    "training": {"policy": RECIPE},
}


class SameWeights(Recipe):
    """A recipe that learns nothing: what is tested is all around it."""

    policy: Literal["same-weights"]

    def train(self, data: TrainingData, start: Model) -> Trained:
        return Trained(start, {"train_rows": float(len(data.inputs))})


def make_session(root: Path, **changes: Any) -> Session:
    encoder = save_tiny_encoder(root.parent / "tiny-encoder")
    writer = save_tiny_causal(root.parent / "tiny-causal")
    place = init(root, task="generation")
    written = {**yaml.safe_load(template("generation").read_text()), **BUSY, **changes}
    written["model"] = {"encoder": encoder, "generator": writer, "max_tokens": 32}
    place.params.write_text(yaml.safe_dump(written))
    trust.grant(place.root, {"training.policy": RECIPE})
    return open_session(root, params.load(place.params, Strategy))


def job(days: int = 3, each_day: int = 24, **options: Any) -> Replay:
    stream = _rows(days * each_day)
    step = timedelta(days=1) / each_day
    stream["timestamp"] = [START + step * i for i in range(len(stream))]
    asked = {"people": People(thumbs=0.4, corrections=0.2), **options}
    return Replay(stream, _rows(20, "train"), _rows(12, "eval"), **asked)


def _rows(count: int, role: str = "stream") -> pd.DataFrame:
    names = list(SAID)
    rows = []
    for i in range(count):
        name, word = names[i % 3], f"{MORE[i % len(MORE)]} {role} {i}"
        call = json.dumps({"name": name, "arguments": {"word": word}})
        rows.append((f"{role}-{i}", f"u{i % 5}", SAID[name].format(word), call, {"topic": name}))
    return pd.DataFrame(rows, columns=["request_id", "user", "text", "label", "segments"])
