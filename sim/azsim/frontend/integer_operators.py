"""Operators on integers that carry their own scales, written out with QuantizeLinear and
DequantizeLinear around the operator that they mean.

QLinearConv, QLinearMatMul, ONNX Runtime's QLinearAdd, QGemm and the like (its "QOperator" form);
MatMulInteger and ConvInteger of an input that DynamicQuantizeLinear has measured, with the Cast and
the Mul by both scales behind them (its "dynamic" form). Of the latter the weights' integers are
kept; the input is quantized as the chip quantizes any value, by a fixed range from calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import onnx
from onnx import helper

OWN = ("", "ai.onnx")
RUNTIME = "com.microsoft"

Parts = list[onnx.NodeProto]


class _Writer:
    """Names for the parts of one node, after its first output."""

    def __init__(self, node: onnx.NodeProto, taken: set[str]) -> None:
        self._node = node
        self._taken = taken
        self.parts: Parts = []

    def name(self, part: str) -> str:
        """An unused name."""
        wish = name = f"{self._node.output[0]}.{part}"
        count = 1
        while name in self._taken:
            count += 1
            name = f"{wish}.{count}"
        self._taken.add(name)
        return name

    def put(
        self, operator: str, inputs: Sequence[str], output: str = "", axis: int | None = None
    ) -> str:
        """Append a node; returns its output."""
        output = output or self.name(operator.lower())
        node = helper.make_node(operator, inputs, [output], axis=axis)
        node.name = self.name(f"{operator.lower()}.node")
        self.parts.append(node)
        return output

    def numbers(self, place: int, axis: int | None = None) -> str:
        """The real numbers of the integers at input `place`; scale and zero point follow them."""
        return self.put("DequantizeLinear", self.given(place, 3), axis=axis)

    def given(self, place: int, count: int) -> list[str]:
        """Inputs `place` and following, "" where absent, without those at the end."""
        names = [*self._node.input[place : place + count]]
        while names and not names[-1]:
            names.pop()
        return names

    def main(self, operator: str, inputs: Sequence[str], without: Sequence[str] = ()) -> str:
        """The operator itself, under the node's own name and with its attributes."""
        output = self.put(operator, inputs)
        made = self.parts[-1]
        made.name = self._node.name or made.name
        made.attribute.extend(a for a in self._node.attribute if a.name not in without)
        return output

    def result(self, source: str, place: int) -> None:
        """The integers of the node's output; scale and zero point are inputs from `place` on."""
        inputs = [source, *self.given(place, 2)]
        self.put("QuantizeLinear", inputs, self._node.output[0])


def _convolution(node: onnx.NodeProto, writer: _Writer) -> None:
    """x, scale, zero, w, scale, zero, y scale, zero, bias: its scale is the product of both."""
    inputs = [writer.numbers(0), writer.numbers(3, axis=0)]
    if len(node.input) > 8 and node.input[8]:
        scale = writer.put("Mul", [node.input[1], node.input[4]])
        inputs.append(writer.put("DequantizeLinear", [node.input[8], scale], axis=0))
    writer.result(writer.main("Conv", inputs), 6)


def _product(node: onnx.NodeProto, writer: _Writer) -> None:
    product = writer.main("MatMul", [writer.numbers(0), writer.numbers(3, axis=-1)])
    writer.result(product, 6)


def _gemm(node: onnx.NodeProto, writer: _Writer) -> None:
    """a, scale, zero, b, scale, zero, bias (or ""), and scale and zero of the result, which is real
    without them."""
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    inputs = [writer.numbers(0), writer.numbers(3, axis=0 if turned else 1)]
    if len(node.input) > 6 and node.input[6]:
        scale = writer.put("Mul", [node.input[1], node.input[4]])
        inputs.append(writer.put("DequantizeLinear", [node.input[6], scale], axis=0))
    made = writer.main("Gemm", inputs)
    if len(node.input) > 7 and node.input[7]:
        writer.result(made, 7)
    else:
        writer.put("Identity", [made], node.output[0])


