"""Commands of depthwise convolutions and pooling: one per block of outputs."""

from __future__ import annotations

from azsim.compiler.emit.vector import VectorEmitter, VectorEmitters
from azsim.graph.integer_spatial import Depthwise, Pool
from azsim.graph.integer_window import Grid
from azsim_kernels import isa

KINDS = {"sum": isa.REDUCE_SUM, "max": isa.REDUCE_MAX}


def _window_arg(vector: VectorEmitter, node: Depthwise | Pool, grid: Grid) -> tuple[int, ...]:
    """The operands that REDUCE and DEPTHWISE begin with (tensors of bytes)."""
    return (
        vector.where(node.x) + grid.source, vector.where(node.y) + grid.target, node.channels,
        grid.out_h, grid.out_w, grid.kernel_h, grid.kernel_w, grid.step_h, grid.step_w,
        grid.tap_h, grid.tap_w,
    )  # fmt: skip


def _depthwise(vector: VectorEmitter, node: Depthwise, layer: int) -> None:
    for grid in node.grids:
        arg = (
            *_window_arg(vector, node, grid), vector.where(node.weights),
            vector.where(node.parameters), vector.zero(node.y),
            isa.FLAG_RELU if node.relu else 0, node.channels,
        )  # fmt: skip
        vector.vector(isa.DEPTHWISE, layer, arg, list(node.reads), [node.y])


def _pool(vector: VectorEmitter, node: Pool, layer: int) -> None:
    for grid, (multiplier, shift) in zip(node.grids, node.factors, strict=True):
        arg = (
            *_window_arg(vector, node, grid), KINDS[node.kind], multiplier, shift,
            vector.zero(node.x), vector.zero(node.y),
        )  # fmt: skip
        vector.vector(isa.REDUCE, layer, arg, [node.x], [node.y])


EMITTERS: VectorEmitters = {Depthwise: _depthwise, Pool: _pool}
