"""Weights on their way to a server that writes for us: loaded, warmed, and checked to be those.

A server has the weights of a version under the name `everloop-` and the first twelve digits of their
SHA-256. It was started with them; or it has what their LoRA stands on, and is told to load that
(vLLM's /v1/load_lora_adapter). Before it gets a request it has to begin its answers to the probes as
the model of the registry does. Other kernels and precisions round otherwise, so a token may be another
one where the model itself hardly preferred its own, and log-probabilities may differ a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import httpx

from core.errors import EngineError
from core.records.weights import ReferenceAnswer, Weights
from core.records.writing import Completion, Prompted
from serving.engines.asking import said, written
from serving.engines.replicas import Replica

DIGITS = 12  # of the SHA-256 of weights, in the name that servers have for them
NEAR = 0.5  # a second token that is so near in log-probability may be written in the place of the first
# Log-probabilities of the same tokens may be so far apart, on the average. Measured with vLLM on a
# processor: the same weights 0.02 to 0.03, an adapter beside its merged weights 0.03 to 0.04.
APART = 0.1


def weights_name(sha256: str) -> str:
    """What a server has to call these weights.

    >>> weights_name("b179c9523d0e6a0f98a330c7562b6827")
    'everloop-b179c9523d0e'
    """
    return f"everloop-{sha256[:DIGITS]}"


@dataclass(frozen=True)
class Deployment:
    """The weights of a version, as servers are to have them."""

    weights: Weights

    @property
    def model(self) -> str:
        return weights_name(self.weights.sha256)

    @property
    def command(self) -> str:
        """That starts a server with them."""
        return f"vllm serve {self.weights.folder} --served-model-name {self.model}"

    def possible(self, replica: Replica) -> bool:
        """Whether a server has the weights, or can get them."""
        adapter = self.weights.adapter
        named = {self.model} | ({weights_name(adapter.base)} if adapter else set())
        return bool(named & replica.models)

    def bring(self, replica: Replica) -> None:
        """Raises EngineError, BusyError or InputError: why this server is not fit for requests."""
        if self.model not in replica.models:
            self._load(replica)
        probes = self.weights.probes
        answers = [
            written(replica, self.model, Prompted(""), list(one.messages), len(one.steps))
            for one in probes
        ]
        if fault := difference(probes, answers):
            raise EngineError(
                "the engine does not answer as the model of the registry",
                where=f"{replica.url}, {self.model}",
                got=fault,
                expected="the probes.json of the version, up to rounding",
                do="start it with the folder generator/ of the version, and its own chat template",
            )

    def _load(self, replica: Replica) -> None:
        adapter = self.weights.adapter
        assert adapter is not None
        folder = str(adapter.folder.resolve())
        try:
            answer = replica.http.post(
                "/load_lora_adapter", json={"lora_name": self.model, "lora_path": folder}
            )
        except httpx.HTTPError as fault:
            raise _unloaded(replica, folder, f"{type(fault).__name__}: {fault}") from None
        if answer.status_code != 200:
            raise _unloaded(replica, folder, f"{answer.status_code}: {said(answer)}")
        replica.loaded |= {self.model}
        replica.models |= {self.model}


def difference(probes: Sequence[ReferenceAnswer], said: Sequence[Completion]) -> str:
    """How answers differ from what the model of the registry writes; "" where they are the same."""
    apart: list[float] = []
    for probe, one in zip(probes, said, strict=True):
        same = _same(probe, one.text)
        if same < len(probe.steps) and probe.steps[same].margin > NEAR:
            whole = "".join(step.text for step in probe.steps)
            return f"{one.text!a} where it writes {whole!a}"
        apart += [abs(a - b.logprob) for a, b in zip(one.logprobs, probe.steps[:same], strict=False)]
    if apart and fmean(apart) > APART:
        return f"log-probabilities that are {fmean(apart):.2f} apart on the average, above {APART}"
    return ""


def _same(probe: ReferenceAnswer, text: str) -> int:
    """With how many tokens of a probe a text begins."""
    at = 0
    for count, step in enumerate(probe.steps):
        if not text.startswith(step.text, at):
            return count
        at += len(step.text)
    return len(probe.steps)


def _unloaded(replica: Replica, folder: str, got: str) -> EngineError:
    return EngineError(
        "the engine does not load the adapter of a version",
        where=f"{replica.url}/v1/load_lora_adapter",
        got=got,
        expected=f"an engine that reads the folder {folder}",
        do="vllm serve ... --enable-lora, with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
    )
