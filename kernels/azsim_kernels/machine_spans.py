"""Attribution: every cycle of an engine gets one class, span by span (section 9 of
docs/timing_model.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import BLOCKED, BUSY, STARVED, WAITING
from azsim_kernels.machine_decode import uncount_after
from azsim_kernels.machine_types import (
    COUNT_UNITS,
    COUNTS_PER_UNIT,
    DECODING,
    FETCHING,
    Records,
)


@kernel
def close_span(core: Records, number: int, stall: int, now: int) -> None:
    """Give the cycles of an engine's open span to its class and open one of class `stall`. With
    `keeps_spans` the closed one is kept, a DECODE command as one of class DECODING.
    """
    engine = core["engines"][number]
    if engine["stall"] != stall:
        if core["keeps_spans"] == 1 and engine["stall"] < FETCHING and engine["since"] < now:
            place = core["kept_spans"]
            core["spans"][place, 0] = number
            core["spans"][place, 1] = engine["stall"]
            core["spans"][place, 2] = engine["since"]
            core["spans"][place, 3] = now
            core["kept_spans"] = place + 1
        if engine["stall"] < DECODING:
            core["stalls"][number, engine["stall"]] += now - engine["since"]
        engine["stall"] = stall
        engine["since"] = now


@kernel
def close_decoding(params: Records, core: Records, number: int, end: int) -> None:
    """Split the cycles of the DECODE command of engine `number` into busy and starved."""
    unit = core["units"][number - params["units"] - 1]
    busy = unit["beats"] + unit["extra"]
    if unit["run_words"] > 0:  # complete: the pipeline drains
        drained = max(0, end - unit["last_fire"] - 1)
        busy += min(params["decoder_pipeline_cycles"], drained)
    if unit["hold"] > 0 and unit["header_fire"] >= unit["start"]:
        busy += min(unit["hold"], max(0, end - unit["header_fire"] - 1))
    core["stalls"][number, BUSY] += busy
    core["stalls"][number, STARVED] += end - unit["start"] - busy


@kernel
def attribute_channels(core: Records, units: int) -> None:
    """Classes of the DMA-W channels from now on, after phase 4."""
    for number in range(units):
        channel = core["channels"][number]
        stall = channel["base"]
        if channel["head"] < channel["tail"]:
            stall = BUSY
        elif stall == FETCHING:
            stall = BLOCKED if channel["ready"] > core["now"] else WAITING
        close_span(core, number, stall, core["now"])


@kernel
def end_spans(params: Records, core: Records) -> None:
    """End the step now: close all spans and count words and beats up to here."""
    units = params["units"]
    end = core["now"]
    for number in range(units):
        uncount_after(core, number, end)
        first = COUNT_UNITS + COUNTS_PER_UNIT * number
        core["counters"][first] = core["units"][number]["accepted"]
        core["counters"][first + 1] = core["units"][number]["fired"]
    for number in range(2 * units + 3):
        if core["engines"][number]["stall"] == DECODING:
            close_decoding(params, core, number, end)
        close_span(core, number, FETCHING, end)
