"""Record types and groups of arrays that the fast engine works on; no code runs here but packing.

Everything is int64 inside the records: times are cycles from the start of the step, `FAR` is a
time that never comes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa
from azsim_kernels.table_slots import TableSlots

FAR = 1 << 62

# Classes of an engine besides the stall classes of `isa`, resolved when the span is closed.
DECODING = 5  # a DECODE command runs: its beats and words say which cycles are busy
FETCHING = 6  # a FETCH runs: busy, blocked or waiting by its bursts and credits

Records = NDArray[Any]  # structured arrays and their records
Ints = NDArray[np.int64]


def _record(*names: str, **arrays: int) -> np.dtype[Any]:
    fields: list[Any] = [(name, np.int64) for name in names]
    fields += [(name, np.int64, (size,)) for name, size in arrays.items()]
    return np.dtype(fields, align=True)


_TUPLE_FIELDS = {
    "products_per_mac": 8,
    "vector_latency_cycles": len(isa.VECTOR_CLASSES),
    "vector_interval_cycles": len(isa.VECTOR_CLASSES),
}
PARAMS = _record(
    *(name for name in isa.MachineParams._fields if name not in _TUPLE_FIELDS),
    "port_shift",  # log2 of the port's bytes
    **_TUPLE_FIELDS,
)

# What the engine knows of a command before the step, and what it remembers of its last run.
PLANNED = _record(
    "engine",  # engine number
    "opcode",
    "unit",
    "n_wait",
    "n_signal",
    "tile",  # FETCH, DECODE: row of the tile table, -1 without a partner
    "words",  # FETCH: port words
    "fits",  # VECTOR: counts and types are legal
    "duration",  # VECTOR
    "beats",
    "conflicts",
    "elements",
    "mac_version",  # PRODUCT: content of the slot that the next three belong to
    "mac_duration",
    "mac_done",
    "mac_items",
    wait=isa.MAX_WAITS,  # each semaphore once, with its whole count
    wait_count=isa.MAX_WAITS,
    signal=isa.MAX_SIGNALS,
    signal_count=isa.MAX_SIGNALS,
)

# A compressed tile as one FETCH moves it and one DECODE expands it.
TILE = _record(
    "source",
    "address",
    "bytes",
    "opcode",
    "groups",
    "index",
    "capture",  # offset of its bytes in `captured`, -1: nothing in the program writes them
    "pool",  # offset of its weights in `pool`, -1: not kept
    "schedule",  # offset of its words in `run` and `need`
    "valid",  # weights and schedule are those of the bytes in memory
    "status",
    "crc",  # CRC field of the header they were made from
    "beats",
    "version",
)

CLOCK = _record(
    "now",
    "next_command",
    "freed",
    "w_in_flight",
    "asked_first",
    "next_free",
    "recheck",  # cycle in which dispatch and starts must be looked at again
    "last_event",
    "error_command",
    "error_code",
    "version",  # last version number given to a content of a slot
    "visited",  # cycles looked at, for the speed measurements
    "uncovered",  # a PRODUCT read weights behind the tile in its slot
)

ENGINE = _record(
    "first",  # its commands are order[first : first + count]
    "count",
    "dispatched",
    "started",
    "running",  # command, -1: none
    "free_at",
    "stall",  # class of the open span
    "since",  # its first cycle
)

CHANNEL = _record(
    "begin",  # byte range of the FETCH that runs
    "at",  # next byte to request
    "end",
    "border",  # where the next burst ends at the latest
    "source",
    "ready",  # cycle from which the next burst has its credits, FAR: not known, or no burst
    "taken",  # credits taken since the start of the step
    "head",  # bursts in flight: head <= number < tail
    "tail",
    "base",  # stall class with nothing in flight
)

UNIT = _record(
    "known",  # FETCH commands started
    "tile",  # number of the tile that the window takes words of
    "words",  # its port words; 0: its FETCH has not started
    "word",  # next one to accept
    "visible",  # words in the FIFO
    "accepted",  # words accepted since the start of the step
    "last_accept",  # cycle before which no further word is accepted
    "running",  # number of the tile of the DECODE command that runs, or ran last
    "start",  # its start
    "ready",  # beats of the window's tile may fire: command started, schedule there
    "deferred",  # words accepted before the start, whose beats have no time yet
    "last_fire",  # last beat of the running tile so far (start - 1: none)
    "beats",  # of the running tile, fired
    "extra",  # cycles of the running command in which a word but no beat came
    "run_words",  # words of the running tile when it is complete, else 0
    "fired",  # beats since the start of the step
    "schedule",  # of the running tile, as in TILE
    "pool",  # where its weights are, and whether they stay there
    "kept",
    "size",  # weights
    "status",
    "version",
    "staging",  # place in the pool of tiles that are not kept
)

SLOT = _record(
    "pool",  # its first `size` weights stand there
    "size",  # 0: all weights stand in the slot's own buffer
    "version",  # equal versions: equal content, as far as
    "covered",  # these first weights go
)

DMA_A = _record(
    "at",
    "end",
    "border",
    "row",
    "rows",
    "row_bytes",
    "table",
    "in_flight",
    "writes",
)

BUS = _record(
    "bytes",
    "per_cycles",
    "latency",
    "cycle",  # the bus is free at cycle + part / bytes
    "part",
    "usual",  # moved bytes of the last request, and its time on the bus
    "usual_cycles",
    "usual_part",
    "head",  # completions under way: head <= number < tail
    "tail",
)


class Plan(NamedTuple):
    """A program, made ready: constant during a step except what PLANNED remembers."""

    commands: Records  # PLANNED (n,)
    args: Ints  # (n, 16)
    order: Ints  # (n,) command numbers by engine, then in program order
    kinds: Ints  # (semaphores,)
    initial: Ints  # (semaphores,)


class Blocks(NamedTuple):
    """The state of all blocks."""

    clock: Records  # CLOCK (1,)
    engines: Records  # ENGINE (engines,)
    channels: Records  # CHANNEL (units,)
    units: Records  # UNIT (units,)
    slots: Records  # SLOT (tile_slots,)
    tiles: Records  # TILE (tiles,)
    dma_a: Records  # DMA_A (1,)
    buses: Records  # BUS (2,): memory, weight store
    semaphores: Ints  # (semaphores,)
    completions: Ints  # (2, ring, 2): cycle and ticket of each burst on a bus
    bursts: Ints  # (units, ring, 2): words and "data is there" of each burst of a channel
    accepts: Ints  # (units, window): cycle of each of the last words accepted
    fires: Ints  # (units, window): cycle of the last beat up to that word
    runs: Ints  # (units, window): 2 x beats that the word set free + 1 if its cycle had no beat
    rows: Ints  # (abuf / 4,): indices of the GATHER that runs


class Storage(NamedTuple):
    """Memories of the machine and what was made from them."""

    dram: NDArray[np.uint8]
    store: NDArray[np.uint8]
    abuf: NDArray[np.uint8]
    accumulators: NDArray[np.int32]  # (lanes, accumulators_per_lane)
    pool: NDArray[np.int8]  # slots, then a staging place per unit, then kept tiles
    mask: NDArray[np.uint64]  # bit i: pool[i] is not zero; empty if the chip does not look
    captured: NDArray[np.uint8]  # bytes of tiles that the program itself writes
    run: NDArray[np.int16]  # beats that a port word sets free
    need: NDArray[np.int32]  # beat that must have fired before: words back + 16 x beats back


class Scratch(NamedTuple):
    """Working space, so that kernels allocate nothing."""

    words: NDArray[np.uint64]
    beats: NDArray[np.uint16]
    activations: NDArray[np.uint64]
    lanes: Ints  # (2, lanes): work and end of each lane
    queue: Ints  # (lane_queue,)
    tables: TableSlots


class Trace(NamedTuple):
    """What a step leaves behind, as in `isa.StepResult`."""

    dispatch: Ints
    start: Ints
    free: Ints
    stalls: Ints  # (engines, 5)
    counters: Ints


def pack_params(params: isa.MachineParams) -> Records:
    """Return the chip parameters as one PARAMS record (1,)."""
    packed = np.zeros(1, PARAMS)
    for name, value in params._asdict().items():
        packed[name][0] = value
    packed["port_shift"][0] = (params.port_bits // 8).bit_length() - 1
    return packed


_FIXED = {name: number for number, name in enumerate(isa.FIXED_COUNTERS)}
COUNT_A_REQUESTS = _FIXED["dma_a_requests"]
COUNT_A_READ = _FIXED["dma_a_read_bytes"]
COUNT_A_WRITE = _FIXED["dma_a_write_bytes"]
COUNT_W_REQUESTS = _FIXED["dma_w_requests"]  # requests, then bytes
COUNT_STORE_REQUESTS = _FIXED["store_requests"]
COUNT_MAC_DONE = _FIXED["mac_products_done"]
COUNT_MAC_SKIPPED = _FIXED["mac_products_skipped"]
COUNT_MAC_ITEMS = _FIXED["mac_items"]
COUNT_CONFLICTS = _FIXED["vector_conflict_cycles"]
COUNT_ELEMENTS = _FIXED["vector_copy_elements"]  # by vector class
COUNT_BEATS = _FIXED["vector_copy_beats"]
COUNT_UNITS = len(isa.FIXED_COUNTERS)
COUNTS_PER_UNIT = len(isa.UNIT_COUNTERS)
VECTOR_CLASS = tuple(isa.OPCODE_VECTOR_CLASS.get(code, -1) for code in range(len(isa.OPCODE_NAMES)))
