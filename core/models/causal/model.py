"""A model that writes its answers, and the encoder that embeds its requests."""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.arrays import Array
from core.errors import InputError, ModelError
from core.files import write_whole
from core.label_set import LabelSet
from core.models.base import Answer, Input
from core.models.causal import probes
from core.models.causal.adapters import base_of
from core.models.causal.constraint import as_format, schema_of
from core.models.causal.decoding import Written
from core.models.causal.examples import NONE, Examples
from core.models.causal.language_model import ADAPTER, LanguageModel, load_language_model
from core.models.causal.messages import spoken
from core.models.causal.pen import Pen
from core.models.classifier.encoder import Encoder, keep, kept, load_encoder
from core.records.answers import GenerationDetail, Message
from core.records.tool_calls import Tools
from core.records.weights import Adapter, Weights
from core.records.writing import Completion, Prompted

CONFIG = "generator.json"
FOLDER = "generator"
ENCODER = "encoder"  # where it has no public name
KEPT = 2  # models a process keeps loaded: champion and candidate

_loaded: OrderedDict[str, LanguageModel] = OrderedDict()  # by weights, latest last


class RemoteEngine(Protocol):
    """Writes for a model, elsewhere."""

    def write(self, asked: Sequence[tuple[Prompted, list[Message], int]]) -> list[Completion]:
        """What each of them wants, the messages it is to be written to, and how many tokens at most.
        Raises InputError, EngineError and BusyError."""
        ...


