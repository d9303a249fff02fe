"""An exported graph with its large products in 8 bits, and no text that depends on its neighbours.

The usual dynamic quantisation takes its scale from the batch at hand, so the neighbours of a text
decide on its label: 1.7 % of them changed. Here every scale is fixed beforehand, from calibration
texts. One scale for a whole tensor is too coarse for a transformer, whose few large channels take all
of its range, so those are treated first:

    after a LayerNormalization   each channel is shifted to the middle of its range and made smaller,
                                 its weights larger (SmoothQuant: Xiao et al. 2023, eq. 4; Outlier
                                 Suppression+: Wei et al. 2023). A second LayerNormalization with other
                                 constants does both at once. One channel of 48 stays in fp32.
    a product that narrows       one channel of 16, those with the largest range, stays in fp32
                                 (LLM.int8(): Dettmers et al. 2022). After an activation function few
                                 channels spike.

Weights are symmetric, one scale a column; what rounding them shifts on average goes into the bias
(Nagel et al. 2019, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.arrays import Array
from core.models.classifier.batches import PaddedTexts
from core.models.classifier.runtimes import onnx_session

STRENGTH = 0.75  # how much of a channel's range moves into its weights: SmoothQuant's alpha
SPIKES = {"narrows": 16, "smooth": 48}  # one channel of so many stays in fp32
TINY = 1e-5
CONTRIB = "com.microsoft"


@dataclass(frozen=True, eq=False)
class Linear:
    """A product with constant weights, and the addition of its bias where one follows."""

    node: Any
    weight: Array  # (inputs, outputs)
    add: Any | None
    bias: Array  # (outputs,)

    @property
    def result(self) -> str:
        return str((self.add or self.node).output[0])


@dataclass(frozen=True, eq=False)
class Range:
    """What a tensor's channels were on the calibration texts: (channels,) each."""

    low: Array
    high: Array
    mean: Array


def quantize(graph: bytes, batches: Sequence[PaddedTexts]) -> bytes:
    """The int8 twin of a serialised fp32 graph with inputs `ids` and `mask`."""
    import onnx

    model = onnx.load_model_from_string(graph)
    by_input: dict[str, list[Linear]] = {}
    for linear in _linears(model):
        by_input.setdefault(linear.node.input[0], []).append(linear)
    ranges = _ranges(model, list(by_input), batches)
    _replace(model, [_Rewrite(model, x, by_input[x], ranges[x]) for x in by_input])
    data: bytes = model.SerializeToString()
    return data


def _linears(model: Any) -> Iterator[Linear]:
    constants = _constants(model)
    users: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for node in model.graph.node:
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or weight.ndim != 2:
            continue
        after = users.get(node.output[0], [])
        add = after[0] if len(after) == 1 and after[0].op_type == "Add" else None
        names = [n for n in add.input if n != node.output[0]] if add else []
        bias = constants.get(names[0]) if names else None
        if bias is None or bias.ndim != 1:
            add, bias = None, np.zeros(weight.shape[1], np.float32)
        yield Linear(node, weight, add, bias)


def _ranges(model: Any, names: list[str], batches: Sequence[PaddedTexts]) -> dict[str, Range]:
    """The inputs of all products, watched while the fp32 graph reads the calibration texts."""
    import onnx

    watched = onnx.ModelProto.FromString(model.SerializeToString())
    for name in names:
        watched.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    session = onnx_session(watched.SerializeToString())
    seen: dict[str, list[tuple[Array, Array, Array]]] = {name: [] for name in names}
    count = 0
    for batch in batches:
        real = batch.mask.reshape(-1) > 0  # padding is nobody's text
        count += int(real.sum())
        for name, values in zip(
            names, session.run(names, {"ids": batch.ids, "mask": batch.mask}), strict=True
        ):
            rows = values.reshape(len(real), -1)[real]
            seen[name].append((rows.min(0), rows.max(0), rows.sum(0, dtype=np.float64)))
    return {name: _range(parts, count) for name, parts in seen.items()}


def _range(parts: list[tuple[Array, Array, Array]], count: int) -> Range:
    low, high, total = (np.stack(part) for part in zip(*parts, strict=True))
    return Range(low.min(0), high.max(0), (total.sum(0) / count).astype(np.float32))


