"""The chip file as the integers that timing depends on."""

from __future__ import annotations

from azsim.config import OP_CLASSES, ChipConfig, OpClass
from azsim.config.lpddr_control import lpddr_params
from azsim_kernels import isa
from azsim_kernels.lpddr_params import LpddrMemory

_SKIP = ("none", "weight", "activation", "both")  # in the order of isa.SKIP_NONE and on
_PROFILE = ("bitmap", "ans", "none")  # in the order of isa.DECODER_BITMAP and on


def machine_params(chip: ChipConfig) -> isa.MachineParams:
    """Return the kernels' view of `chip`."""
    simple, mac = chip.memory.simple, chip.mac_array
    costs = [_cost(chip, name) for name in OP_CLASSES]
    widths = range(1, 9)
    products = tuple(mac.products_per_cycle(bits) // mac.macs_per_lane for bits in widths)
    return isa.MachineParams(
        units=chip.decoder.units,
        queue_depth=chip.sequencer.queue_depth,
        semaphore_max=chip.sequencer.semaphore_max,
        memory_bytes=simple.bytes,
        memory_per_cycles=simple.per_cycles,
        memory_latency_cycles=simple.latency_cycles,
        access_bytes=chip.memory.access_bytes,
        dma_w_burst_bytes=chip.dma_w.burst_bytes,
        dma_w_outstanding=chip.dma_w.outstanding_bursts,
        dma_a_burst_bytes=chip.dma_a.burst_bytes,
        dma_a_outstanding=chip.dma_a.outstanding_bursts,
        store_bytes_per_cycle=chip.weight_store.bytes_per_cycle,
        store_latency_cycles=chip.weight_store.latency_cycles,
        port_bits=chip.decoder.port_bits,
        fifo_words=chip.decoder.stream_fifo_words,
        decoder_pipeline_cycles=chip.decoder.pipeline_cycles,
        tile_slots=chip.wbuf.tile_slots,
        slot_weights=chip.wbuf.slot_weights,
        lanes=mac.lanes,
        macs_per_lane=mac.macs_per_lane,
        item_columns=mac.item_columns,
        item_rows_per_lane=mac.item_rows_per_lane,
        lane_queue=mac.lane_queue,
        queue_turnaround_cycles=mac.queue_turnaround_cycles,
        broadcast_interval_cycles=mac.broadcast_interval_cycles,
        min_item_cycles=mac.min_item_cycles,
        fill_cycles=mac.fill_cycles,
        skip=_SKIP.index(mac.skip),
        accumulators_per_lane=mac.accumulators_per_lane,
        products_per_mac=products,  # type: ignore[arg-type]  # eight, by the range above
        vector_lanes=chip.vector.lanes,
        vector_latency_cycles=tuple(latency for latency, _ in costs),
        vector_interval_cycles=tuple(interval for _, interval in costs),
        abuf_banks=chip.abuf.banks,
        abuf_bank_bytes=chip.abuf.bank_bytes,
        abuf_ports_per_bank=chip.abuf.ports_per_bank,
        decoder_profile=_PROFILE.index(chip.decoder.profile),
        lpddr=_lpddr(chip),
    )


def _cost(chip: ChipConfig, name: OpClass) -> tuple[int, int]:
    """Latency and interval of a class; 0 for one that the chip does not have (`verify_program`
    refuses programs that use it).
    """
    if name not in chip.vector.ops:
        return 0, 0
    return chip.vector.ops[name].latency_cycles, chip.vector.ops[name].interval_cycles


def _lpddr(chip: ChipConfig) -> LpddrMemory | None:
    control = chip.memory.lpddr
    if chip.memory.model != "lpddr" or control is None:
        return None
    outstanding = (
        chip.dma_w.outstanding_bursts,
        chip.dma_a.outstanding_bursts,
        control.host_outstanding,
    )
    params = lpddr_params(control, outstanding)
    return LpddrMemory(params, chip.core.clock_mhz, control.path_cycles)