def _pair(operator: str) -> Callable[[onnx.NodeProto, _Writer], None]:
    def write(node: onnx.NodeProto, writer: _Writer) -> None:
        writer.result(writer.main(operator, [writer.numbers(0), writer.numbers(3)]), 6)

    return write


def _single(
    operator: str, without: Sequence[str] = ()
) -> Callable[[onnx.NodeProto, _Writer], None]:
    def write(node: onnx.NodeProto, writer: _Writer) -> None:
        writer.result(writer.main(operator, [writer.numbers(0)], without), 3)

    return write


def _joined(node: onnx.NodeProto, writer: _Writer) -> None:
    """Scale and zero point of the result, then data, scale and zero point of each input."""
    places = range(2, len(node.input) - 2, 3)
    writer.result(writer.main("Concat", [writer.numbers(place) for place in places]), 0)


def _dynamic_product(node: onnx.NodeProto, writer: _Writer) -> None:
    """a (real), b, its scale, its zero point, a real bias."""
    inputs = [node.input[0], writer.put("DequantizeLinear", writer.given(1, 3), axis=-1)]
    made = writer.main("MatMul", inputs)
    if len(node.input) > 4 and node.input[4]:
        writer.put("Add", [made, node.input[4]], node.output[0])
    else:
        writer.put("Identity", [made], node.output[0])


WRITERS: dict[tuple[str, str], Callable[[onnx.NodeProto, _Writer], None]] = {
    ("", "QLinearConv"): _convolution,
    ("", "QLinearMatMul"): _product,
    (RUNTIME, "QGemm"): _gemm,
    (RUNTIME, "QLinearAdd"): _pair("Add"),
    (RUNTIME, "QLinearMul"): _pair("Mul"),
    (RUNTIME, "QLinearSigmoid"): _single("Sigmoid"),
    (RUNTIME, "QLinearLeakyRelu"): _single("LeakyRelu"),
    (RUNTIME, "QLinearSoftmax"): _single("Softmax", ("opset",)),
    (RUNTIME, "QLinearAveragePool"): _single("AveragePool", ("channels_last",)),
    (RUNTIME, "QLinearGlobalAveragePool"): _single("GlobalAveragePool", ("channels_last",)),
    (RUNTIME, "QLinearConcat"): _joined,
    (RUNTIME, "DynamicQuantizeMatMul"): _dynamic_product,
}
NAMES = tuple(sorted({operator for _, operator in WRITERS} | {"ConvInteger", "MatMulInteger"}))
LEAST_INPUTS = {"QLinearConv": 8, "QLinearMatMul": 8, "QGemm": 6, "QLinearConcat": 5,
                "QLinearAdd": 7, "QLinearMul": 7, "DynamicQuantizeMatMul": 3}  # fmt: skip


def _is_plain(node: onnx.NodeProto) -> bool:
    """True if the node has what its writer looks at, and the channels where ONNX has them."""
    if len(node.output) != 1 or len(node.input) < LEAST_INPUTS.get(node.op_type, 4):
        return False
    return not any(a.name == "channels_last" and a.i for a in node.attribute)


def write_out_integers(model: onnx.ModelProto) -> None:
    """Replace such nodes in place. What has not the form that is known stays, and is refused where
    the node is read."""
    if not any(node.op_type in NAMES for node in model.graph.node):
        return
    taken = set(_names(model.graph))
    _write_out_dynamic(model.graph, taken)
    nodes: Parts = []
    for node in model.graph.node:
        domain = "" if node.domain in OWN else node.domain
        write = WRITERS.get((domain, node.op_type))
        if write is None or not _is_plain(node):
            nodes.append(node)
            continue
        writer = _Writer(node, taken)
        write(node, writer)
        nodes += writer.parts
    if len(nodes) != len(model.graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    for entry in (*graph.input, *graph.output, *graph.initializer):
        yield entry.name
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)


