"""The time of a PRODUCT: operands, what is skipped, lanes (section 7 of docs/timing_model.md)."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    SKIP_ACTIVATION,
    SKIP_BOTH,
    SKIP_NONE,
    SKIP_WEIGHT,
)
from azsim_kernels.lanes import mark_other, tile_cycles
from azsim_kernels.machine_start import inside
from azsim_kernels.machine_tiles import slot_place
from azsim_kernels.machine_types import Records, Scratch, Storage

ENDS, BAD, TIME_NOW, TIME_LATER = range(4)  # what `start_product` says


@kernel
def _product_fits(params: Records, planned: Records) -> bool:
    """Check the operands of a PRODUCT."""
    arg = planned["arg"]
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
    if not inside(arg[3], columns, params["abuf_size"]):
        return False
    if m == 1:
        return True
    if arg[7] < per_lane or m - 1 > (depth - per_lane - arg[6]) // arg[7] or arg[5] < 0:
        return False
    return bool(arg[5] == 0 or m - 1 <= (params["abuf_size"] - columns - arg[3]) // arg[5])


@kernel
def _product_skip(params: Records, planned: Records) -> int:
    """Return what a PRODUCT skips: several activation columns count as dense."""
    skip = params["skip"]
    if planned["arg"][4] > 1 and skip >= SKIP_ACTIVATION:
        return SKIP_WEIGHT if skip == SKIP_BOTH else SKIP_NONE
    return skip  # type: ignore[no-any-return]


@kernel
def _uses_weights(skip: int) -> bool:
    return skip & SKIP_WEIGHT != 0  # BOTH is WEIGHT | ACTIVATION


@kernel
def _end_product(params: Records, core: Records, planned: Records) -> None:
    """Let the MAC array be free when the cycles of all activation columns have passed."""
    cycles = planned["arg"][4] * planned["mac_duration"] + params["fill_cycles"]
    free = core["now"] + max(1, cycles)
    core["engines"][planned["engine"]]["free_at"] = free
    core["next_free"] = min(core["next_free"], free)


@kernel
def start_product(params: Records, core: Records, planned: Records, slots: Records) -> int:
    """Start a PRODUCT; return ENDS if its end is known now, TIME_NOW or TIME_LATER if
    `time_product` must follow, at once or after all effects so far, BAD if an operand is bad.
    """
    if not _product_fits(params, planned):
        return BAD
    arg = planned["arg"]
    skip = _product_skip(params, planned)
    slot = slots[arg[0]]
    uses_weights = _uses_weights(skip)
    version = slot["version"] if uses_weights else 0
    covered = not uses_weights or slot["covered"] >= arg[1] * arg[2]
    behind = core["ask_results"] == 0 and core["abuf_writes"] > 0
    late = skip >= SKIP_ACTIVATION and behind
    if not covered:
        core["uncovered"] = 1
        late = late or core["fills"] == 0
    if core["known"] == 0:
        lasting = covered and skip < SKIP_ACTIVATION
        known = lasting and planned["mac_version"] == version
        planned["mac_version"] = version if lasting else -1
        if not known:
            return TIME_LATER if late else TIME_NOW
    _end_product(params, core, planned)
    return ENDS


@kernel
def time_product(
    params: Records,
    core: Records,
    planned: Records,
    slots: Records,
    storage: Storage,
    scratch: Scratch,
) -> None:
    """Set the duration (without the fill), products and items of one activation column of a
    PRODUCT, and its end.
    """
    arg = planned["arg"]
    skip = _product_skip(params, planned)
    rows, columns = arg[1], arg[2]
    first = -1
    if _uses_weights(skip):
        first, _ = slot_place(slots, arg[0], rows * columns, params["slot_weights"], storage)
    if skip >= SKIP_ACTIVATION:
        values = storage.abuf[arg[3] : arg[3] + columns]  # bytes: -1 is 255 here
        zero = arg[10] & 255 if -128 <= arg[10] <= 127 else 256
        mark_other(values, zero, scratch.activations, 0)
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
    _end_product(params, core, planned)
