"""The arrays behind the fast engine: how large they are and how a step finds them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.engine.plan import TileLayout
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.machine_types import (
    CORE_RINGS,
    FAR,
    MAX_FIFO_WORDS,
    MAX_IN_FLIGHT,
    MAX_UNITS,
    SLOT,
    Plan,
    Scratch,
    Storage,
    Tables,
)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def check_params(params: isa.MachineParams) -> None:
    for name in ("access_bytes", "port_bits"):
        value = getattr(params, name)
        if value < 1 or value & (value - 1):
            raise SimulationError(f"chip: {name} must be a power of two, not {value}")
    limits = {
        "units": MAX_UNITS,
        "dma_w_outstanding": MAX_IN_FLIGHT,
        "dma_a_outstanding": MAX_IN_FLIGHT,
        "fifo_words": MAX_FIFO_WORDS,
    }
    for name, most in limits.items():
        if not 1 <= getattr(params, name) <= most:
            raise SimulationError(f"chip: {name} must be 1..{most}, not {getattr(params, name)}")


def new_tables(params: isa.MachineParams, layout: TileLayout, abuf_bytes: int) -> Tables:
    """Return tiles, slots and the indices of GATHER."""
    slots = np.zeros(params.tile_slots, SLOT)
    slots["covered"] = params.slot_weights
    return Tables(layout.tiles, slots, np.zeros(max(1, abuf_bytes // 4), np.int64))


def new_storage(
    params: isa.MachineParams,
    layout: TileLayout,
    memories: tuple[Bytes, Bytes, Bytes],
    dense: int,
) -> Storage:
    """Return the memories and what is made from them; `dense` weights behind the tiles count as
    not zero.
    """
    dram, store, abuf = memories
    for name, memory in (("dram", dram), ("store", store), ("abuf", abuf)):
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise SimulationError(f"{name} must be a contiguous vector of uint8")
    buffers = (params.tile_slots + params.units) * params.slot_weights
    weights = buffers + layout.kept_weights + dense
    looks = params.skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH)
    try:
        pool = np.empty(weights, np.int8)
        pool[:buffers] = 0
        mask = np.zeros(weights // 64 + 1 if looks else 0, np.uint64)
        mask[(weights - dense) // 64 :] = np.uint64((1 << 64) - 1)
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
        activations=np.zeros(params.slot_weights // 64 + 2, np.uint64),
        lanes=np.zeros((2, params.lanes), np.int64),
        queue=np.zeros(params.lane_queue, np.int64),
    )


def reset_core(
    core: npt.NDArray[np.void], params: isa.MachineParams, plan: Plan, semaphores: Ints
) -> None:
    """Bring all blocks to their state before a step; `semaphores` (2, s): counts, kinds."""
    visited = int(core["visited"][0])
    for name in core.dtype.names or ():
        if name not in CORE_RINGS:
            core[name] = np.zeros((), core.dtype[name])
    core["visited"] = visited
    core["next_free"] = core["memory_next"] = FAR
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
    core["semaphores"][0, :, : semaphores.shape[1]] = semaphores
