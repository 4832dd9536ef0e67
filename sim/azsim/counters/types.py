"""Counters of a run: sums over all steps, per engine and per layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Traffic:
    """Bytes that commands move through each memory; docs/reports.md says how each is counted.

    `dram_*`: over the memory bus, rounded outwards to `memory.access_bytes`. `abuf_mac_read_bytes`
    are activations that PRODUCT broadcasts, `abuf_vector_*` tensors that VECTOR reads and writes,
    `abuf_parameter_read_bytes` multipliers, biases and shifts of RESCALE, `abuf_dma_*` what DMA-A
    takes and brings. `wbuf_mask_*` are the bits that tell zero weights from others.
    """

    dram_weight_read_bytes: int = 0
    dram_activation_read_bytes: int = 0
    dram_parameter_read_bytes: int = 0
    dram_write_bytes: int = 0
    store_read_bytes: int = 0
    abuf_mac_read_bytes: int = 0
    abuf_vector_read_bytes: int = 0
    abuf_parameter_read_bytes: int = 0
    abuf_vector_write_bytes: int = 0
    abuf_dma_read_bytes: int = 0
    abuf_dma_write_bytes: int = 0
    wbuf_weight_read_bytes: int = 0
    wbuf_mask_read_bytes: int = 0
    wbuf_weight_write_bytes: int = 0
    wbuf_mask_write_bytes: int = 0
    accumulator_read_bytes: int = 0
    accumulator_write_bytes: int = 0

    @property
    def dram_bytes(self) -> int:
        """Bytes over the memory bus, both ways."""
        reads = self.dram_weight_read_bytes + self.dram_activation_read_bytes
        return reads + self.dram_parameter_read_bytes + self.dram_write_bytes


TRAFFIC_NAMES = tuple(entry.name for entry in fields(Traffic))


@dataclass(frozen=True)
class LayerCounters:
    """Sums over all steps for one row of the program's layer table.

    `span_cycles`: from the end of the layer before to this layer's last result; the spans of all
    layers sum to the run's cycles. The others are work, whether or not it overlapped:
    `memory_cycles` (bytes moved over the memory bus at its full rate), `decode_cycles` (the decoder
    law with words always there, summed over units), `mac_cycles`, `vector_cycles` (commands'
    durations). `dram_bytes`: moved over the bus by the layer's DMA commands. `traffic`: bytes
    through each memory. `products`: carried out by the MAC array. `vector_beats`: by operation
    class.
    """

    name: str
    span_cycles: int
    memory_cycles: int
    decode_cycles: int
    mac_cycles: int
    vector_cycles: int
    dram_bytes: int
    stream_bytes: int
    commands: int
    traffic: Traffic = field(default_factory=Traffic)
    products: int = 0
    vector_beats: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandTrace:
    """Cycles of every command in one step: int64 arrays (commands,)."""

    dispatch: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    free: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counters:
    """What `azsim.engine` counted over `frames` steps.

    `step_cycles`: int64 (frames,), length of each step. `stalls[engine][class]` in cycles; for each
    engine the classes sum to `cycles`. `counts`: by name (`azsim_kernels.isa.counter_names`).
    `trace`: the first step's commands.
    """

    frames: int
    step_cycles: npt.NDArray[np.int64]
    stalls: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, int]
    layers: tuple[LayerCounters, ...]
    trace: CommandTrace

    @property
    def cycles(self) -> int:
        """Cycles of all steps together."""
        return int(self.step_cycles.sum())

    @property
    def dram_bytes_read(self) -> int:
        """Bytes read from DRAM over the bus (weights, parameters, inputs)."""
        return self.counts["dma_w_bytes"] + self.counts["dma_a_read_bytes"]

    @property
    def dram_bytes_written(self) -> int:
        """Bytes written to DRAM over the bus."""
        return self.counts["dma_a_write_bytes"]
