"""In front of pass 5: convolutions of many groups get fewer, wider ones.

Each group has tiles of its own, and a tile of a few weights takes longer to begin than to work. So
neighbouring groups share one matrix with their weights on its diagonal and zeros beside them, which
decoders carry as single bits and the array skips. How many is chosen by estimate. No result
changes: the added weights are zero, and a row keeps its scale.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.graph.integer import IntegerGraph, IntegerNode, Linear
from azsim.graph.integer_window import Window, merged_window
from azsim.units import ceil_div

TILE_CYCLES = 32  # of a tile until it works: FETCH, TILE and PRODUCT, measured on az1
BEAT_WEIGHTS = 16  # that a decoder expands in a cycle

Matrix = npt.NDArray[np.int8]


def join_groups(graph: IntegerGraph, chip: ChipConfig) -> IntegerGraph:
    """Return `graph` with fewer groups where that is faster by estimate, else `graph` itself."""
    made: dict[tuple[int, int], Matrix] = {}  # nodes that share a matrix share the new one
    nodes = tuple(_joined(node, chip, made) for node in graph.nodes)
    return replace(graph, nodes=nodes) if made else graph


def _joined(
    node: IntegerNode, chip: ChipConfig, made: dict[tuple[int, int], Matrix]
) -> IntegerNode:
    if not isinstance(node, Linear) or node.window is None or node.window.groups == 1:
        return node
    groups = node.window.groups
    counts = [count for count in range(1, groups + 1) if groups % count == 0]
    together = min(counts, key=lambda count: joined_cycles(node, count, chip))
    if together == 1:
        return node
    key = (id(node.weights), together)
    if key not in made:
        made[key] = joined_weights(node.weights, node.window, together)
    length = made[key].shape[1] // len(node.window.segments)
    is_one = together == groups
    window = replace(
        node.window,
        groups=groups // together,
        group_step=0 if is_one else node.window.group_step * together,
    )
    return replace(node, weights=made[key], window=merged_window(window, length)[0])


def joined_cycles(node: Linear, together: int, chip: ChipConfig) -> int:
    """Estimated cycles of a convolution whose groups share a matrix `together` at a time."""
    window, array = node.window, chip.mac_array
    assert window is not None  # the caller looked
    taps, groups = len(window.segments), window.groups // together
    each = int(node.weights.shape[1]) // taps  # columns of a group under a tap
    rows, columns = len(node.weights) // groups, each * together
    most = max(array.lanes, chip.wbuf.slot_weights // array.lanes)
    down = ceil_div(rows * min(columns, most), chip.wbuf.slot_weights)
    tiles = groups * taps * down * ceil_div(columns, most)
    busy = each if array.skip in ("weight", "both") else min(columns, array.item_columns)
    items = ceil_div(columns, array.item_columns)
    work = ceil_div(busy, array.macs_per_lane) + items - 1
    products = window.positions * groups * taps * ceil_div(rows, array.lanes) * work
    decoded = groups * rows * taps * columns // (BEAT_WEIGHTS * chip.decoder.units)
    return tiles * TILE_CYCLES + products + decoded


def joined_weights(weights: Matrix, window: Window, together: int) -> Matrix:
    """The matrix (N, K x `together`) of rows (N, K): under each tap a row has its own group's
    columns at the place of the group, zeros elsewhere."""
    count, columns = weights.shape
    taps = len(window.segments)
    group = np.arange(count) // (count // window.groups)
    wide = np.zeros((count, taps, together, columns // taps), np.int8)
    wide[np.arange(count), :, group % together] = weights.reshape(count, taps, -1)
    return wide.reshape(count, -1)
