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
    Ints,
    Records,
    Trace,
)


@kernel
def close_span(engine: Records, stalls: Ints, stall: int, now: int) -> None:
    """Give the cycles of an engine's open span to its class and open one of class `stall`.

    stalls  (5,) cycles of the engine so far
    """
    if engine["stall"] != stall:
        if engine["stall"] < DECODING:
            stalls[engine["stall"]] += now - engine["since"]
        engine["stall"] = stall
        engine["since"] = now


@kernel
def close_decoding(unit: Records, stalls: Ints, end: int, pipeline: int) -> None:
    """Split the cycles of a DECODE command until `end` into busy and starved."""
    busy = unit["beats"] + unit["extra"]
    if unit["run_words"] > 0:  # complete: the pipeline drains
        busy += min(pipeline, max(0, end - unit["last_fire"] - 1))
    stalls[BUSY] += busy
    stalls[STARVED] += end - unit["start"] - busy


@kernel
def attribute_channels(core: Records, units: int, stalls: Ints, now: int) -> None:
    """Classes of the DMA-W channels from `now` on, after phase 4."""
    for number in range(units):
        channel = core["channels"][number]
        stall = channel["base"]
        if channel["head"] < channel["tail"]:
            stall = BUSY
        elif stall == FETCHING:
            stall = BLOCKED if channel["ready"] > now else WAITING
        engine = core["engines"][number]
        if engine["stall"] != stall:
            close_span(engine, stalls[number], stall, now)


@kernel
def end_step(params: Records, core: Records, words: Ints, trace: Trace, end: int) -> None:
    """Close all spans at `end` and count words and beats up to there.

    words  (units, 3, window) as in Rings
    """
    units = params["units"]
    for number in range(units):
        unit = core["units"][number]
        uncount_after(unit, words[number], end)
        first = COUNT_UNITS + COUNTS_PER_UNIT * number
        trace.counters[first] = unit["accepted"]
        trace.counters[first + 1] = unit["fired"]
    for number in range(trace.stalls.shape[0]):
        engine = core["engines"][number]
        if engine["stall"] == DECODING:
            unit = core["units"][number - units - 1]
            pipeline = params["decoder_pipeline_cycles"]
            close_decoding(unit, trace.stalls[number], end, pipeline)
        close_span(engine, trace.stalls[number], FETCHING, end)
