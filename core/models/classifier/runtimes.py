"""What multiplies the matrices: torch or ONNX Runtime, in fp32 or less.

    torch        fp32, on a CUDA device when there is one           torch-fp32 in an encoder's identity
    torch-bf16   autocast to bfloat16: faster where the processor has it
    onnx         the exported graph, fp32                           onnx-fp32
    onnx-int8    the exported graph, its products in 8 bits         needs no other processor

The workers of a server read texts at the same time, one thread each, so no product is spread over
threads: 2 workers of one thread each do 592 to 652 texts/s where one worker of two threads does 448.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from core.arrays import Array
from core.errors import ModelError

Runtime = Literal["torch", "torch-bf16", "onnx", "onnx-int8"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
IN_IDENTITY = {"torch": "torch-fp32", "onnx": "onnx-fp32"}  # the others are named as they are
PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the `onnx` extra

# oneDNN keeps what it made for each shape of a product, 1,024 of them unless told, some 260 KB each: a
# server's memory grew by a quarter with texts of all lengths. To make one again costs little.
KEPT_SHAPES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}

Forward = Callable[[Array, Array], Array]  # (n, tokens) ids and mask -> (n, dim) float32


def in_torch(model: Any, runtime: Runtime) -> Forward:
    """Forward passes of a torch module. The module moves to a CUDA device when there is one."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    model.to(device)
    if device == "cpu" and runtime == "torch" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch has no type
        for name, most in KEPT_SHAPES.items():
            os.environ.setdefault(name, most)  # read at the first product
        model = packed(model)
    threads()  # known before the first pass makes it one

    def precision() -> AbstractContextManager[Any]:
        half = runtime == "torch-bf16"
        return torch.autocast(device, dtype=torch.bfloat16) if half else nullcontext()

    def forward(ids: Array, mask: Array) -> Array:
        with torch.inference_mode(), precision(), one_thread():
            tensors = (torch.from_numpy(a).to(device) for a in (ids, mask))
            vectors: Array = pooled(model, *tensors).cpu().numpy()
        return vectors

    return forward


def packed(model: Any) -> Any:
    """The module for forward passes alone: weights in the order in which oneDNN multiplies them.

    As torch keeps them they are put in order again for every product, which takes a sixth of the time
    for a batch of 11 short texts and half of it for one text. Still fp32. Other weights are shared.
    """
    import torch

    class Packed(torch.nn.Module):
        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
            self.bias = linear.bias

        def forward(self, rows: Any) -> Any:
            return torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "none", [], "")

    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    if getattr(twin, "pooler", None) is not None:
        twin.pooler = None  # of the first token: nobody asks for it
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear):
                setattr(module, name, Packed(child))
    return twin


def in_onnx(file: Path) -> Forward:
    """Forward passes of an exported graph. Raises ModelError: the file is broken."""
    session = onnx_session(file)

    def forward(ids: Array, mask: Array) -> Array:
        vectors: Array = session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors

    return forward


def onnx_session(model: Path | bytes) -> Any:
    """A session whose passes run in the thread that calls, and may be called by many."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            str(model) if isinstance(model, Path) else model, options, ["CPUExecutionProvider"]
        )
    except Exception as fault:  # each fault of ONNX Runtime is a class of its own
        raise ModelError(
            "the exported encoder cannot be read",
            where=str(model) if isinstance(model, Path) else "",
            got=str(fault).splitlines()[0],
            do="remove that file: it is made again",
        ) from None


def pooled(model: Any, ids: Any, mask: Any) -> Any:
    """Mean of the token vectors under the mask, L2 normalised: (n, dim) tensor, fp32."""
    import torch

    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
    return torch.nn.functional.normalize(mean)


def need_onnx(runtime: str) -> None:
    """Raises ModelError where a package of the `onnx` extra is missing."""
    from importlib.util import find_spec

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"runtime {runtime} needs packages that are not installed",
            got=f"no {', '.join(missing)}",
            do="pip install 'everloop[onnx]', or set model.runtime to torch in params.yaml",
        )


@cache
def threads() -> int:
    """Threads that may compute at once: the cores, or OMP_NUM_THREADS."""
    import torch

    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """The setting is the thread's own, but new threads begin with the last one made: put it back."""
    import torch

    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads())
