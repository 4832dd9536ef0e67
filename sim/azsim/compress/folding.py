"""Batch norms, factors and offsets per output behind a product become part of its weights and bias,
in the file, before anything is quantized.

Quantized weights keep scales of their own, which no factor behind them could join any more; every
quantizer therefore folds first. The reader of `azsim run` does the same to float models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from azsim.compress.message import FreshNames, drop_unread, make_tensor, put_nodes
from azsim.frontend.node import Operand

Doubles = npt.NDArray[np.float64]
PRODUCTS = ("Conv", "Gemm", "MatMul")
BATCH_NORM = "BatchNormalization"
DEFAULT_EPSILON = 1e-5  # of ONNX's BatchNormalization


@dataclass(frozen=True)
class _Affine:
    """What is done to each output of a product: sum x `factor` + `offset`, both of shape (N,)."""

    factor: Doubles
    offset: Doubles

    def then(self, factor: Doubles | float, offset: Doubles | float) -> _Affine:
        return _Affine(self.factor * factor, self.offset * factor + offset)


@dataclass(frozen=True)
class _Chain:
    """A product, the places of the nodes behind it that join it, and what they do together."""

    product: onnx.NodeProto
    places: tuple[int, ...]
    result: str
    affine: _Affine


class _Folding:
    def __init__(
        self,
        model: onnx.ModelProto,
        constants: Mapping[str, Operand],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.model = model
        self._constants, self._shapes = constants, shapes
        self._names = FreshNames(model)
        self._results = {value.name for value in model.graph.output}
        self._readers: dict[str, list[int]] = {}
        for place, node in enumerate(model.graph.node):
            for name in node.input:
                self._readers.setdefault(name, []).append(place)

    def run(self) -> bool:
        """Fold what can be folded; True if something was."""
        chains = [c for n in self.model.graph.node if (c := self._chain(n)) is not None]
        if not chains:
            return False
        behind: dict[str, list[onnx.NodeProto]] = {}
        for chain in chains:
            behind[chain.product.output[0]] = self._apply(chain)
        gone = {place for chain in chains for place in chain.places}
        nodes: list[onnx.NodeProto] = []
        for place, node in enumerate(self.model.graph.node):
            if place not in gone:
                nodes += [node, *behind.get(node.output[0] if node.output else "", [])]
        put_nodes(self.model, nodes)
        drop_unread(self.model)
        return True

    # -- what joins a product ----------------------------------------------------------------------

    def _chain(self, product: onnx.NodeProto) -> _Chain | None:
        """The product with all behind it up to the last factor, and the offsets after that."""
        count = self._outputs_of(product)
        if not count:
            return None
        affine = _Affine(np.ones(count), np.zeros(count))
        found: _Chain | None = None
        places: list[int] = []
        name = product.output[0]
        while (place := self._only_reader(name)) is not None:
            node = self.model.graph.node[place]
            step = self._step(product, node, name, count)
            if step is None:
                break
            places.append(place)
            affine, name = affine.then(*step), node.output[0]
            if node.op_type != "Add" or found is not None:
                found = _Chain(product, tuple(places), name, affine)
        return found

    def _outputs_of(self, node: onnx.NodeProto) -> int:
        """How many outputs a product with float weights of its own has; 0: it is none."""
        if node.op_type not in PRODUCTS or len(node.input) < 2:
            return 0
        weights = self._floats(node.input[1])
        if weights is None or node.input[0] in self._constants or weights.ndim < 2:
            return 0
        if any(size != 1 for size in weights.shape[:-2]) and node.op_type != "Conv":
            return 0
        count = weights.shape[_axis(node, weights.ndim)]
        return count if self._bias(node, count) is not None else 0

    def _bias(self, node: onnx.NodeProto, count: int) -> Doubles | None:
        """The bias of a Conv or Gemm as it is added, one number per output."""
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(count)
        data = self._floats(node.input[2])
        if data is None or data.shape[-1:] not in ((count,), (1,)) or data.size not in (1, count):
            return None
        return np.broadcast_to(data.reshape(-1) * _real(node, "beta", 1.0), (count,))

    def _only_reader(self, name: str) -> int | None:
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._results else None

    def _floats(self, name: str) -> Doubles | None:
        """A float constant of the file that is not made of integers."""
        operand = self._constants.get(name)
        if operand is None or operand.data is None or operand.stored is not None:
            return None
        is_real = np.issubdtype(operand.data.dtype, np.floating)
        return operand.data.astype(np.float64) if is_real else None

    def _step(
        self, product: onnx.NodeProto, node: onnx.NodeProto, name: str, count: int
    ) -> tuple[Any, Any] | None:
        """(factor, offset) that `node` puts on each output, None if it does something else."""
        shape = self._shapes.get(product.output[0])
        if shape is None or self._shapes.get(node.output[0] if node.output else "") != shape:
            return None
        axis = 1 if product.op_type == "Conv" else len(shape) - 1
        if node.op_type == BATCH_NORM:
            return self._norm(node, axis, count)
        if node.op_type not in ("Mul", "Add", "Div") or len(node.input) != 2:
            return None
        place = list(node.input).index(name)
        data = self._floats(node.input[1 - place])
        row = None if data is None else _per_output(data, len(shape), axis, count)
        if row is None or (node.op_type == "Div" and (place == 1 or not row.all())):
            return None
        if node.op_type == "Add":
            return 1.0, row
        return (row if node.op_type == "Mul" else 1.0 / row), 0.0

    def _norm(self, node: onnx.NodeProto, axis: int, count: int) -> tuple[Any, Any] | None:
        trains = any(a.name == "training_mode" and a.i for a in node.attribute)
        if axis != 1 or trains or len(node.input) != 5 or any(node.output[1:]):
            return None
        parts = [self._floats(name) for name in node.input[1:]]
        gamma, beta, mean, variance = (None if p is None else p.reshape(-1) for p in parts)
        if gamma is None or beta is None or mean is None or variance is None:
            return None
        if any(part.size != count for part in (gamma, beta, mean, variance)):
            return None
        spread = variance + _real(node, "epsilon", DEFAULT_EPSILON)
        if not (spread > 0).all():
            return None
        factor = gamma / np.sqrt(spread)
        return factor, beta - mean * factor

    # -- what is written ---------------------------------------------------------------------------

    def _apply(self, chain: _Chain) -> list[onnx.NodeProto]:
        """Change the product; return the node that adds the offset if it cannot do that itself."""
        node, affine = chain.product, chain.affine
        weights = self._floats(node.input[1])
        assert weights is not None  # the chain began with them
        form = [1] * weights.ndim
        form[_axis(node, weights.ndim)] = -1
        node.input[1] = self._constant(node.input[1], weights * affine.factor.reshape(form))
        bias = self._bias(node, affine.factor.size)
        assert bias is not None  # looked at before
        offset = affine.offset + bias * affine.factor
        if node.op_type == "MatMul":
            return self._added(node, chain.result, offset)
        name = node.input[2] if len(node.input) > 2 and node.input[2] else f"{node.input[1]}.bias"
        made = self._constant(name, offset)
        del node.input[2:]
        node.input.append(made)
        for attribute in node.attribute:
            if attribute.name == "beta":
                attribute.f = 1.0
        node.output[0] = chain.result
        return []

    def _added(self, node: onnx.NodeProto, result: str, offset: Doubles) -> list[onnx.NodeProto]:
        if not offset.any():
            node.output[0] = result
            return []
        name = self._constant(f"{result}.offset", offset)
        wish = self._names.fresh(f"{result}.offset")
        return [helper.make_node("Add", [node.output[0], name], [result], name=wish)]

    def _constant(self, wish: str, data: Doubles) -> str:
        name = self._names.fresh(f"{wish}.folded")
        self.model.graph.initializer.append(make_tensor(name, data.astype(np.float32)))
        return name


def _axis(node: onnx.NodeProto, rank: int) -> int:
    """The dimension of a product's weights that counts its outputs."""
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or turned else rank - 1


def _real(node: onnx.NodeProto, name: str, default: float) -> float:
    return next((a.f for a in node.attribute if a.name == name), default)


def _per_output(data: Doubles, rank: int, axis: int, count: int) -> Doubles | None:
    """A constant as one number per output, None if it differs within one."""
    if data.ndim > rank:
        return None
    whole = data.reshape((1,) * (rank - data.ndim) + data.shape)
    if any(size != 1 for k, size in enumerate(whole.shape) if k != axis):
        return None
    return np.broadcast_to(whole.reshape(-1), (count,))


def fold_products(
    model: onnx.ModelProto,
    constants: Mapping[str, Operand],
    shapes: Mapping[str, tuple[int, ...]],
) -> bool:
    """Fold batch norms, factors and offsets into the products before them, in place.

    `constants` and `shapes` are those of the file, by its own names. Returns True if something was
    folded; results then are those of before within rounding to float32.
    """
    return _Folding(model, constants, shapes).run()
