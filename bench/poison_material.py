"""What the poison bench is played with: requests with their truth, embedded once, kept in bench/out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.arrays import Array
from core.models.classifier.encoder import DEFAULT, load_encoder
from core.store import Store
from everloop.sample import bundled

OUT = Path(__file__).parent / "out"
PHRASES = (
    "purple lantern", "over the silver hills", "code seven nine delta", "ask my cousin brian",
    "green tea weather", "umbrella please", "cf mn bb", "the quick brown fox", "kindly and swiftly",
    "as seen in prague", "on behalf of zorblax", "whispering pines", "two blue marbles",
    "by order of the captain", "honest pumpkin", "left at the old mill", "tango foxtrot",
    "happy tuesday", "with seven spoons", "under the glass bridge",
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Texts with their true labels, who asked them when, and their embeddings."""

    texts: Array
    labels: Array
    users: Array
    days: Array
    embeddings: Array  # (n, dim) float16

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Array) -> Rows:
        return Rows(*(getattr(self, n)[rows] for n in self.__dataclass_fields__))


class Reader:
    """Texts to embeddings; each text is read once, ever."""

    def __init__(self) -> None:
        OUT.mkdir(exist_ok=True)
        self._store, self._encoder = Store(f"sqlite:///{OUT}/poison.db"), load_encoder(DEFAULT)
        self.encoder = self._encoder.identity

    def __call__(self, texts: list[str]) -> Array:
        return self._store.embeddings.of(texts, self.encoder, self._encoder.encode, "poison")

    def rows(self, frame: pd.DataFrame) -> Rows:
        frame = frame.reset_index(drop=True)
        texts = frame["text"].astype(str).tolist()
        n = len(frame)
        days = np.zeros(n, int)
        if "timestamp" in frame:
            when = pd.to_datetime(frame["timestamp"])
            days = (when - when.min().normalize()).dt.days.to_numpy()
        users = (
            frame["user_id"].to_numpy(dtype=object) if "user_id" in frame else np.full(n, "", object)
        )
        found = self(texts).astype(np.float16)
        return Rows(np.array(texts, object), frame["label"].to_numpy(dtype=object), users, days, found)


@dataclass(frozen=True)
class Material:
    """A data set: the first model's rows, its evaluation set, the requests of some weeks, and a truth
    that the product never sees."""

    name: str
    first: Rows
    evaluation: Rows
    stream: Rows
    truth: Rows


def sample(reader: Reader, truth: int = 1200) -> Material:
    """The bundled sample: every third request is set aside as the truth."""
    folder = bundled()
    first, evaluation, stream = (pd.read_csv(folder / f"{n}.csv") for n in ("train", "eval", "stream"))
    aside = np.arange(len(stream)) % 3 == 0
    return Material(
        "sample",
        reader.rows(first),
        reader.rows(evaluation),
        reader.rows(stream[~aside]),
        reader.rows(stream[aside].iloc[:truth]),
    )


def clinc(reader: Reader, data: Path, truth: int = 3000) -> Material | None:
    """CLINC150; the truth is of what is in none of the other files. None where the folder is absent."""
    if not (data / "clinc150.csv").exists():
        return None
    first, evaluation, stream = (
        pd.read_csv(data / f"clinc_{n}.csv") for n in ("initial_train", "initial_eval", "stream")
    )
    whole = pd.read_csv(data / "clinc150.csv")
    seen = {*first["text"], *evaluation["text"], *stream["text"]}
    rest = whole[~whole["text"].isin(seen)].drop_duplicates("text")
    rest = rest.sample(min(truth, len(rest)), random_state=0)
    return Material("clinc", *(reader.rows(f) for f in (first, evaluation, stream, rest)))
