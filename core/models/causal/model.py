"""A model that writes its answers, and the encoder that embeds its requests."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.arrays import Array
from core.errors import ModelError
from core.files import write_whole
from core.label_set import LabelSet
from core.models.base import Answer, Input
from core.models.causal.decoding import Written
from core.models.causal.examples import NONE, Examples
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.messages import spoken
from core.models.classifier.encoder import Encoder, keep, kept, load_encoder
from core.records.answers import GenerationDetail

CONFIG = "generator.json"
FOLDER = "generator"
ENCODER = "encoder"  # where it has no public name
KEPT = 2  # models a process keeps loaded: champion and candidate

_loaded: OrderedDict[str, LanguageModel] = OrderedDict()  # by weights, latest last


@dataclass(frozen=True, eq=False)
class CausalModel:
    """`max_new_tokens` is how long an answer may get. It reads the `shots` nearest of its examples
    before each request. `learnt` are digests of the rows that its weights were trained on."""

    encoder: Encoder
    lm: LanguageModel
    max_new_tokens: int = 256
    examples: Examples = NONE
    shots: int = 0
    learnt: frozenset[str] = frozenset()

    @property
    def identity(self) -> str:
        """Of its encoder."""
        return self.encoder.identity

    @property
    def labels(self) -> list[str]:
        """None: it writes its answers itself."""
        return []

    def embed(self, texts: Sequence[str]) -> Array:
        """(n, dim) float16. Reads each text once."""
        return self.encoder.encode(texts)

    def unknown(self, texts: Sequence[str]) -> Array:
        """(n,) share of each text's tokens that the encoder does not know; NaN for one without any."""
        return self.encoder.tokens.unknown(texts)

    def answer(self, inputs: Sequence[Input], embeddings: Array | None = None) -> list[Answer]:
        """What it writes to each. Raises InputError where one cannot be answered, before any is."""
        read = self.embed([spoken(each) for each in inputs]) if embeddings is None else embeddings
        near = self.examples.near(read, self.shots)
        prompts = [self._prompt(each, rows) for each, rows in zip(inputs, near, strict=True)]
        written = self.lm.write(prompts, self.max_new_tokens)
        return [
            self._answer(each, len(prompt), one, row)
            for each, prompt, one, row in zip(inputs, prompts, written, read, strict=True)
        ]

    def _prompt(self, input: Input, near: list[int]) -> list[int]:
        """Its tokens, after as many of these examples as leave room for the longest answer."""
        prompts = self.lm.prompts
        for count in range(len(near), 0, -1):
            tokens = prompts.read(self.examples.shown(input, near[:count]))
            if len(tokens) + self.max_new_tokens <= prompts.context:
                return tokens
        return prompts.prompt(input)

    def _answer(self, input: Input, prompt_tokens: int, written: Written, embedding: Array) -> Answer:
        mean = sum(written.logprobs) / len(written.logprobs)
        detail = GenerationDetail(
            messages=() if isinstance(input, str) else tuple(input),
            prompt_tokens=prompt_tokens,
            completion_tokens=len(written.logprobs),
            finish_reason="stop" if written.stopped else "length",
            mean_logprob=mean,
            min_logprob=min(written.logprobs),
            first_token_ms=written.first_ms,
        )
        text = self.lm.prompts.text(written.tokens)
        return Answer(text, math.exp(mean), detail, embedding)

    def under(self, labels: LabelSet) -> CausalModel:  # noqa: ARG002  it has no labels
        return self

    def start(self, labels: LabelSet, runtime: str) -> CausalModel:  # noqa: ARG002  it has no labels
        """As the next one starts from it, with the encoder on this runtime."""
        on = self.encoder if runtime == self.encoder.runtime else self.encoder.on(runtime)
        return replace(self, encoder=on)

    def save(self, folder: Path) -> None:
        """The weights, the examples, the encoder where it has no public name, and last generator.json:
        a folder with it is whole."""
        self.lm.copy_files(folder / FOLDER)
        if self.encoder.local:
            self.encoder.copy_files(folder / ENCODER)
        if self.shots:
            self.examples.save(folder)
        about = {
            "sha256": self.lm.sha256,
            "max_new_tokens": self.max_new_tokens,
            "shots": self.shots,
            "learnt": sorted(self.learnt),
            "encoder": {
                "name": "" if self.encoder.local else self.encoder.name,
                "identity": self.encoder.identity,
                "max_tokens": self.encoder.max_tokens,
                "runtime": self.encoder.runtime,
            },
        }
        write_whole(folder / CONFIG, json.dumps(about, indent=1) + "\n")

    @staticmethod
    def load(folder: Path) -> CausalModel:
        """The model in a folder. Versions of the same weights share them in memory.

        Raises ModelError: a file missing or broken, other weights than it was saved with.
        """
        try:
            about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            sha256, most, encoder = about["sha256"], about["max_new_tokens"], about["encoder"]
            learnt = frozenset(about["learnt"])
            name, runtime = encoder["name"] or str(folder / ENCODER), encoder["runtime"]
            identity, max_tokens = encoder["identity"], encoder["max_tokens"]
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise ModelError("this is not a saved model", where=str(folder), got=str(fault)) from None
        read = kept(identity) or load_encoder(name, max_tokens, runtime)
        _same("encoder", folder, read.identity, identity)
        lm = _loaded.get(sha256) or load_language_model(str(folder / FOLDER))
        _same("weights", folder, lm.sha256, sha256)
        shots = about["shots"]
        examples = Examples.load(folder) if shots else NONE
        return CausalModel(keep(read), _keep(lm), most, examples, shots, learnt)


def base(name: str, encoder: Encoder) -> CausalModel:
    """A model that nothing here has trained yet. Raises ModelError."""
    return CausalModel(encoder, _keep(load_language_model(name)))


def _same(what: str, folder: Path, got: str, expected: str) -> None:
    if got != expected:
        raise ModelError(
            f"the {what} of this model are not those it was saved with",
            where=str(folder),
            got=got,
            expected=expected,
            do="take the model from the registry again, or retrain",
        )


def _keep(lm: LanguageModel) -> LanguageModel:
    """Remember a model of this process, and forget the one unused for longest."""
    _loaded[lm.sha256] = lm
    _loaded.move_to_end(lm.sha256)
    while len(_loaded) > KEPT:
        _loaded.popitem(last=False)
    return lm
