"""Data movement in plain numpy: no arithmetic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError, SimulationError
from azsim.graph.integer import EmbedRows, Move, View
from azsim.reference.integer_values import Evaluators, Values


def _box(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Element numbers of a strided box, in row-major order of `shape`."""
    steps = np.indices(shape).reshape(len(shape), -1)
    return np.asarray(offset + np.array(strides, dtype=np.intp) @ steps, dtype=np.intp)


def _move(node: Move, values: Values) -> None:
    """Assemble y from boxes of the inputs; every element of y must be written."""
    size = values.tensors[node.y].size
    y = np.zeros(size, dtype=np.int64)
    written = np.zeros(size, dtype=bool)
    for piece in node.pieces:
        source = values.raw(node.inputs[piece.source]).ravel()
        target = _box(piece.target_offset, piece.shape, piece.target_strides)
        y[target] = source[_box(piece.source_offset, piece.shape, piece.source_strides)]
        written[target] = True
    if not written.all():
        missing = int(size - written.sum())
        raise SimulationError(
            f"node '{node.name}': pieces must cover the output, not leave {missing} of {size}"
            " elements open"
        )
    values.put_raw(node.y, y)


def _view(node: View, values: Values) -> None:
    end = node.offset + values.tensors[node.y].size
    values.put_raw(node.y, values.arrays[node.x].ravel()[node.offset : end])


def _embed(node: EmbedRows, values: Values) -> None:
    index = values.raw(node.index)
    rows = node.table.shape[0]
    for wrong in index[(index < 0) | (index >= rows)][:1]:
        raise ModelError(f"node '{node.name}': index must be in 0..{rows - 1}, not {wrong}")
    values.put_raw(node.y, node.table[index])


EVALUATORS: Evaluators = {Move: _move, View: _view, EmbedRows: _embed}