@dataclass(frozen=True, eq=False)
class CausalModel:
    """`max_new_tokens` is how long an answer may get. It reads the `shots` nearest of its examples
    before each request. `learnt` are digests of the rows that its weights were trained on. `schema` is
    the JSON Schema that its answers are held to, unless a caller wants another form."""

    encoder: Encoder
    lm: LanguageModel
    max_new_tokens: int = 256
    examples: Examples = NONE
    shots: int = 0
    learnt: frozenset[str] = frozenset()
    schema: Mapping[str, Any] | None = None
    engine: RemoteEngine | None = None  # writes in the place of `lm`

    @property
    def identity(self) -> str:
        """Of its encoder."""
        return self.encoder.identity

    @property
    def deployable(self) -> Weights:
        """The weights, as an engine elsewhere has to have them."""
        base = base_of(self.lm.folder)
        adapter = Adapter(self.lm.folder / ADAPTER, base.sha256) if base else None
        return Weights(self.lm.sha256, self.lm.folder, self.lm.probes, adapter)

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
        asked = [self._held(Prompted.of(each)) for each in inputs]
        read = self.embed([spoken(one.input) for one in asked]) if embeddings is None else embeddings
        prompts = self._prompts(asked, read)
        written = self._write(asked, prompts, [isinstance(each, Prompted) for each in inputs])
        return [
            _answer(one.input, said, row) for one, said, row in zip(asked, written, read, strict=True)
        ]

    @property
    def weights(self) -> str:
        """Their SHA-256."""
        return self.lm.sha256

    def prompt_ids(self, inputs: Sequence[Input], embeddings: Array) -> list[str]:
        """Of each input a hash of its prompt, and of how its answer is to be written; "" where tokens
        are drawn by chance."""
        asked = [self._held(Prompted.of(each)) for each in inputs]
        prompts = self._prompts(asked, embeddings)
        return [
            "" if one.how.temperature else _digest(tokens, self._most(one), one.how)
            for one, (_, tokens) in zip(asked, prompts, strict=True)
        ]

    def surprise(self, inputs: Sequence[Input], targets: Sequence[str]) -> Array:
        prompts = [self.lm.prompts.read(Prompted.of(each).input) for each in inputs]
        answers = [self.lm.prompts.answer(target) for target in targets]
        return np.array(self.lm.surprise(prompts, answers), dtype=float)

    def _prompts(
        self, asked: Sequence[Prompted], embeddings: Array
    ) -> list[tuple[list[Message], list[int]]]:
        near = self.examples.near(embeddings, self.shots)
        return [self.prompt(one, rows) for one, rows in zip(asked, near, strict=True)]

    def _held(self, asked: Prompted) -> Prompted:
        """What a caller wants, and the schema of this version where it wants no form of its own."""
        how = asked.how
        if self.schema is None or how.response_format or how.tools:
            return asked
        return replace(asked, how=replace(how, response_format=as_format(self.schema)))

    def prompt(self, asked: Prompted, near: Sequence[int]) -> tuple[list[Message], list[int]]:
        """Messages and their tokens: the input, after as many of these examples as leave room for the
        longest answer."""
        prompts, functions = self.lm.prompts, Tools.of(asked.how.tools).functions
        if self.engine is None:
            prompts.check_tools(asked.input, functions)
        for count in range(len(near), 0, -1):
            shown = self.examples.shown(asked.input, near[:count])
            tokens = prompts.read(shown, functions)
            if len(tokens) + self._most(asked) <= prompts.context:
                return prompts.messages(shown), tokens
        return prompts.messages(asked.input), prompts.prompt(asked.input, functions)

    def _most(self, asked: Prompted) -> int:
        return asked.how.max_tokens or self.max_new_tokens

    def _write(
        self,
        asked: list[Prompted],
        prompts: list[tuple[list[Message], list[int]]],
        heard: list[bool],
    ) -> list[Completion]:
        if self.engine:
            return self.engine.write(
                [(one, shown, self._most(one)) for one, (shown, _) in zip(asked, prompts, strict=True)]
            )
        tokens, most = [each for _, each in prompts], [self._most(one) for one in asked]
        pens = [self._pen(*each) for each in zip(asked, heard, strict=True)]
        written = self.lm.write(tokens, most, pens)
        return [self._completion(len(t), one) for t, one in zip(tokens, written, strict=True)]

    def _pen(self, asked: Prompted, heard: bool) -> Pen | None:
        """None for an answer that nobody hears being written, and that may be any text."""
        tools, form = Tools.of(asked.how.tools), schema_of(asked.how.response_format)
        if tools.functions and form is not None:
            raise InputError(
                "the local engine holds an answer to a form or lets it call tools, not both",
                where="response_format",
                do="leave out response_format, or tools",
            )
        schema = tools.schema if form is None else form
        if schema is None:
            return Pen(asked, self.lm.prompts.text) if heard else None
        return Pen(asked, self.lm.prompts.text, self.lm.constraint(schema))

    def _completion(self, prompt_tokens: int, written: Written) -> Completion:
        pen = written.pen
        return Completion(
            text=pen.close() if pen else self.lm.prompts.text(written.tokens),
            finish_reason=pen.finish if pen and pen.finish else "stop" if written.stopped else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(written.logprobs),
            logprobs=tuple(written.logprobs),
            first_ms=written.first_ms,
        )

    def under(self, labels: LabelSet) -> CausalModel:  # noqa: ARG002  it has no labels
        return self

    def start(self, labels: LabelSet, runtime: str) -> CausalModel:  # noqa: ARG002  it has no labels
        """As the next one starts from it, with the encoder on this runtime."""
        on = self.encoder if runtime == self.encoder.runtime else self.encoder.on(runtime)
        return replace(self, encoder=on)

    def save(self, folder: Path) -> None:
        """The weights and their probes, the examples, the encoder where it has no public name, and last
        generator.json: a folder with it is whole."""
        self.lm.copy_files(folder / FOLDER)
        probes.save(self.lm.probes, folder / FOLDER, self.lm.sha256)
        if self.encoder.local:
            self.encoder.copy_files(folder / ENCODER)
        if self.shots:
            self.examples.save(folder)
        about = {
            "sha256": self.lm.sha256,
            "max_new_tokens": self.max_new_tokens,
            "shots": self.shots,
            "schema": self.schema,
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
        found = load_language_model(str(folder / FOLDER))
        _same("weights", folder, found.sha256, sha256)
        lm = _loaded.get(sha256, found)
        lm.folder = found.folder  # where it was read from before may hold other weights by now
        shots = about["shots"]
        examples = Examples.load(folder) if shots else NONE
        schema = about.get("schema")  # a version made before there was one has none
        return CausalModel(keep(read), _keep(lm), most, examples, shots, learnt, schema=schema)


def base(name: str, encoder: Encoder) -> CausalModel:
    """A model that nothing here has trained yet. Raises ModelError."""
    return CausalModel(encoder, _keep(load_language_model(name)))


def _answer(input: Input, written: Completion, embedding: Array) -> Answer:
    said = written.logprobs
    mean = sum(said) / len(said) if said else None
    detail = GenerationDetail(
        messages=() if isinstance(input, str) else tuple(input),
        prompt_tokens=written.prompt_tokens,
        completion_tokens=written.completion_tokens,
        finish_reason=written.finish_reason,
        mean_logprob=mean,
        min_logprob=min(said, default=None),
        first_token_ms=written.first_ms,
    )
    return Answer(written.text, 0.0 if mean is None else math.exp(mean), detail, embedding)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


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
