"""Bytes that each command moves through each memory, by its operands alone.

The rules stand in docs/reports.md ("Bytes"). They follow the accesses of docs/timing_model.md: one
per stream of a VECTOR command, one broadcast per item of a PRODUCT. Everything is the same in every
step; only the rows of a GATHER differ, for which the most that they can move is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.engine.traffic_vector import (
    ACCUMULATOR_BYTES,
    MASK_WEIGHTS_PER_BYTE,
    Chosen,
    Ints,
    Part,
    vector_traffic,
)
from azsim.program import Port, Program
from azsim_kernels import isa

INDEX_BYTES = 4
GROUP_WEIGHTS = 256


def command_traffic(program: Program, chip: ChipConfig) -> Iterator[Part]:
    """Yield (field of `azsim.counters.Traffic`, numbers of commands, bytes of each in one step).

    A field may come several times; a command comes at most once in each part.
    """
    commands = program.commands
    yield from _dma_w(commands, chip.memory.access_bytes)
    yield from _dma_a(commands, program.inputs, chip.memory.access_bytes)
    masked = has_masks(chip)
    yield from _decodes(commands, masked)
    yield from _products(Chosen(commands, isa.PRODUCT), chip, masked)
    yield from vector_traffic(commands, masked)


def has_masks(chip: ChipConfig) -> bool:
    """Tell whether masks stand beside the weights in WBUF: only an array that uses them has any."""
    return chip.mac_array.skip in ("weight", "both")


def moved_bytes(address: Ints, size: Ints, access: int) -> Ints:
    """Bytes over the bus for byte ranges, rounded outwards to `access`.

    Bursts are multiples of the access, so only the two ends of a range are rounded.
    """
    end = address + size
    moved: Ints = -(-end // access) * access - address // access * access
    return moved


def _dma_w(commands: npt.NDArray[Any], access: int) -> Iterator[Part]:
    fetch = Chosen(commands, isa.FETCH)
    dram = fetch["source"] == 0
    moved = moved_bytes(fetch["address"], fetch["bytes"], access)
    yield "dram_weight_read_bytes", fetch.numbers[dram], moved[dram]
    yield "store_read_bytes", fetch.numbers[~dram], fetch["bytes"][~dram]


def _dma_a(commands: npt.NDArray[Any], inputs: tuple[Port, ...], access: int) -> Iterator[Part]:
    load, store = Chosen(commands, isa.LOAD), Chosen(commands, isa.STORE)
    moved = moved_bytes(load["dram_address"], load["bytes"], access)
    of_input = np.zeros(len(load.numbers), np.bool_)
    for port in inputs:
        offset = load["dram_address"] - port.address
        of_input |= (offset >= 0) & (offset < port.bytes)
    yield "dram_activation_read_bytes", load.numbers[of_input], moved[of_input]
    yield "dram_parameter_read_bytes", load.numbers[~of_input], moved[~of_input]
    yield "abuf_dma_write_bytes", load.numbers, load["bytes"]
    moved = moved_bytes(store["dram_address"], store["bytes"], access)
    yield "dram_write_bytes", store.numbers, moved
    yield "abuf_dma_read_bytes", store.numbers, store["bytes"]
    yield from _gathers(Chosen(commands, isa.GATHER), access)


def _gathers(gather: Chosen, access: int) -> Iterator[Part]:
    rows, width = gather["indices"], gather["row_bytes"]
    yield "dram_activation_read_bytes", gather.numbers, rows * _most_moved(gather, access)
    yield "abuf_dma_read_bytes", gather.numbers, rows * INDEX_BYTES
    yield "abuf_dma_write_bytes", gather.numbers, rows * width


def _most_moved(gather: Chosen, access: int) -> Ints:
    """The most bytes that one row of each table moves; where rows lie repeats after `access`."""
    most = np.zeros(len(gather.numbers), np.int64)
    tables = zip(gather["table_address"], gather["row_bytes"], gather["table_rows"], strict=True)
    for number, (address, width, rows) in enumerate(tables):
        places = address + width * np.arange(min(rows, access))
        most[number] = moved_bytes(places, width, access).max(initial=0)
    return most


def _decodes(commands: npt.NDArray[Any], masked: bool) -> Iterator[Part]:
    for opcode in (isa.TILE, isa.RAW):
        tile = Chosen(commands, opcode)
        weights = tile["groups"] * GROUP_WEIGHTS
        yield "wbuf_weight_write_bytes", tile.numbers, weights
        if masked:
            yield "wbuf_mask_write_bytes", tile.numbers, weights // MASK_WEIGHTS_PER_BYTE


def _products(product: Chosen, chip: ChipConfig, masked: bool) -> Iterator[Part]:
    array = chip.mac_array
    rows, columns, together = product["rows"], product["columns"], product["activation_columns"]
    group_rows = array.lanes * array.item_rows_per_lane
    row_groups = -(-rows // group_rows) if group_rows else np.ones_like(rows)
    weights, numbers = rows * columns, product.numbers
    yield "abuf_mac_read_bytes", numbers, row_groups * columns * together
    yield "wbuf_weight_read_bytes", numbers, weights * together
    if masked:
        yield "wbuf_mask_read_bytes", numbers, -(-weights // MASK_WEIGHTS_PER_BYTE) * together
    sums = rows * together * ACCUMULATOR_BYTES
    yield "accumulator_read_bytes", numbers, np.where(product["clear"] == 0, sums, 0)
    yield "accumulator_write_bytes", numbers, sums
