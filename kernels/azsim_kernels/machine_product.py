"""The time of a PRODUCT: operands, what is skipped, lanes (section 7 of docs/timing_model.md)."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BAD_OPERAND,
    DONE,
    SKIP_ACTIVATION,
    SKIP_BOTH,
    SKIP_NONE,
    SKIP_WEIGHT,
)
from azsim_kernels.lanes import mark_other, tile_cycles
from azsim_kernels.machine_tiles import slot_place
from azsim_kernels.machine_types import Ints, Plan, Records, Scratch, Storage


@kernel
def inside(address: int, size: int, end: int) -> bool:
    """Does [address, address + size) lie in [0, end)?"""
    return address >= 0 and size >= 0 and address <= end and size <= end - address


@kernel
def _product_fits(params: Records, arg: Ints, abuf_bytes: int) -> bool:
    """Check the operands of a PRODUCT."""
    rows, columns, m = arg[1], arg[2], arg[4]
    if min(rows, columns, m) < 1 or arg[9] < 1 or arg[9] > 8:
        return False
    if arg[0] < 0 or arg[0] >= params["tile_slots"]:
        return False
    if rows > params["slot_weights"] or columns > params["slot_weights"] // rows:
        return False
    per_lane = (rows + params["lanes"] - 1) // params["lanes"]
    depth = params["accumulators_per_lane"]
    if arg[6] < 0 or arg[6] > depth - per_lane:
        return False
    if not inside(arg[3], columns, abuf_bytes):
        return False
    if m == 1:
        return True
    if arg[7] < per_lane or m - 1 > (depth - per_lane - arg[6]) // arg[7] or arg[5] < 0:
        return False
    return arg[5] == 0 or m - 1 <= (abuf_bytes - columns - arg[3]) // arg[5]


@kernel
def _product_skip(params: Records, arg: Ints) -> int:
    """Return what a PRODUCT skips: several activation columns count as dense."""
    skip = params["skip"]
    if arg[4] > 1 and skip >= SKIP_ACTIVATION:
        return SKIP_WEIGHT if skip == SKIP_BOTH else SKIP_NONE
    return skip  # type: ignore[no-any-return]


@kernel
def end_product(params: Records, plan: Plan, core: Records, command: int) -> None:
    """Let the MAC array be free when the product's cycles have passed."""
    planned = plan.commands[command]
    cycles = plan.args[command, 4] * planned["mac_duration"] + params["fill_cycles"]
    free = core["now"] + max(1, cycles)
    core["engines"][planned["engine"]]["free_at"] = free
    core["next_free"] = min(core["next_free"], free)


@kernel
def start_product(
    params: Records,
    plan: Plan,
    core: Records,
    slots: Records,
    storage: Storage,
    scratch: Scratch,
    command: int,
) -> tuple[int, int]:
    """Start a PRODUCT; time it at once if that needs nothing the caller has still to do."""
    planned = plan.commands[command]
    arg = plan.args[command]
    if not _product_fits(params, arg, storage.abuf.size):
        return BAD_OPERAND, 0
    skip = _product_skip(params, arg)
    slot = slots[arg[0]]
    uses_weights = skip in (SKIP_WEIGHT, SKIP_BOTH)
    version = slot["version"] if uses_weights else 0
    covered = not uses_weights or slot["covered"] >= arg[1] * arg[2]
    behind = core["ask_results"] == 0 and core["abuf_writes"] > 0
    late = skip >= SKIP_ACTIVATION and behind
    if not covered:
        core["uncovered"] = 1
        late = late or core["fills"] == 0
    if core["known"] == 0:
        if late:
            core["product"] = command
            return DONE, 0
        if skip >= SKIP_ACTIVATION or not covered or planned["mac_version"] != version:
            time_product(params, plan, core, slots, storage, scratch, command)
            planned["mac_version"] = version if covered and skip < SKIP_ACTIVATION else -1
    end_product(params, plan, core, command)
    return DONE, 0


@kernel
def time_product(
    params: Records,
    plan: Plan,
    core: Records,
    slots: Records,
    storage: Storage,
    scratch: Scratch,
    command: int,
) -> None:
    """Set duration (without the fill), products and items of one activation column."""
    planned = plan.commands[command]
    arg = plan.args[command]
    skip = _product_skip(params, arg)
    rows, columns = arg[1], arg[2]
    first = -1
    if skip in (SKIP_WEIGHT, SKIP_BOTH):
        first, _ = slot_place(slots, arg[0], rows * columns, params["slot_weights"], storage)
    if skip >= SKIP_ACTIVATION:
        values = storage.abuf[arg[3] : arg[3] + columns]
        # bytes: a zero point of -1 is 255 here
        mark_other(values, arg[10] & 255, scratch.activations, 0)
    timing = (
        params["broadcast_interval_cycles"],
        params["queue_turnaround_cycles"],
        params["min_item_cycles"],
        params["macs_per_lane"] * params["products_per_mac"][arg[9] - 1],
    )
    cycles, done, items = tile_cycles(
        storage.mask,
        first,
        scratch.activations,
        skip >= SKIP_ACTIVATION,
        (rows, columns, params["item_columns"], params["item_rows_per_lane"]),
        timing,
        scratch.lanes,
        scratch.queue,
    )
    planned["mac_duration"] = cycles
    planned["mac_done"] = done
    planned["mac_items"] = items
