"""An encoder as an ONNX file: exported once, by its content, and the same numbers as torch.

The files lie in `$EVERLOOP_CACHE` or `~/.cache/everloop`, named by what they were made from. Attention
becomes one node of ONNX Runtime (its MultiHeadAttention) where the model's own code can be told to;
the plain graph is the way out for the others.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ModelError
from core.files import write_whole
from core.models.classifier.batches import PaddedTexts
from core.models.classifier.runtimes import onnx_session, pooled
from core.models.files import cache, read_model

if TYPE_CHECKING:
    from core.models.classifier.encoder import Encoder

log = logging.getLogger(__name__)

FORMAT = "2"  # of what is exported: a new number makes every file again
FUSED = "everloop"  # as transformers calls our attention
EXACT = 1e-4  # largest difference of a number in an embedding of length 1; float16 keeps 5e-4
TEXTS = Path(__file__).with_name("calibration.txt")


def exported(encoder: Encoder) -> Path:
    """The graph of an ONNX runtime. Raises ModelError when it is not the same encoder as in torch."""
    return _made(encoder, encoder.runtime)


def calibration() -> list[str]:
    """Texts of many kinds, on which an export is compared and its ranges are measured."""
    return TEXTS.read_text(encoding="utf-8").splitlines()


def _made(encoder: Encoder, runtime: str) -> Path:
    place = cache("onnx") / f"{_content(encoder)}-{runtime}.onnx"
    if not place.exists():
        log.info("exporting encoder %s for runtime %s to %s", encoder.name, runtime, place)
        batches = encoder.tokens.batches(calibration())
        if runtime == "onnx":
            data = _checked(encoder, batches)
        else:
            from core.models.classifier.quantize import quantize

            data = quantize(_made(encoder, "onnx").read_bytes(), batches)
        write_whole(place, data)
    return place


def _checked(encoder: Encoder, batches: list[PaddedTexts]) -> bytes:
    """The fp32 graph that gives torch's embeddings: with fused attention, else without."""
    import torch

    model = read_model(encoder.folder)
    with torch.inference_mode():
        expected = [pooled(model, *map(torch.from_numpy, (b.ids, b.mask))).numpy() for b in batches]
    faults = []
    for attention in (FUSED, "eager"):
        try:
            graph = _traced(model, attention)
            session = onnx_session(graph)
            got = [session.run(None, {"ids": b.ids, "mask": b.mask})[0] for b in batches]
        except Exception as fault:  # exporters fail in many ways; every one means: not this way
            faults.append(f"{attention}: {str(fault).splitlines()[0]}")
            continue
        worst = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
        if worst <= EXACT:
            return graph
        faults.append(f"{attention}: numbers differ by {worst:.2g}")
    raise ModelError(
        "the encoder cannot be exported to ONNX",
        where=encoder.name,
        got="; ".join(faults),
        expected=f"embeddings that differ from torch's by at most {EXACT:g}",
        do="set model.runtime to torch in params.yaml",
    )


def _traced(model: Any, attention: str) -> bytes:
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, ids: Any, mask: Any) -> Any:
            return pooled(self.body, ids, mask)

    _register()
    model.set_attn_implementation(attention)
    ids = torch.tensor([[5, 6, 7], [5, 6, 0]])
    shape = {0: torch.export.Dim("texts", min=1), 1: torch.export.Dim.DYNAMIC}
    with _quiet():
        program: Any = torch.onnx.export(
            Pooled(),
            (ids, (ids > 0).long()),
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_shapes={"ids": shape, "mask": shape},
            dynamo=True,
            opset_version=20,
            verbose=False,
        )
    graph = program.model_proto
    del graph.graph.value_info[:]  # shapes of the example, which others need not have
    data: bytes = graph.SerializeToString()
    return data


def _register() -> None:
    """Teach transformers an attention that is one node of ONNX Runtime, and its plain padding mask."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(FUSED, _attention)
    AttentionMaskInterface.register(FUSED, lambda *_, attention_mask=None, **__: attention_mask)


def _attention(
    module: Any,  # noqa: ARG001  transformers passes the layer
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """(n, heads, tokens, size) each -> (n, tokens, heads, size)."""
    import torch

    n, heads, tokens, size = query.shape
    flat = [x.transpose(1, 2).reshape(n, tokens, heads * size) for x in (query, key, value)]
    out = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (*flat, None, mask.to(torch.int32)),
        {"num_heads": heads, "scale": float(scaling or size**-0.5)},
        dtype=query.dtype,
        shape=flat[0].shape,
        version=1,
    )
    return out.reshape(n, tokens, heads, size), None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's chatter about packages and shapes it does without."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [chatter.level for chatter in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for chatter in loggers:
            chatter.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for chatter, level in zip(loggers, levels, strict=True):
                chatter.setLevel(level)


def _content(encoder: Encoder) -> str:
    """A digest of all that an export depends on."""
    parts = [encoder.sha256, FORMAT, str(encoder.max_tokens)]
    files = [encoder.folder / name for name in ("config.json", "tokenizer.json")]
    whole = hashlib.sha256("/".join(parts).encode())
    for file in (*files, TEXTS):
        whole.update(file.read_bytes() if file.exists() else b"")
    return whole.hexdigest()[:24]
