"""Random small chips, each field varied."""

from __future__ import annotations

from choosing import Choose, chance, pick

from azsim_kernels import isa

# products_per_mac by weight bits - 1, filled upwards from the listed widths as in chip files.
_PRODUCTS = (
    (1, 1, 1, 1, 1, 1, 1, 1),
    (2, 2, 2, 2, 1, 1, 1, 1),
    (4, 4, 2, 2, 1, 1, 1, 1),
    (3, 3, 3, 2, 2, 2, 2, 2),
)


def random_params(choose: Choose) -> isa.MachineParams:
    """Return a chip; in one case of twenty the FIFO is too small for a burst (FETCH deadlocks)."""
    c = choose
    units = c.integer(1, 4)
    port_bits = pick(c, [64, 128])
    access_bytes = pick(c, [8, 16, 32])
    dma_w_burst_bytes = access_bytes * pick(c, [1, 2, 4])
    enough_words = dma_w_burst_bytes // (port_bits // 8) + 1
    fifo_words = c.integer(1, 2) if chance(c, 5) else enough_words + c.integer(0, 6)
    classes = range(len(isa.VECTOR_CLASSES))
    return isa.MachineParams(
        units=units,
        queue_depth=c.integer(1, 4),
        semaphore_max=c.integer(2, 15),
        memory_bytes=pick(c, [3, 4, 5, 8, 16, 64]),
        memory_per_cycles=pick(c, [1, 1, 2, 3, 5]),
        memory_latency_cycles=c.integer(0, 25),
        access_bytes=access_bytes,
        dma_w_burst_bytes=dma_w_burst_bytes,
        dma_w_outstanding=c.integer(1, 4),
        dma_a_burst_bytes=access_bytes * pick(c, [1, 2, 4]),
        dma_a_outstanding=c.integer(1, 4),
        store_bytes_per_cycle=pick(c, [1, 3, 8, 16, 32]),
        store_latency_cycles=c.integer(0, 6),
        port_bits=port_bits,
        fifo_words=fifo_words,
        decoder_pipeline_cycles=c.integer(0, 5),
        tile_slots=units + c.integer(0, 3),
        slot_weights=256 * c.integer(1, 3),
        lanes=c.integer(1, 6),
        macs_per_lane=c.integer(1, 4),
        item_columns=c.integer(1, 20),
        item_rows_per_lane=c.integer(0, 2),
        lane_queue=c.integer(1, 4),
        queue_turnaround_cycles=c.integer(0, 3),
        broadcast_interval_cycles=c.integer(0, 3),
        min_item_cycles=c.integer(0, 3),
        fill_cycles=c.integer(0, 6),
        skip=c.integer(isa.SKIP_NONE, isa.SKIP_BOTH),
        accumulators_per_lane=c.integer(4, 32),
        products_per_mac=pick(c, _PRODUCTS),
        vector_lanes=c.integer(1, 8),
        vector_latency_cycles=tuple(c.integer(0, 9) for _ in classes),
        vector_interval_cycles=tuple(c.integer(0, 3) for _ in classes),
        abuf_banks=c.integer(1, 8),
        abuf_bank_bytes=pick(c, [4, 8, 16]),
        abuf_ports_per_bank=c.integer(1, 2),
        decoder_profile=pick(c, [isa.DECODER_BITMAP, isa.DECODER_ANS]),
    )
