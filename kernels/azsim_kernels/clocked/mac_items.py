"""What the MAC array has to do for one PRODUCT: its broadcast items and the products of each
lane in each item.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa
from azsim_kernels.clocked.memory import Storage


class MacWork(NamedTuple):
    """Items in broadcast order, each a list of products per lane, and the sums, all for one
    activation column.
    """

    items: list[list[int]]
    products_done: int
    products_skipped: int


def dense_skip(skip: int) -> int:
    """Return the skipping that is left when the activations count as dense."""
    return isa.SKIP_WEIGHT if skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH) else isa.SKIP_NONE


def list_items(params: isa.MachineParams, arg: dict[str, int], storage: Storage) -> MacWork:
    """Return the work of a PRODUCT with the operands `arg`, from the weights in its slot and
    its activations.
    """
    rows, columns = arg["rows"], arg["columns"]
    skip = params.skip if arg["activation_columns"] == 1 else dense_skip(params.skip)
    weights = storage.wbuf[arg["slot"], : rows * columns].reshape(rows, columns)
    packed = storage.packed[arg["slot"], : rows * columns].reshape(rows, columns)
    address = arg["activation_address"]
    activations = storage.abuf[address : address + columns].view(np.int8)
    live = activations != arg["activation_zero_point"]
    counted = np.ones((rows, columns), bool)
    if skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH):
        counted &= (weights != 0) | packed
    if skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH):
        counted &= live
    else:
        live = np.ones(columns, bool)
    done = int(counted.sum())
    return MacWork(_items(params, counted, live), done, rows * columns - done)


def _items(
    params: isa.MachineParams, counted: NDArray[np.bool_], live: NDArray[Any]
) -> list[list[int]]:
    """Cut `counted` (rows, columns) into items; an item without a live activation is not
    broadcast.
    """
    rows, columns = counted.shape
    lanes = params.lanes
    group_rows = lanes * params.item_rows_per_lane or rows  # a group begins with a row of lane 0
    items = []
    for row in range(0, rows, group_rows):
        group = counted[row : row + group_rows]
        for column in range(0, columns, params.item_columns):
            block = slice(column, column + params.item_columns)
            if live[block].any():
                items.append([int(group[lane::lanes, block].sum()) for lane in range(lanes)])
    return items
