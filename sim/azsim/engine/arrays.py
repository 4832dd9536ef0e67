"""The arrays behind the fast engine: how large they are and how a step finds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.engine.plan import TileLayout
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.machine_types import (
    FAR,
    MAX_UNITS,
    SLOT,
    Plan,
    Rings,
    Scratch,
    Storage,
    Trace,
)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_WINDOW_WORDS = 32  # words whose beats may still fire after their credits have come back: <= 8


def check_params(params: isa.MachineParams) -> None:
    for name in ("access_bytes", "port_bits"):
        value = getattr(params, name)
        if value < 1 or value & (value - 1):
            raise SimulationError(f"chip: {name} must be a power of two, not {value}")
    if not 1 <= params.units <= MAX_UNITS:
        raise SimulationError(f"chip: units must be 1..{MAX_UNITS}, not {params.units}")


def _power_above(value: int) -> int:
    """Return the smallest power of two that is at least `value`."""
    return 1 << max(0, value - 1).bit_length()


def new_rings(
    params: isa.MachineParams, layout: TileLayout, semaphore_kinds: Ints, abuf_bytes: int
) -> Rings:
    """Return the state whose size depends on chip and program."""
    units = params.units
    in_flight = params.dma_w_outstanding + params.dma_a_outstanding
    window = _power_above(params.fifo_words + _WINDOW_WORDS)
    slots = np.zeros(params.tile_slots, SLOT)
    slots["covered"] = params.slot_weights
    return Rings(
        tiles=layout.tiles,
        slots=slots,
        semaphores=np.stack([np.zeros_like(semaphore_kinds), semaphore_kinds]),
        completions=np.zeros((2, _power_above(in_flight), 2), np.int64),
        bursts=np.zeros((units, _power_above(params.dma_w_outstanding), 2), np.int64),
        words=np.zeros((units, 3, window), np.int64),
        rows=np.zeros(max(1, abuf_bytes // 4), np.int64),
    )


def new_storage(
    params: isa.MachineParams, layout: TileLayout, dram: Bytes, store: Bytes, abuf: Bytes
) -> Storage:
    for name, memory in (("dram", dram), ("store", store), ("abuf", abuf)):
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise SimulationError(f"{name} must be a contiguous vector of uint8")
    buffers = (params.tile_slots + params.units) * params.slot_weights
    weights = buffers + layout.kept_weights
    looks = params.skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH)
    try:
        pool = np.empty(weights, np.int8)
        pool[:buffers] = 0
        mask = np.empty(weights // 64 if looks else 0, np.uint64)
        mask[: buffers // 64] = 0
        captured = np.empty(layout.captured_bytes, np.uint8)
        schedule = np.empty((layout.schedule_words, 2), np.int32)
    except MemoryError as error:
        raise SimulationError(
            f"the program's tiles must fit the host's memory, and need {weights} bytes for weights"
        ) from error
    return Storage(dram, store, abuf, pool, mask, captured, schedule)


def new_scratch(params: isa.MachineParams) -> Scratch:
    """Return the working space of the MAC array's time."""
    return Scratch(
        activations=np.zeros(params.slot_weights // 64 + 1, np.uint64),
        lanes=np.zeros((2, params.lanes), np.int64),
        queue=np.zeros(params.lane_queue, np.int64),
    )


def new_trace(commands: int, units: int) -> Trace:
    """Return an empty trace."""
    return Trace(
        times=np.full((4, commands), -1, np.int64),
        stalls=np.zeros((isa.engine_count(units), len(isa.STALL_CLASS_NAMES)), np.int64),
        counters=np.zeros(len(isa.counter_names(units)), np.int64),
    )


def reset_core(core: npt.NDArray[np.void], params: isa.MachineParams, plan: Plan) -> None:
    """Bring all blocks to their state before a step."""
    visited = int(core["visited"][0])
    core[:] = np.zeros(1, core.dtype)
    core["visited"] = visited
    core["next_free"] = FAR
    for name in ("last_event", "error_command", "failed", "answered", "asked", "product"):
        core[name] = -1
    engines = core["engines"][0]
    engines["count"] = np.bincount(plan.commands["engine"], minlength=len(engines))
    engines["first"] = np.cumsum(engines["count"]) - engines["count"]
    engines["running"] = -1
    engines["free_at"] = FAR
    engines["stall"] = isa.IDLE
    core["channels"]["base"] = isa.IDLE
    units = core["units"][0]
    units["running"] = units["last_accept"] = units["last_fire"] = -1
    units["staging"] = (params.tile_slots + np.arange(len(units))) * params.slot_weights
    memory, store = core["buses"][0]
    memory["bytes"], memory["per_cycles"] = params.memory_bytes, params.memory_per_cycles
    memory["latency"] = params.memory_latency_cycles
    store["bytes"], store["per_cycles"] = params.store_bytes_per_cycle, 1
    store["latency"] = params.store_latency_cycles
