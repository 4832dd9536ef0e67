"""Record types and groups of arrays that the fast engine works on; no code runs here but packing.

Everything is int64 inside the records: times are cycles from the start of the step, `FAR` is a
time that never comes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa
from azsim_kernels.tile_format import SLOTS

FAR = 1 << 62


# Opcodes by what they do. Kernels compare with the ends of these ranges: numba turns `opcode in
# (TILE, RAW)` into a loop that takes longer to compile than the function around it.
FIRST_MOVE, LAST_MOVE = isa.LOAD, isa.GATHER  # DMA-A
FIRST_DECODE, LAST_DECODE = isa.TILE, isa.RAW  # DECODE, TABLE between them
FIRST_VECTOR = isa.RESCALE


def typed(value: int) -> int:
    """Return `value` as an int64: numba compiles a function anew for each plain constant passed to
    it, but not for these.
    """
    return np.int64(value)  # type: ignore[return-value]


# Classes of an engine besides the stall classes of `isa`, resolved when the span is closed.
DECODING = typed(5)  # a DECODE command runs: its beats and words say which cycles are busy
FETCHING = typed(6)  # a FETCH runs: busy, blocked or waiting by its bursts and credits

# Status of a step besides those of `isa`.
RUNNING = -1  # it goes on
WATCHDOG = -2  # it did not end within the cycles allowed
WANTS = -3  # the caller must do something, see `machine.run_step`

Records = Any  # structured arrays and their records: numpy's types know no fields
Ints = NDArray[np.int64]
Schedule = NDArray[np.int32]


def _record(*names: str, **arrays: int) -> np.dtype[Any]:
    fields: list[Any] = [(name, np.int64) for name in names]
    fields += [(name, np.int64, (size,)) for name, size in arrays.items()]
    return np.dtype(fields, align=True)


_NOT_PACKED = ("lpddr",)  # has an array of its own
_TUPLE_FIELDS = {
    "products_per_mac": 8,
    "vector_latency_cycles": len(isa.VECTOR_CLASSES),
    "vector_interval_cycles": len(isa.VECTOR_CLASSES),
}
PARAMS = _record(
    *(n for n in isa.MachineParams._fields if n not in (*_TUPLE_FIELDS, *_NOT_PACKED)),
    "port_shift",  # log2 of the port's bytes
    "dram_size",  # bytes of the memories
    "store_size",
    "abuf_size",
    "dense_pool",  # place in the pool of slot_weights weights that count as not zero, for PACK
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
    arg=isa.N_ARGS,
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
    "schedule",  # offset of its words in `Storage.schedule`
    "size",  # weights
    "valid",  # weights and schedule are those of the bytes in memory
    "status",
    "version",
    "table_slot",  # 1 + the table slot that it uses, or that the command of a TABLE names; else 0
    "hold",  # cycles in which no beat fires while that slot's content goes to the registers
    tables=SLOTS,  # per table slot the tile number of its TABLE record, or a number below 0
)

CLOCK = _record(
    "now",
    "next_command",
    "freed",  # commands that are free
    "effects",  # commands that took effect; they stand in `Trace.order`
    "w_in_flight",
    "asked_first",
    "next_free",
    "recheck",  # cycle in which dispatch and starts must be looked at again
    "last_event",
    "error_command",
    "error_code",
    "visited",  # cycles looked at, for the speed measurements
    # What the kernel and its caller tell each other; see `machine.run_step`.
    "ask_moves",  # the effects of LOAD and GATHER are wanted when the command is free
    "ask_results",  # those of STORE, MAC and VECTOR too
    "fills",  # DECODE writes the slots itself (else the effects do, later)
    "known",  # times of PRODUCT commands are those of the run before
    "failed",  # this command fails when it would be free
    "answered",  # the effects of this command were asked for and are done
    "asked",  # wanted: the effects of this command
    "abuf_writes",  # commands free since the last effects that write ABUF
    "product",  # wanted: all effects so far, to time this PRODUCT
    "tiles",  # wanted: the tiles of so many units
    "uncovered",  # a PRODUCT reads weights behind the tile in its slot
    "memory_next",  # LPDDR: cycle in which the first completion known is visible
    "memory_horizon",  # LPDDR: a completion not yet known is visible in this cycle at the soonest
    "host_next",  # LPDDR: cycle in which the host may issue its next request
    "resume",  # the four phases of `now` are done up to the third
    "keeps_spans",  # 1: closed spans are kept in `spans`, see `machine_spans.close_span`
    "kept_spans",  # so many stand there; at KEPT_SPANS the kernel stops (WATCHDOG)
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
    "wanting",  # its DECODE command runs, but the tile must be prepared first
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
    "loaded",  # 1 + the table slot whose content is in the registers, 0: none
    "hold",  # of the running tile, as in TILE
    "header_fire",  # its first beat, if it has a hold
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


MAX_UNITS = 16  # as in chip files
MAX_ENGINES = isa.engine_count(MAX_UNITS)
MAX_IN_FLIGHT = 1024  # bursts of each DMA
MAX_FIFO_WORDS = 4096
MAX_SEMAPHORES = 256
KEPT_SPANS = 2048
# Behind them room for those of one more cycle and of the end of a step.
SPAN_ROOM = KEPT_SPANS + 4 * MAX_ENGINES
WINDOW = 2 * MAX_FIFO_WORDS  # words remembered: those without credit, and 8 whose beats may be late

# The state of all blocks during a step. One record of fixed size: kernels pass it as one pointer,
# while each array handed to a function costs two counts of its references.
CORE = np.dtype(
    [
        *CLOCK.descr,
        ("dma_a", DMA_A, (1,)),
        ("buses", BUS, (2,)),  # memory, weight store
        ("engines", ENGINE, (MAX_ENGINES,)),
        ("channels", CHANNEL, (MAX_UNITS,)),
        ("units", UNIT, (MAX_UNITS,)),
        ("semaphores", np.int64, (2, MAX_SEMAPHORES)),  # counts, kinds
        ("stalls", np.int64, (MAX_ENGINES, len(isa.STALL_CLASS_NAMES))),
        ("counters", np.int64, (len(isa.FIXED_COUNTERS) + 3 * MAX_UNITS,)),
        # Rings, written before they are read:
        ("completions", np.int64, (2, 2 * MAX_IN_FLIGHT, 2)),  # by bus: cycle, ticket of a burst
        ("bursts", np.int64, (MAX_UNITS, MAX_IN_FLIGHT, 2)),  # by channel: words, "data is there"
        ("words", np.int64, (MAX_UNITS, 3, WINDOW)),  # of the last words: ACCEPT, FIRE, RUN
        ("spans", np.int64, (SPAN_ROOM, 4)),  # closed ones: engine, class, first cycle, end
    ],
    align=True,
)
CORE_RINGS = ("completions", "bursts", "words", "spans")

# Rows of `words` of a unit.
ACCEPT = 0  # cycle in which the word was accepted
FIRE = 1  # cycle of the last beat up to that word
RUN = 2  # 2 x beats that the word set free + 1 if no beat fired in its cycle


class Plan(NamedTuple):
    """A program, made ready: constant during a step except what PLANNED remembers."""

    commands: Records  # PLANNED (n,)
    args: Ints  # (n, 16): the operands once more, for kernels that take them as an array
    order: Ints  # (n,) command numbers by engine, then in program order


class Tables(NamedTuple):
    """What of the state depends in size on the chip or the program, and is seldom used."""

    tiles: Records  # TILE (tiles,)
    slots: Records  # SLOT (tile_slots,)
    rows: Ints  # (abuf / 4,): indices of the GATHER that runs


class Storage(NamedTuple):
    """Memories of the machine and what was made from them."""

    dram: NDArray[np.uint8]
    store: NDArray[np.uint8]
    abuf: NDArray[np.uint8]
    pool: NDArray[np.int8]  # slots, then a staging place per unit, then kept tiles
    mask: NDArray[np.uint64]  # bit i: pool[i] is not zero; empty if the chip does not look
    captured: NDArray[np.uint8]  # bytes of tiles that the program itself writes
    schedule: Schedule  # (words, 2) per port word of a tile: SETS, NEEDS


# Columns of `Storage.schedule`.
SETS = 0  # beats that the word sets free
NEEDS = 1  # beat that must have fired before: words back + 16 x beats back in that word's run


class Scratch(NamedTuple):
    """Working space of the MAC array's time."""

    activations: NDArray[np.uint64]  # mask of one activation column
    lanes: Ints  # (2, lanes): work and end of each lane
    queue: Ints  # (lane_queue,)


# Rows of the times of a step, int64 (4, n): cycles as in `isa.StepResult`, and the commands in the
# order in which they were free.
DISPATCH, START, FREE, ORDER = range(4)


def pack_params(params: isa.MachineParams, sizes: tuple[int, int, int]) -> Records:
    """Return the chip parameters as one PARAMS record (1,); `sizes`: bytes of DRAM, weight store
    and ABUF.
    """
    packed = np.zeros(1, PARAMS)
    for name, value in params._asdict().items():
        if name not in _NOT_PACKED:
            packed[name][0] = value
    packed["port_shift"][0] = (params.port_bits // 8).bit_length() - 1
    packed["dram_size"], packed["store_size"], packed["abuf_size"] = sizes
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
COUNT_MEMORY = _FIXED[isa.MEMORY_COUNTERS[0]]
COUNT_UNITS = len(isa.FIXED_COUNTERS)
COUNTS_PER_UNIT = len(isa.UNIT_COUNTERS)
VECTOR_CLASS = tuple(isa.OPCODE_VECTOR_CLASS.get(code, -1) for code in range(len(isa.OPCODE_NAMES)))
