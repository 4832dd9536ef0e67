"""Energy of the DRAM: bits, rows, refresh, and standby over real time."""

from __future__ import annotations

from azsim.config import ChipConfig
from azsim.counters import Counters
from azsim.energy.ledger import TIME_UNIT, Ledger, layer_figures
from azsim.energy.scaling import DramRates
from azsim.energy.time import RealTime
from azsim.units import BITS_PER_BYTE, cycles_to_ps

READS = ("dram_weight_read_bytes", "dram_activation_read_bytes", "dram_parameter_read_bytes")
# State of the DRAM between frames: quantity of its power.
IDLE_POWER = {
    "active": "standby_precharged",
    "power_down": "power_down",
    "self_refresh": "self_refresh",
}


def add_dram(
    book: Ledger, counters: Counters, chip: ChipConfig, time: RealTime, rates: DramRates
) -> None:
    """Put what the DRAM did and what it took over real time into `book`."""
    channels = chip.energy.dram_channels
    _add_streams(book, counters, rates)
    spans = layer_figures(counters, "span_cycles")
    transfer = sum(layer_figures(counters, "memory_cycles"))
    moving_ps = min(cycles_to_ps(transfer, chip.core.clock_mhz), time.busy_ps)
    standby = rates.power("standby_active")
    quiet_ps = channels * (time.busy_ps - moving_ps)
    book.busy(("dram", "standby"), TIME_UNIT, standby, quiet_ps, spans)
    refresh = rates.power("refresh_mean")
    book.busy(("dram", "refresh"), TIME_UNIT, refresh, channels * time.busy_ps, spans)
    _add_idle(book, chip, channels * time.idle_ps, rates)


def _add_streams(book: Ledger, counters: Counters, rates: DramRates) -> None:
    """Bits at the streaming price, which holds rows, interface and the standby meanwhile."""
    reads = [sum(parts) for parts in zip(*(layer_figures(counters, n) for n in READS), strict=True)]
    writes = layer_figures(counters, "dram_write_bytes")
    stream = rates.energy("stream")
    read_bits = BITS_PER_BYTE * counters.dram_bytes_read
    write_bits = BITS_PER_BYTE * counters.dram_bytes_written
    book.busy(("dram", "read"), "bit", stream, read_bits, reads)
    book.busy(("dram", "write"), "bit", stream, write_bits, writes)


def _add_idle(book: Ledger, chip: ChipConfig, channel_ps: int, rates: DramRates) -> None:
    """Between frames: the state that the chip's policy chooses; self refresh holds its own
    refreshes."""
    policy = chip.energy.idle_policy
    book.idle(("dram", f"idle_{policy}"), TIME_UNIT, rates.power(IDLE_POWER[policy]), channel_ps)
    if policy != "self_refresh":
        book.idle(("dram", "idle_refresh"), TIME_UNIT, rates.power("refresh_mean"), channel_ps)
