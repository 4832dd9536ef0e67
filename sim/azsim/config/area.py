"""The area proxy: thousand gates and KB of SRAM, for comparing configurations with one another.

It is a sum over the chip file, no layout. Gates per part come from the section `area` (assumed
numbers, except that the decoder's come from a generic-gate probe of this project's decoder logic
without timing constraint); SRAM is what the sizes in the file need. The program and the DRAM are
off chip and are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from azsim.config.chip import ChipConfig
from azsim.units import bytes_to_kb

_ACCUMULATOR_BYTES = 4
_DMA_CHANNELS = 2
# One coding table of 1280 bits and its palette of 256 bits, as the stream format lays them out
# (docs/decoder.md).
_TABLE_SLOT_BYTES = (1280 + 256) // 8


@dataclass(frozen=True)
class AreaRow:
    """One block's share in thousand gate equivalents and KB, and how it was computed."""

    block: str
    k_gates: float
    sram_kb: float
    formula: str


@dataclass(frozen=True)
class AreaProxy:
    """Totals and one row per block."""

    k_gates: float
    sram_kb: float
    rows: tuple[AreaRow, ...]


def area_proxy(chip: ChipConfig) -> AreaProxy:
    """Return the area proxy of `chip`; the totals are the sums of the rows."""
    rows = (
        AreaRow("sequencer", chip.area.kgates_sequencer, 0.0, "kgates_sequencer (assumed)"),
        AreaRow(
            "dma",
            _DMA_CHANNELS * chip.area.kgates_dma_channel,
            0.0,
            "2 channels x kgates_dma_channel (assumed)",
        ),
        _decoder_row(chip),
        AreaRow("weight_store", 0.0, float(chip.weight_store.capacity_kb), "capacity_kb"),
        AreaRow(
            "wbuf",
            0.0,
            bytes_to_kb(chip.wbuf.tile_slots * chip.wbuf.slot_weights * 9) / 8,
            "tile_slots x slot_weights x (8 bits + 1 mask bit)",
        ),
        _mac_row(chip),
        AreaRow(
            "vector",
            chip.vector.lanes * chip.area.kgates_vector_lane,
            0.0,
            "lanes x kgates_vector_lane (assumed)",
        ),
        AreaRow("abuf", 0.0, float(chip.abuf.capacity_kb), "capacity_kb"),
    )
    return AreaProxy(sum(row.k_gates for row in rows), sum(row.sram_kb for row in rows), rows)


def _decoder_row(chip: ChipConfig) -> AreaRow:
    decoder = chip.decoder
    fifo_bytes = decoder.units * decoder.stream_fifo_words * decoder.port_bytes
    if decoder.profile == "none":
        return AreaRow(
            "decoder",
            0.0,
            bytes_to_kb(fifo_bytes),
            "no decoder; units x stream_fifo_words x port word",
        )
    table_bytes = decoder.units * decoder.table_slots * _TABLE_SLOT_BYTES
    ans = decoder.profile == "ans"
    unit_k_gates = chip.area.kgates_decoder_ans if ans else chip.area.kgates_decoder_bitmap
    return AreaRow(
        "decoder",
        decoder.units * unit_k_gates,
        bytes_to_kb(fifo_bytes + table_bytes),
        f"units x kgates_decoder_{decoder.profile} (generic-gate probe); "
        "units x (stream_fifo_words x port word + table_slots x 192 B)",
    )


def _mac_row(chip: ChipConfig) -> AreaRow:
    array = chip.mac_array
    lane_k_gates = array.macs_per_lane * chip.area.kgates_per_mac + chip.area.kgates_per_lane
    return AreaRow(
        "mac_array",
        array.lanes * lane_k_gates,
        bytes_to_kb(array.lanes * array.accumulators_per_lane * _ACCUMULATOR_BYTES),
        "lanes x (macs_per_lane x kgates_per_mac + kgates_per_lane) (assumed); "
        "lanes x accumulators_per_lane x 4 B",
    )
