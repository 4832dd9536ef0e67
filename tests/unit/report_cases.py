"""A small made-up run whose every figure can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from azsim.config import ChipConfig, load_chip
from azsim.counters import (
    CommandTrace,
    Counters,
    LaneSpreads,
    LayerCounters,
    Traffic,
    WeightPath,
)
from azsim.program import TILE_DTYPE, LayerInfo, Port, Program
from azsim.report.record import RunRecord
from azsim_kernels import isa

LAYERS = (
    LayerInfo("enc/x", "Linear", 16, 10, 1, 5, 160, 80, 96, 70, 33),
    LayerInfo("enc/cell", "LstmCell"),
    LayerInfo("input and output", "DMA"),
)
# What the commands below move in three steps; docs/reports.md has the rules.
TRAFFIC = (
    Traffic(
        dram_weight_read_bytes=288, abuf_mac_read_bytes=60, abuf_parameter_read_bytes=432,
        abuf_vector_write_bytes=48, wbuf_weight_read_bytes=480, wbuf_mask_read_bytes=60,
        wbuf_weight_write_bytes=1536, wbuf_mask_write_bytes=192, accumulator_read_bytes=192,
        accumulator_write_bytes=192,
    ),
    Traffic(abuf_vector_read_bytes=120, abuf_vector_write_bytes=36),
    Traffic(
        dram_activation_read_bytes=96, dram_write_bytes=96, abuf_dma_read_bytes=48,
        abuf_dma_write_bytes=96,
    ),
)  # fmt: skip
LAYER_COUNTERS = (
    LayerCounters("enc/x", 4000, 2000, 4400, 1500, 100, 32_000, 288, 21, TRAFFIC[0]),
    LayerCounters("enc/cell", 600, 0, 0, 0, 500, 0, 0, 3, TRAFFIC[1]),
    LayerCounters("input and output", 400, 50, 0, 0, 0, 300, 0, 6, TRAFFIC[2]),
)
# engine class, opcode, unit, layer, arguments, start, free
COMMANDS = (
    (isa.DMA_A, isa.LOAD, 0, 2, (512, 0, 32), 0, 70),
    (isa.DMA_W, isa.FETCH, 0, 0, (0, 64, 0), 1, 80),
    (isa.DMA_W, isa.FETCH, 1, 0, (64, 32, 0), 2, 90),
    (isa.DECODE, isa.TILE, 0, 0, (0, 1, 0), 3, 100),
    (isa.DECODE, isa.TILE, 1, 0, (1, 1, 1), 4, 120),
    (isa.MAC, isa.PRODUCT, 0, 0, (0, 8, 10, 0, 1, 0, 0, 0, 1, 5), 100, 110),
    (isa.MAC, isa.PRODUCT, 0, 0, (1, 8, 10, 0, 1, 0, 1, 0, 1, 5), 120, 130),
    (isa.VECTOR, isa.RESCALE, 0, 0, (16, 0, 1), 130, 140),
    (isa.VECTOR, isa.LSTM_CELL, 0, 1, (0, 0, 0, 0, 4), 140, 160),
    (isa.DMA_A, isa.STORE, 0, 2, (544, 0, 16), 160, 1000),
)
# First words of the two tiles: mask RAW of one group in 8 words; DENSE in 4 words.
TILE_HEADERS = {0: 1 | 8 << 18, 64: 4 << 18}
INPUT = Port("x", 512, (32,), "int8", 0.5, 0)
OUTPUT = Port("y", 544, (2, 2), "int8", 0.5, 3)


def make_record(**changes: Any) -> RunRecord:
    """Return the run on az1 (500 MHz, 12.8 B per cycle): steps of 1000, 1000 and 3000 cycles."""
    chip = load_chip("az1")
    record = RunRecord(
        model="small.onnx",
        chip=chip,
        program=make_program(chip),
        counters=make_counters(),
        frame_ms=0.004,  # 2000 cycles
        frame_ms_source="--frame-ms",
        input_source="frames.npz",
        calibration="the run's own input",
        bits=5,
        sparsity=0.5,
        timing_only=False,
        version="0.1.0",
        frames=3,
        plan='{"bits": 5, "sparsity": 0.5}',
        integers={"y": np.arange(12, dtype=np.int8).reshape(3, 2, 2)},
        sqnr_db={"y": 31.25},
        seeds={"weights": 1},
        wall_seconds=0.5,
        weight_path=make_weight_path(),
    )
    return replace(record, **changes)


def make_program(chip: ChipConfig) -> Program:
    """Two tiles, fetched and decoded side by side; then a product each and the vector work."""
    tiles = np.zeros(2, TILE_DTYPE)
    tiles["address"], tiles["decode_cycles"] = (0, 64), (20, 40)
    empty = np.zeros(0, np.int64)
    dram, store = np.zeros(96, np.uint8), np.zeros(0, np.uint8)
    for address, header in TILE_HEADERS.items():
        dram[address : address + 8].view("<u8")[0] = header
    return Program(
        "small", chip.name, chip.config_hash(), make_commands(COMMANDS), empty, empty, tiles,
        LAYERS, dram, store, 560, 64, (INPUT,), (OUTPUT,),
    )  # fmt: skip


def make_commands(rows: Any) -> NDArray[Any]:
    """Return `rows` as command records."""
    commands = np.zeros(len(rows), isa.COMMAND)
    for command, (engine, opcode, unit, layer, arg, _, _) in zip(commands, rows, strict=True):
        command["engine"], command["opcode"], command["unit"] = engine, opcode, unit
        command["layer"] = layer
        command["arg"][: len(arg)] = arg
    return commands


def make_counters() -> Counters:
    """Counters of three steps."""
    counts = dict.fromkeys(isa.counter_names(2), 0)
    counts |= {"dma_w_bytes": 30_000, "dma_a_read_bytes": 2000, "dma_a_write_bytes": 300}
    counts |= {"dram_read_bursts": 1000, "dram_write_bursts": 10, "dram_row_hits": 909}
    counts |= {"dram_refreshes_all_bank": 2, "host_requests": 4, "host_read_bytes": 192}
    counts |= {"host_write_bytes": 64, "host_wait_cycles": 500, "host_longest_wait_cycles": 250}
    counts |= {"mac_products_done": 240, "mac_products_skipped": 240, "store_bytes": 7}
    times = np.array([row[5:] for row in COMMANDS], np.int64)
    return Counters(
        3,
        np.array([1000, 1000, 3000]),
        {name: make_stalls(busy) for name, busy in zip(isa.engine_names(2), BUSY, strict=True)},
        counts,
        LAYER_COUNTERS,
        CommandTrace(times[:, 0] - 1, times[:, 0], times[:, 1]),
    )


def make_weight_path() -> WeightPath:
    """The first step: spans of 140, 20 and 840 cycles; two products, of layer 0."""
    counts = {
        "dram_burst": 2, "stream_fifo": 2, "decoder": 2, "tile_slot": 16, "lanes": 8, "macs": 64,
    }  # fmt: skip
    spans = np.array([140, 20, 840])
    busy = np.array([100, 2, 0])
    classes = {
        unit: np.stack([busy * n, 7 * n + 0 * busy, 5 * n + 0 * busy, 4 * n + 0 * busy,
                        (spans - busy - 16) * n], axis=1)
        for unit, n in counts.items()
    }  # fmt: skip
    lanes = LaneSpreads(*(np.array(pair) for pair in ([0, 0], [10, 10], [10, 10], [3, 10])))
    what_if = {"memory": np.array([90, 20, 30]), "decoder": spans, "mac": spans - 1}
    return WeightPath(spans, counts, classes, lanes, what_if)


BUSY = (2000, 1800, 900, 1500, 700, 600, 90)


def make_stalls(busy: int) -> dict[str, int]:
    """Return the classes of one engine; they sum to the 5000 cycles of the run."""
    return {"busy": busy, "starved": 40, "blocked": 30, "waiting": 20, "idle": 4910 - busy}


def with_layers(record: RunRecord, infos: Any, counted: Any) -> RunRecord:
    """Return `record` with other layers."""
    program = replace(record.program, layers=tuple(infos))
    counters = replace(record.counters, layers=tuple(counted))
    return replace(record, program=program, counters=counters, weight_path=None)


def without_steps(record: RunRecord) -> RunRecord:
    """Return `record` as if no step had run."""
    empty = np.zeros(0, np.int64)
    counters = Counters(
        0,
        empty,
        {name: dict.fromkeys(isa.STALL_CLASS_NAMES, 0) for name in isa.engine_names(2)},
        dict.fromkeys(isa.counter_names(2), 0),
        tuple(LayerCounters(layer.name, *[0] * 8) for layer in LAYERS),
        CommandTrace(empty, empty, empty),
    )
    return replace(record, counters=counters, frames=0, integers={}, sqnr_db={})