class _Rewrite:
    """The nodes and constants that stand for all products of one input tensor."""

    def __init__(self, model: Any, source: str, linears: list[Linear], seen: Range) -> None:
        self.linears, self.source = linears, source
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        made = {node.output[0]: node for node in model.graph.node}
        norm = made.get(source)
        smooth = norm is not None and norm.op_type == "LayerNormalization"
        inputs = linears[0].weight.shape[0]
        narrows = inputs > max(linear.weight.shape[1] for linear in linears)
        kind = "smooth" if smooth else "narrows" if narrows else ""
        self.apart = _largest(seen, inputs // SPIKES[kind] if kind else 0)
        self.middle = (seen.low + seen.high) / 2 if smooth else np.zeros(inputs, np.float32)
        self.smoothing = self._smoothing(seen) if smooth else np.ones(inputs, np.float32)
        self.mean = seen.mean
        self._input(seen, norm if smooth else None, _constants(model))
        for linear in linears:
            self._product(linear)

    def _smoothing(self, seen: Range) -> Array:
        reach = np.maximum((seen.high - seen.low) / 2, TINY)
        weights = np.max([np.abs(linear.weight).max(1) for linear in self.linears], axis=0)
        factors: Array = reach**STRENGTH / np.maximum(weights, TINY) ** (1 - STRENGTH)
        return factors

    def _input(self, seen: Range, norm: Any | None, known: dict[str, Array]) -> None:
        """The tensor in 8 bits, and its channels that stay in fp32."""
        import onnx

        inside = np.ones(len(self.middle), bool)
        inside[self.apart] = False
        high = max(0.0, float(((seen.high - self.middle) / self.smoothing)[inside].max()))
        low = min(0.0, float(((seen.low - self.middle) / self.smoothing)[inside].min()))
        scale = np.float32(max((high - low) / 255, TINY))
        zero = np.uint8(np.clip(np.round(-low / scale), 0, 255))
        self.scale, self.zero = self._constant("scale", scale), self._constant("zero", zero)
        source = self.source
        if norm is not None:
            factor = 1 / self.smoothing
            gain = self._constant("gain", known[norm.input[1]] * factor)
            offset = known[norm.input[2]] if len(norm.input) > 2 else 0.0
            shift = self._constant("shift", (offset - self.middle) * factor)
            source = self._node(
                "LayerNormalization", [norm.input[0], gain, shift], "smooth", norm.attribute
            )
        self.bytes = self._node("QuantizeLinear", [source, self.scale, self.zero], "bytes")
        if len(self.apart):
            places = self._constant("places", self.apart.astype(np.int64))
            axis = [onnx.helper.make_attribute("axis", -1)]
            self.spikes = self._node("Gather", [self.source, places], "spikes", axis)

    def _product(self, linear: Linear) -> None:
        name = linear.node.output[0]
        weight = linear.weight * self.smoothing[:, None]
        weight[self.apart] = 0
        scales = np.maximum(np.abs(weight).max(0), 1e-12) / 127
        rounded = np.clip(np.round(weight / scales), -127, 127)
        lost = ((self.mean - self.middle) / self.smoothing) @ (weight - rounded * scales)
        shifted = (self.middle / self.smoothing) @ weight
        inputs = [
            self.bytes,
            self._constant(f"{name}.weight", rounded.astype(np.int8)),
            self.scale,
            self._constant(f"{name}.scales", scales),
            self.zero,
            "",
            self._constant(f"{name}.bias", linear.bias + lost + shifted),
        ]
        if not len(self.apart):
            self._node("MatMulIntegerToFloat", inputs, linear.result, own=True)
            return
        product = self._node("MatMulIntegerToFloat", inputs, f"{name}.product")
        rest = self._constant(f"{name}.spikes", linear.weight[self.apart])
        spikes = self._node("MatMul", [self.spikes, rest], f"{name}.rest")
        self._node("Add", [product, spikes], linear.result, own=True)

    def _node(
        self, kind: str, inputs: list[str], name: str, attributes: Any = (), own: bool = False
    ) -> str:
        """Adds a node; `own`: `name` is a tensor that the graph knows already."""
        import onnx

        domain = CONTRIB if kind == "MatMulIntegerToFloat" else ""
        output = name if own else f"{self.source}.{name}"
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], domain=domain))
        self.nodes[-1].attribute.extend(attributes)
        return output

    def _constant(self, name: str, value: Any) -> str:
        import onnx

        array = np.asarray(value)
        kept = array if array.dtype in (np.int8, np.uint8, np.int64) else array.astype(np.float32)
        self.constants.append(
            onnx.numpy_helper.from_array(np.ascontiguousarray(kept), f"{self.source}.{name}")
        )
        return f"{self.source}.{name}"


def _replace(model: Any, rewrites: list[_Rewrite]) -> None:
    """Each group of products gives way to its rewrite, at the place of the first."""
    import onnx

    gone = {n.output[0] for r in rewrites for x in r.linears for n in (x.node, x.add) if n is not None}
    starts = {r.linears[0].node.output[0]: r for r in rewrites}
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.output[0] in starts:
            nodes += starts[node.output[0]].nodes
        elif node.output[0] not in gone:
            nodes.append(node)
    constants = [*model.graph.initializer, *(c for r in rewrites for c in r.constants)]
    used = {name for node in nodes for name in node.input}
    kept = [c for c in constants if c.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    if CONTRIB not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))


def _largest(seen: Range, count: int) -> Array:
    """Positions of the channels that reach furthest from zero, in their order."""
    reach = np.maximum(np.abs(seen.low), np.abs(seen.high))
    return np.sort(np.argsort(-reach, kind="stable")[:count])


def _constants(model: Any) -> dict[str, Array]:
    import onnx

    return {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
