"""Energy of the DRAM: bits, rows, refresh, and standby over real time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class LpddrShape:
    """What the memory model `lpddr` multiplies: `devices` of a channel take every command together,
    and each has `banks`; a memory clock lasts `clock_ps`."""

    channels: int
    devices: int
    banks: int
    clock_ps: int


def lpddr_shape(chip: ChipConfig) -> LpddrShape | None:
    """Return the shape of a chip's LPDDR; None if its memory is another model."""
    memory: Any = chip.memory
    if memory.model != "lpddr":
        return None
    control = memory.lpddr
    geometry = control.part.geometry
    return LpddrShape(
        control.channels,
        control.devices_per_channel,
        geometry.groups * geometry.banks_per_group,
        control.part.clock_ps,
    )


def add_dram(
    book: Ledger, counters: Counters, chip: ChipConfig, time: RealTime, rates: DramRates
) -> None:
    """Put what the DRAM did and what it took over real time into `book`."""
    shape = lpddr_shape(chip)
    if shape is not None:
        add_lpddr(book, counters, shape, rates)
        _add_idle(book, chip, shape.channels * shape.devices * time.idle_ps, rates)
        return
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


def add_lpddr(book: Ledger, counters: Counters, shape: LpddrShape, rates: DramRates) -> None:
    """Put the commands of the model `lpddr` and its clocks in either standby into `book`.

    Bits that the host moved belong to no layer; rows are shared out by the bytes of the layers.
    """
    counts, devices = counters.counts, shape.devices
    moved = layer_figures(counters, "dram_bytes")
    spans = layer_figures(counters, "span_cycles")
    opened = devices * counts["dram_activates"]
    book.busy(("dram", "activate"), "row", rates.energy("activate_precharge"), opened, moved)
    _add_bursts(book, counters, rates)
    refresh = rates.energy("refresh_all_bank")
    all_bank = devices * counts["dram_refreshes_all_bank"]
    book.busy(("dram", "refresh_all_bank"), "refresh", refresh, all_bank, spans)
    one_bank = devices * counts["dram_refreshes_per_bank"]
    part = refresh.scaled(1 / shape.banks)
    book.busy(("dram", "refresh_per_bank"), "refresh", part, one_bank, spans)
    for state, power in (("open", "standby_active"), ("closed", "standby_precharged")):
        state_ps = devices * shape.clock_ps * counts[f"dram_{state}_clocks"]
        book.busy(("dram", f"standby_{state}"), TIME_UNIT, rates.power(power), state_ps, spans)


def _add_bursts(book: Ledger, counters: Counters, rates: DramRates) -> None:
    reads = [sum(parts) for parts in zip(*(layer_figures(counters, n) for n in READS), strict=True)]
    weights = {"read": reads, "write": list(layer_figures(counters, "dram_write_bytes"))}
    for way, by_layer in weights.items():
        bit = rates.energy(f"{way}_core") + rates.energy(f"{way}_io")
        ours = sum(counters.counts[f"dram_{port}_{way}_bytes"] for port in ("w", "a"))
        book.busy(("dram", way), "bit", bit, BITS_PER_BYTE * ours, by_layer)
        hosts = BITS_PER_BYTE * counters.counts[f"dram_host_{way}_bytes"]
        book.busy(("dram", f"host_{way}"), "bit", bit, hosts, [0] * len(by_layer))


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
