"""From a command table to the arrays the kernels run on; no timing rule lives here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.engine.plan_tables import (
    NO_RECORD,
    TILE_KEY,
    merged_records,
    record_in_use,
    records_in_slots,
    uses_captured,
)
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.machine_types import PLANNED, TILE, Plan
from azsim_kernels.tile_format import GROUP_WEIGHTS, SLOTS
from azsim_kernels.vector_cost import vector_cost

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TileLayout:
    """Tiles of a program, each with its places, and the sizes of the memories they need.

    `tiles` has dtype TILE; `kept_weights`, `captured_bytes`, `schedule_words` are sizes behind the
    offsets in it.
    """

    tiles: npt.NDArray[Any]
    kept_weights: int
    captured_bytes: int
    schedule_words: int


def check_commands(commands: npt.NDArray[Any], semaphores: int, units: int) -> None:
    """Refuse what the kernels could not even look up.

    Raises:
        SimulationError: naming the first such command.
    """
    opcode = commands["opcode"].astype(np.int64)
    known = opcode < len(isa.OPCODE_NAMES)
    engine = np.array(isa.OPCODE_ENGINE)[np.where(known, opcode, 0)]
    has_unit = np.isin(engine, (isa.DMA_W, isa.DECODE))
    rules = [
        (~known, f"opcode must be below {len(isa.OPCODE_NAMES)}"),
        (commands["engine"] != engine, "engine must be the one of its opcode"),
        (has_unit & (commands["unit"] >= units), f"unit must be below {units}"),
        (commands["n_wait"] > isa.MAX_WAITS, f"must have at most {isa.MAX_WAITS} waits"),
        (commands["n_signal"] > isa.MAX_SIGNALS, f"must have at most {isa.MAX_SIGNALS} signals"),
    ]
    for name, most in (("wait", isa.MAX_WAITS), ("signal", isa.MAX_SIGNALS)):
        used = np.arange(most) < commands[f"n_{name}"][:, None]
        outside = (used & (commands[name] >= semaphores)).any(axis=1)
        rules.append((outside, f"{name} semaphore must be below {semaphores}"))
    for wrong, text in rules:
        if wrong.any():
            raise SimulationError(f"command {int(np.argmax(wrong))}: {text}")


def engine_numbers(commands: npt.NDArray[Any], units: int) -> Ints:
    """Return the engine number of each command, int64 (n,)."""
    by_class = np.array([isa.engine_number(c, 0, units) for c in range(5)], np.int64)
    has_unit = np.isin(commands["engine"], (isa.DMA_W, isa.DECODE))
    numbers: Ints = by_class[commands["engine"]] + np.where(has_unit, commands["unit"], 0)
    return numbers


def build_plan(params: isa.MachineParams, commands: npt.NDArray[Any], abuf_bytes: int) -> Plan:
    """Return the plan of a checked command table; the tiles are filled in by `lay_out_tiles`."""
    planned = np.zeros(len(commands), PLANNED)
    planned["engine"] = engine_numbers(commands, params.units)
    planned["opcode"] = commands["opcode"]
    planned["unit"] = commands["unit"]
    for name in ("wait", "signal"):
        planned[f"n_{name}"] = commands[f"n_{name}"]
        planned[name] = commands[name]
        planned[f"{name}_count"] = commands[f"{name}_count"]
    _merge_waits(planned)
    planned["tile"] = -1
    planned["mac_version"] = -1
    args = np.ascontiguousarray(commands["arg"], np.int64)
    port_bytes = params.port_bits // 8
    planned["words"] = np.where(planned["opcode"] == isa.FETCH, -(-args[:, 1] // port_bytes), 0)
    planned["arg"] = args
    _cost_vectors(params, planned, args, abuf_bytes)
    order = np.argsort(planned["engine"], kind="stable").astype(np.int64)
    return Plan(planned, args, order)


def _cost_vectors(
    params: isa.MachineParams, planned: npt.NDArray[Any], args: Ints, abuf_bytes: int
) -> None:
    """Fill in beats, conflicts and duration of all VECTOR commands."""
    for number in np.flatnonzero(planned["opcode"] > isa.PRODUCT).tolist():
        opcode = int(planned["opcode"][number])
        cost = vector_cost(opcode, args[number], params, abuf_bytes)
        kind = isa.OPCODE_VECTOR_CLASS[opcode]
        cycles = params.vector_latency_cycles[kind] + cost.conflict_cycles
        cycles += cost.beats * params.vector_interval_cycles[kind]
        planned["fits"][number] = cost.elements > 0
        planned["duration"][number] = max(1, cycles)
        planned["elements"][number] = cost.elements
        planned["beats"][number] = cost.beats
        planned["conflicts"][number] = cost.conflict_cycles


def _merge_waits(planned: npt.NDArray[Any]) -> None:
    """Move the counts of a semaphore that a command names twice to its first place."""
    for later in range(1, isa.MAX_WAITS):
        for first in range(later):
            same = planned["wait"][:, first] == planned["wait"][:, later]
            same &= planned["n_wait"] > later
            count = np.where(same, planned["wait_count"][:, later], 0)
            planned["wait_count"][:, first] += count
            planned["wait_count"][:, later] -= count


def lay_out_tiles(
    params: isa.MachineParams, plan: Plan, memories: tuple[Bytes, Bytes], keep_bytes: int
) -> TileLayout:
    """Pair each FETCH with its DECODE command, note the tile in the plan and give it its places.

    memories    DRAM and weight store, whose tiles say which table they use
    keep_bytes  most bytes of decoded weights to keep between steps
    """
    pairs = _valid_pairs(params, plan, (memories[0].size, memories[1].size))
    fetches, decodes = pairs[:, 0], pairs[:, 1]
    found = np.zeros(len(pairs), TILE)
    found["address"], found["bytes"], found["source"] = plan.args[fetches, :3].T
    found["opcode"] = plan.commands["opcode"][decodes]
    is_table = found["opcode"] == isa.TABLE
    found["groups"] = np.where(is_table, 0, plan.args[decodes, 1])
    found["index"] = np.where(is_table, 0, plan.args[decodes, 2])
    written = _written_by_stores(plan, found)
    # A tile that a STORE of the program may change stays with its own FETCH; others are shared.
    found["capture"] = np.where(written, fetches, -1)
    found["table_slot"] = np.where(is_table, plan.args[decodes, 0] + 1, 0)
    found["tables"] = NO_RECORD
    if params.decoder_profile == isa.DECODER_ANS:
        found["tables"] = records_in_slots(found, plan.commands["unit"][decodes])
    keys = np.stack([found[name] for name in TILE_KEY] + [record_in_use(found, memories)], axis=1)
    _, first, row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    row = row.reshape(-1)
    plan.commands["tile"][fetches] = row
    plan.commands["tile"][decodes] = row
    varying = uses_captured(found, row, len(first))
    tables = merged_records(found, row, len(first))
    return _give_places(params, found[first], tables, varying, keep_bytes)


def _valid_pairs(params: isa.MachineParams, plan: Plan, sizes: tuple[int, int]) -> Ints:
    """Return (k, 2) command numbers of FETCH and DECODE commands that belong together and whose
    operands do not already fail at their start.
    """
    pairs = []
    for unit in range(params.units):
        fetches = np.flatnonzero(plan.commands["engine"] == unit)
        decodes = np.flatnonzero(plan.commands["engine"] == params.units + 1 + unit)
        count = min(len(fetches), len(decodes))
        pairs.append(np.stack([fetches[:count], decodes[:count]], axis=1))
    found = np.concatenate(pairs)
    address, size, source = plan.args[found[:, 0], :3].T
    end = np.where(source == 1, sizes[1], sizes[0])
    fits = (size > 0) & (size % 8 == 0) & (source >= 0) & (source <= 1)
    fits &= (address >= 0) & (address <= end) & (size <= end - address)
    slot, groups = plan.args[found[:, 1], :2].T
    is_table = plan.commands["opcode"][found[:, 1]] == isa.TABLE
    fits &= np.where(
        is_table,
        (slot >= 0) & (slot < SLOTS),
        (groups >= 1) & (groups <= params.slot_weights // GROUP_WEIGHTS),
    )
    valid: Ints = found[fits]
    return valid


def _written_by_stores(plan: Plan, tiles: npt.NDArray[Any]) -> Bools:
    """Say of each tile whether a STORE of the program writes into its bytes."""
    stores = plan.args[plan.commands["opcode"] == isa.STORE]
    stores = stores[(stores[:, 0] >= 0) & (stores[:, 2] > 0) & (stores[:, 0] < 1 << 62)]
    written = np.zeros(len(tiles), bool)
    first, last = tiles["address"], tiles["address"] + tiles["bytes"]
    for address, size in np.unique(stores[:, [0, 2]], axis=0).tolist():
        written |= (tiles["source"] == 0) & (first < address + size) & (address < last)
    return written


def _give_places(
    params: isa.MachineParams,
    found: npt.NDArray[Any],
    tables: Ints,
    varying: Bools,
    keep_bytes: int,
) -> TileLayout:
    """Return the layout of distinct tiles with their `tables`; the varying ones are not kept."""
    tiles = np.zeros(len(found), TILE)
    for name in ("source", "address", "bytes", "opcode", "groups", "index", "table_slot"):
        tiles[name] = found[name]
    tiles["tables"] = tables
    tiles["size"] = tiles["groups"] * GROUP_WEIGHTS
    captured = found["capture"] >= 0
    capture, captured_bytes = _places(np.where(captured, tiles["bytes"], 0))
    tiles["capture"] = np.where(captured, capture, -1)
    weights = np.where(captured, 0, tiles["size"])
    pool, _ = _places(weights)
    kept = ~captured & ~varying & (pool + weights <= keep_bytes)
    first = (params.tile_slots + params.units) * params.slot_weights
    tiles["pool"] = np.where(kept, first + pool, -1)
    schedule, schedule_words = _places(-(-tiles["bytes"] * 8 // params.port_bits))
    tiles["schedule"] = schedule
    kept_weights = int(weights[kept].sum()) if len(tiles) else 0
    return TileLayout(tiles, kept_weights, captured_bytes, schedule_words)


def _places(sizes: Ints) -> tuple[Ints, int]:
    """Return the offsets of consecutive pieces of `sizes`, and their sum."""
    ends = np.cumsum(sizes, dtype=np.int64)
    return ends - sizes, int(ends[-1]) if len(ends) else 0
