"""What every server is measured with: one classifier, and texts of twelve tokens that never repeat."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from core.models.classifier.encoder import DEFAULT, load_encoder
from core.store import Store
from core.workspace import find
from everloop.sample import bundled

EVALUATION = 1000  # rows: enough to tell 99.5 % from 99 %
TOKENS = 12  # as the encoder reads them, with its two own


def make_workspace(folder: Path, runtime: str = "torch") -> Path:
    """A workspace with a champion trained on the bundled sample, and its answer cache off."""
    _everloop("init", str(folder))
    params = folder / "params.yaml"
    lines = params.read_text(encoding="utf-8")
    lines = lines.replace("serving:\n", "serving:\n  cache_entries: 0\n", 1)
    if runtime != "torch":
        lines = lines.replace("model:\n", f"model:\n  runtime: {runtime}\n", 1)
    params.write_text(lines, encoding="utf-8")
    sample, evaluation = bundled(), folder.with_name("eval.csv")
    known = {row["label"] for row in _rows(sample / "train.csv")}
    rows = list(islice((r for r in _rows(sample / "stream.csv") if r["label"] in known), EVALUATION))
    with evaluation.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    _everloop("train", str(sample / "train.csv"), "--eval", str(evaluation), "-w", str(folder))
    return folder


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def model_of(workspace: Path) -> tuple[Path, Path]:
    """The MLflow model of a workspace's first version, and the classifier inside it."""
    pyfunc = next((workspace / ".everloop" / "artifacts" / "models").glob("*/artifacts"))
    return pyfunc, next((pyfunc / "data").iterdir())


def _everloop(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "everloop", *arguments], check=True, capture_output=True)


def write_texts(path: Path, count: int) -> Path:
    """`count` texts, all different, cut from pieces of the sample's requests; the same every time."""
    with (bundled() / "stream.csv").open(encoding="utf-8") as file:
        requests = [row["text"].split() for row in csv.DictReader(file)]
    tokenizer = load_encoder(DEFAULT).tokenizer
    rng, texts = random.Random(0), dict[str, None]()
    while len(texts) < count:
        joined = [" ".join(w for _ in range(3) for w in _piece(requests, rng)) for _ in range(10_000)]
        read = tokenizer(joined, return_offsets_mapping=True, add_special_tokens=False)
        ends = [o[TOKENS - 3][1] if len(o) >= TOKENS - 2 else 0 for o in read["offset_mapping"]]
        cut = [text[:end] for text, end in zip(joined, ends, strict=True) if end]
        lengths = [len(ids) for ids in tokenizer(cut)["input_ids"]]
        texts.update((t, None) for t, n in zip(cut, lengths, strict=True) if n == TOKENS)
    path.write_text(json.dumps(list(texts)[:count]), encoding="utf-8")
    return path


def _piece(requests: list[list[str]], rng: random.Random) -> list[str]:
    words = rng.choice(requests)
    start = rng.randrange(max(1, len(words) - 3))
    return words[start : start + 4]


def logged(workspace: Path) -> int:
    """Requests in the prediction log."""
    store = Store(find(workspace).store_url)
    try:
        return store.answers.count()
    finally:
        store.close()