class _Chains:
    """Who makes and who reads each value of a graph."""

    def __init__(self, graph: onnx.GraphProto, nodes: Parts) -> None:
        self.constants = {tensor.name for tensor in graph.initializer}
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, Parts] = {}
        for output in graph.output:
            self.readers[output.name] = [onnx.NodeProto()]  # a reader that is no node of a chain
        for node in nodes:
            for name in node.output:
                self.makers[name] = node
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def only_reader(self, name: str, operator: str) -> onnx.NodeProto | None:
        """The node that alone reads `name`, if it is such an operator."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == operator else None

    def scale_beside(self, product: onnx.NodeProto, name: str) -> tuple[onnx.NodeProto, str] | None:
        """Where `product` is one of a value and of (the scale `name` times a constant): the node
        that makes the latter, and the constant."""
        for factor in product.input:
            maker = self.makers.get(factor)
            if maker is None or maker.op_type != "Mul" or name not in maker.input:
                continue
            rest = [other for other in maker.input if other != name]
            if len(rest) == 1 and rest[0] in self.constants:
                return maker, rest[0]
        return None


def _write_out_dynamic(graph: onnx.GraphProto, taken: set[str]) -> None:
    old = list(graph.node)  # kept, so that a node has one identity
    chains, gone = _Chains(graph, old), set[int]()
    made: dict[int, Parts] = {}
    for node in old:
        if node.op_type not in ("MatMulInteger", "ConvInteger") or node.domain not in OWN:
            continue
        found = _dynamic_chain(node, chains)
        if found is None:
            continue
        cast, product, source, scale = found
        writer = _Writer(product, taken)
        axis = -1 if node.op_type == "MatMulInteger" else 0
        zero = [node.input[3]] if len(node.input) > 3 and node.input[3] else []
        weights = writer.put("DequantizeLinear", [node.input[1], scale, *zero], axis=axis)
        operator = node.op_type.removesuffix("Integer")
        writer.put(operator, [source, weights], product.output[0])
        writer.parts[-1].name = node.name or writer.parts[-1].name
        writer.parts[-1].attribute.extend(node.attribute)
        made[id(product)] = writer.parts
        gone |= {id(node), id(cast), id(product)}
    if made:
        _replace(graph, old, made, gone)


def _dynamic_chain(
    node: onnx.NodeProto, chains: _Chains
) -> tuple[onnx.NodeProto, onnx.NodeProto, str, str] | None:
    """The Cast and the Mul behind an integer product, the real input, and the weights' scale."""
    measured = chains.makers.get(node.input[0]) if len(node.input) > 1 else None
    if measured is None or measured.op_type != "DynamicQuantizeLinear":
        return None
    if len(measured.output) != 3 or not measured.input or measured.output[0] != node.input[0]:
        return None
    zero = node.input[2] if len(node.input) > 2 else ""
    cast = chains.only_reader(node.output[0], "Cast") if node.output else None
    if cast is None or zero != measured.output[2] or not cast.output:
        return None
    product = chains.only_reader(cast.output[0], "Mul")
    is_float = any(a.name == "to" and a.i == onnx.TensorProto.FLOAT for a in cast.attribute)
    if product is None or not product.output or not is_float:
        return None
    scales = chains.scale_beside(product, measured.output[1])
    return (cast, product, measured.input[0], scales[1]) if scales else None


def _replace(graph: onnx.GraphProto, old: Parts, made: dict[int, Parts], gone: set[int]) -> None:
    """Put the parts where the products were; what then measures and scales nothing goes."""
    nodes = [
        part for node in old for part in made.get(id(node), [] if id(node) in gone else [node])
    ]
    results = {output.name for output in graph.output}
    for _ in range(2):  # the product of the scales, then what measures them
        read = {name for node in nodes for name in node.input} | results
        nodes = [
            node
            for node in nodes
            if node.op_type not in ("Mul", "DynamicQuantizeLinear") or read & {*node.output}
        ]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
