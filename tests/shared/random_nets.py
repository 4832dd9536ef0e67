"""Hypothesis strategy of small float nets over the supported operators."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from onnx_models import ModelMaker

KINDS = [
    *("matmul", "plus", "mul", "act", "softmax"),
    *("concat", "slice", "gather", "reshape", "perm"),
]


class RandomNet:
    """Draws a chain of supported operators over one computed tensor and one earlier one."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.maker = ModelMaker(opset=draw(st.sampled_from([13, 14, 17, 18, 21])))
        shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
        self.live = [(self.maker.input("x", shape), shape)]
        self.feeds = {"x": self.rng.normal(size=shape).astype(np.float32)}
        self.count = 0

    def add(
        self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: object
    ) -> None:
        self.count += 1
        output = f"v{self.count}"
        self.maker.node(operator, inputs, [output], **attributes)
        self.live.append((output, shape))

    def constant(self, data: object, dtype: object = np.float32) -> str:
        self.count += 1
        return self.maker.tensor(f"k{self.count}", data, dtype)

    def matmul(self, name: str, shape: tuple[int, ...]) -> None:
        columns = self.draw(st.integers(1, 5))
        if not shape:
            return
        weight = self.constant(self.rng.normal(size=(shape[-1], columns)) * 0.5)
        self.add("MatMul", [name, weight], (*shape[:-1], columns))

    def add_like(self, operator: str, name: str, shape: tuple[int, ...]) -> None:
        same = [n for n, s in self.live if s == shape]
        partner = self.draw(st.sampled_from(["same", "constant", "row"]))
        other = self.draw(st.sampled_from(same))
        if partner != "same":
            size = shape if partner == "constant" else shape[-1:]
            other = self.constant(self.rng.normal(size=size))
        pair = [name, other] if self.draw(st.booleans()) else [other, name]
        self.add(operator, pair, shape)

    def mul(self, name: str, shape: tuple[int, ...]) -> None:
        self.add("Tanh", [name], shape)  # keeps products from growing without bound
        self.add_like("Mul", self.live[-1][0], shape)

    def act(self, name: str, shape: tuple[int, ...]) -> None:
        self.add(self.draw(st.sampled_from(["Relu", "Sigmoid", "Tanh"])), [name], shape)

    def softmax(self, name: str, shape: tuple[int, ...]) -> None:
        if shape:
            axis = self.draw(st.integers(-len(shape), len(shape) - 1))
            self.add("Softmax", [name], shape, axis=axis)

    def concat(self, name: str, shape: tuple[int, ...]) -> None:
        if not shape:
            return
        axis = self.draw(st.integers(-len(shape), len(shape) - 1))
        other = self.constant(self.rng.normal(size=shape))
        target = list(shape)
        target[axis] *= 3
        self.add("Concat", [name, other, name], tuple(target), axis=axis)

    def slice(self, name: str, shape: tuple[int, ...]) -> None:
        if not shape:
            return
        axis = self.draw(st.integers(0, len(shape) - 1))
        start = self.draw(st.integers(0, shape[axis] - 1))
        end = self.draw(st.integers(start + 1, shape[axis]))
        step = self.draw(st.integers(1, 6))
        negative = self.draw(st.booleans())
        lists = [
            [start - shape[axis] if negative else start],
            [end if end < shape[axis] else 2**63 - 1],
            [axis - len(shape) if negative else axis],
            [step],
        ]
        names = [self.constant(values, np.int64) for values in lists]
        target = list(shape)
        target[axis] = len(range(start, end, step))
        self.add("Slice", [name, *names], tuple(target))

    def gather(self, name: str, shape: tuple[int, ...]) -> None:
        if not shape:
            return
        axis = self.draw(st.integers(0, len(shape) - 1))
        index_shape = self.draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
        indices = self.rng.integers(-shape[axis], shape[axis], index_shape)
        target = shape[:axis] + index_shape + shape[axis + 1 :]
        if len(target) <= 4:
            self.add("Gather", [name, self.constant(indices, np.int64)], target, axis=axis)

    def reshape(self, name: str, shape: tuple[int, ...]) -> None:
        target = self.draw(st.permutations(shape))
        self.add("Reshape", [name, self.constant(list(target), np.int64)], tuple(target))

    def perm(self, name: str, shape: tuple[int, ...]) -> None:
        perm = self.draw(st.permutations(range(len(shape))))
        self.add("Transpose", [name], tuple(shape[axis] for axis in perm), perm=list(perm))


@st.composite
def random_nets(draw: st.DrawFn) -> RandomNet:
    net = RandomNet(draw)
    for _ in range(draw(st.integers(1, 8))):
        name, shape = draw(st.sampled_from(net.live))
        kind = draw(st.sampled_from(KINDS))
        if kind == "plus":
            net.add_like("Add", name, shape)
        else:
            getattr(net, kind)(name, shape)
    return net
