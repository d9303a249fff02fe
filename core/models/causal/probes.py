"""What a model begins to write to a few fixed prompts, kept beside its weights.

By it an engine elsewhere is checked to have these weights, and nobody loads them for that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from core.errors import ModelError
from core.files import write_whole
from core.models.causal.pen import HALF
from core.records.answers import Message
from core.records.weights import ReferenceAnswer, ReferenceToken
from core.records.writing import Decoding, Listener, Piece, Prompted

FILE = "probes.json"
TEXTS = ("wake me at seven", "hello", "What is the capital of France?", "turn off the light")
HOW = Decoding(max_tokens=12, top_logprobs=2)


def asked() -> list[tuple[Prompted, list[Piece]]]:
    """Each prompt, and where what is written to it will be."""
    heard: list[list[Piece]] = [[] for _ in TEXTS]
    return [(Prompted(t, HOW, Listener(h.append)), h) for t, h in zip(TEXTS, heard, strict=True)]


def probe(messages: Sequence[Message], heard: Sequence[Piece]) -> ReferenceAnswer:
    return ReferenceAnswer(tuple(messages), tuple(step for piece in heard for step in _steps(piece)))


def _steps(piece: Piece) -> list[ReferenceToken]:
    """The text of a piece is that of its last token: the others are parts of one letter."""
    texts = [""] * (len(piece.tokens) - 1) + [piece.text.rstrip(HALF)]
    return [_step(text, token["top_logprobs"]) for text, token in zip(texts, piece.tokens, strict=True)]


def _step(text: str, two: Sequence[Message]) -> ReferenceToken:
    first, second = (float(one["logprob"]) for one in two)
    return ReferenceToken(text, round(first, 4), round(first - second, 4))


def read(folder: Path, sha256: str) -> tuple[ReferenceAnswer, ...]:
    """Those of the weights in a folder; none where it was saved before there were any."""
    try:
        about = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if about["sha256"] != sha256:  # of the weights that these were trained from
            return ()
        return tuple(
            ReferenceAnswer(
                tuple(one["messages"]), tuple(ReferenceToken(**step) for step in one["steps"])
            )
            for one in about["probes"]
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ModelError(
            "the probes of this model cannot be read",
            where=str(folder / FILE),
            got=str(fault),
            do="remove the file: it is made again",
        ) from None


def save(probes: Sequence[ReferenceAnswer], folder: Path, sha256: str) -> None:
    about = {"sha256": sha256, "probes": [asdict(one) for one in probes]}
    write_whole(folder / FILE, json.dumps(about, indent=1) + "\n")
