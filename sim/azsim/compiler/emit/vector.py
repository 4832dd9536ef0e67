"""Commands of integer nodes that need no weights: one function per node type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from azsim.compiler.emit.builder import Access, Command, ProgramBuilder
from azsim.graph.integer import (
    Elementwise,
    IntegerGraph,
    LookUp,
    LstmCell,
    Move,
    Piece,
    Requant,
    SoftmaxRows,
)
from azsim_kernels import isa

TYPES = {"int8": isa.INT8, "int16": isa.INT16, "int32": isa.INT32}
TABLES = {"sigmoid": isa.LUT_SIGMOID, "tanh": isa.LUT_TANH}


class VectorEmitter:
    """Emits VECTOR commands; knows where tensors are."""

    def __init__(
        self, graph: IntegerGraph, address: Mapping[str, int], builder: ProgramBuilder
    ) -> None:
        self.graph = graph
        self._address = address
        self._builder = builder

    def where(self, name: str) -> int:
        """ABUF address of tensor `name`."""
        return self._address[name]

    def kind(self, name: str) -> int:
        """Element type code of tensor `name`."""
        return TYPES[self.graph.tensors[name].element]

    def whole(self, name: str) -> Access:
        """The bytes of tensor `name`."""
        tensor = self.graph.tensors[name]
        size = tensor.size * np.dtype(tensor.element).itemsize
        return Access("abuf", self.where(name), self.where(name) + size)

    def zero(self, name: str) -> int:
        """Zero point of tensor `name`."""
        return self.graph.tensors[name].zero_point

    def vector(
        self, opcode: int, layer: int, arg: tuple[int, ...], reads: list[str], writes: list[str]
    ) -> None:
        """Append one VECTOR command that reads and writes whole tensors."""
        self._builder.add(
            Command(isa.VECTOR, opcode, arg, layer),
            [self.whole(name) for name in reads],
            [self.whole(name) for name in writes],
        )

    def requant(self, node: Requant, layer: int) -> None:
        """REQUANT."""
        x = self.graph.tensors[node.x]
        arg = (
            self.where(node.x), x.size, self.kind(node.x), self.where(node.y), self.kind(node.y),
            node.multiplier, node.shift, self.zero(node.x), self.zero(node.y),
            isa.FLAG_RELU if node.relu else 0,
        )  # fmt: skip
        self.vector(isa.REQUANT, layer, arg, [node.x], [node.y])

    def elementwise(self, node: Elementwise, layer: int) -> None:
        """ADD or MUL."""
        y, b = self.graph.tensors[node.y], self.graph.tensors[node.b]
        add = node.operator == "Add"
        arg = (
            self.where(node.a), self.kind(node.a), self.where(node.b), self.kind(node.b),
            self.where(node.y), self.kind(node.y), y.size, node.multiplier_a,
            node.multiplier_b if add else 0, node.shift, self.zero(node.a), self.zero(node.b),
            self.zero(node.y), isa.FLAG_RELU if node.relu else 0, b.size,
        )  # fmt: skip
        self.vector(isa.ADD if add else isa.MUL, layer, arg, [node.a, node.b], [node.y])

    def look_up(self, node: LookUp, layer: int) -> None:
        """LUT."""
        arg = (
            self.where(node.x), self.kind(node.x), self.graph.tensors[node.x].size,
            self.where(node.y), self.kind(node.y), TABLES[node.table], node.in_multiplier,
            node.in_shift, node.out_multiplier, node.out_shift, self.zero(node.x),
            self.zero(node.y),
        )  # fmt: skip
        self.vector(isa.LUT, layer, arg, [node.x], [node.y])

    def softmax(self, node: SoftmaxRows, layer: int) -> None:
        """SOFTMAX."""
        x = self.graph.tensors[node.x]
        columns = x.shape[-1]
        arg = (
            self.where(node.x), x.size // columns, columns, self.where(node.y),
            node.in_multiplier, node.in_shift, node.out_multiplier, node.out_shift,
            self.zero(node.y),
        )  # fmt: skip
        self.vector(isa.SOFTMAX, layer, arg, [node.x], [node.y])

    def lstm_cell(self, node: LstmCell, layer: int) -> None:
        """LSTM_CELL, one command per batch row."""
        hidden = self.graph.tensors[node.h_out].shape[-1]
        gates = 3 if node.couple else 4
        batch = self.graph.tensors[node.h_out].size // hidden
        for row in range(batch):
            arg = (
                self.where(node.gates) + row * gates * 2 * hidden,
                self.where(node.c_in) + row * 2 * hidden,
                self.where(node.c_out) + row * 2 * hidden, self.where(node.h_out) + row * hidden,
                hidden, node.c_fraction_bits, node.h_multiplier, node.h_shift,
                self.zero(node.h_out), node.couple,
            )  # fmt: skip
            reads, writes = [node.gates, node.c_in], [node.c_out, node.h_out]
            self.vector(isa.LSTM_CELL, layer, arg, reads, writes)

    def move(self, node: Move, layer: int) -> None:
        """COPY, one command per piece."""
        for piece in node.pieces:
            source = node.inputs[piece.source]
            arg = self._copy_arg(piece, source, node.y)
            self.vector(isa.COPY, layer, arg, [source], [node.y])

    def copy_bytes(self, source: Access, target: int, layer: int) -> None:
        """COPY of a whole byte range (states at the end of the step)."""
        size = source.end - source.begin
        arg = (source.begin, target, 1, 1, 1, 1, size, 0, 0, 0, 1, 0, 0, 0, 1)
        writes = [Access("abuf", target, target + size)]
        self._builder.add(Command(isa.VECTOR, isa.COPY, arg, layer), [source], writes)

    def _copy_arg(self, piece: Piece, source: str, target: str) -> tuple[int, ...]:
        width = np.dtype(self.graph.tensors[source].element).itemsize
        rank = len(piece.shape)
        front = (1,) * (4 - rank)
        zeros = (0,) * (4 - rank)
        return (
            self.where(source) + piece.source_offset * width,
            self.where(target) + piece.target_offset * width,
            width,
            *front, *piece.shape,
            *zeros, *(stride * width for stride in piece.source_strides),
            *zeros, *(stride * width for stride in piece.target_strides),
        )  # fmt: skip


VectorEmitters = Mapping[type[Any], Callable[[VectorEmitter, Any, int], None]]  # by node type

EMITTERS: VectorEmitters = {
    Requant: VectorEmitter.requant,
    Elementwise: VectorEmitter.elementwise,
    LookUp: VectorEmitter.look_up,
    SoftmaxRows: VectorEmitter.softmax,
    LstmCell: VectorEmitter.lstm_cell,
    Move: VectorEmitter.move,
}
