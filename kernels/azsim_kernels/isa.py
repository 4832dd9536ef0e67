"""The command set of the machine: what a program is made of.

Shared by the clocked model, the fast engine and the compiler. Data only: no timing rule lives here
(docs/timing_model.md says when, docs/arithmetic.md says what). One command is one record of
`COMMAND`; its operands are `arg[k]`, named per opcode by the `*_ARGS` tuples below. All addresses
are byte addresses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from azsim_kernels.lpddr_params import LpddrMemory

# Engine classes, as stored in `engine`. A chip with n decoder units has n DMA-W channels and n
# DECODE engines.
DMA_W, DMA_A, DECODE, MAC, VECTOR = range(5)
ENGINE_CLASS_NAMES = ("dma_w", "dma_a", "decode", "mac", "vector")

# Opcodes, unique over all engines.
FETCH = 0  # DMA_W: a tile's stream words to the unit's FIFO
LOAD = 1  # DMA_A: DRAM to ABUF
STORE = 2  # DMA_A: ABUF to DRAM
GATHER = 3  # DMA_A: rows of a DRAM table, chosen by int32 indices in ABUF, to ABUF
TILE = 4  # DECODE: one compressed tile to a WBUF slot
TABLE = 5  # DECODE: a TABLE record to a table slot of the unit (profile ans)
RAW = 6  # DECODE: raw int8 weights (profile none)
PRODUCT = 7  # MAC: one tile times its activations
RESCALE = 8  # VECTOR: accumulators to integers of a tensor
COPY = 9  # VECTOR: strided copy
REQUANT = 10  # VECTOR: tensor to another scale
ADD = 11
MUL = 12
LUT = 13  # VECTOR: sigmoid, tanh
LSTM_CELL = 14
SOFTMAX = 15
LUT8 = 16  # VECTOR: any int8 -> int8 function, by a table of 256 bytes in ABUF
EXTREME = 17  # smaller or larger of two tensors
SELECT = 18  # a where a condition holds, else b
REDUCE = 19  # sum, largest or smallest over windows
ARGREDUCE = 20  # the k largest or smallest of each row, by index
NORM = 21  # layer norm, RMS norm
LOG_SOFTMAX = 22
DEPTHWISE = 23  # convolution channel by channel
PACK = 24  # a matrix of ABUF to a WBUF slot
GRU_CELL = 25
OPCODE_NAMES = (
    "FETCH", "LOAD", "STORE", "GATHER", "TILE", "TABLE", "RAW", "PRODUCT",
    "RESCALE", "COPY", "REQUANT", "ADD", "MUL", "LUT", "LSTM_CELL", "SOFTMAX", "LUT8", "EXTREME",
    "SELECT", "REDUCE", "ARGREDUCE", "NORM", "LOG_SOFTMAX", "DEPTHWISE", "PACK", "GRU_CELL",
)  # fmt: skip
OPCODE_ENGINE = (0, 1, 1, 1, 2, 2, 2, 3, *(4,) * 18)

# Vector operation classes of the chip file, in the order of `MachineParams.vector_latency`.
VECTOR_CLASSES = (
    "copy", "rescale", "add", "mul", "lut", "lstm_cell", "softmax", "lut8", "extreme", "select",
    "reduce", "argreduce", "norm", "log_softmax", "depthwise", "pack", "gru_cell",
)  # fmt: skip
OPCODE_VECTOR_CLASS = {
    RESCALE: 1,
    COPY: 0,
    REQUANT: 1,
    ADD: 2,
    MUL: 3,
    LUT: 4,
    LSTM_CELL: 5,
    SOFTMAX: 6,
    LUT8: 7,
    EXTREME: 8,
    SELECT: 9,
    REDUCE: 10,
    ARGREDUCE: 11,
    NORM: 12,
    LOG_SOFTMAX: 13,
    DEPTHWISE: 14,
    PACK: 15,
    GRU_CELL: 16,
}

# Semaphore kinds (attribution of waiting) and stall classes.
DATA, SPACE, ORDER = range(3)
SEMAPHORE_KIND_NAMES = ("data", "space", "order")
BUSY, STARVED, BLOCKED, WAITING, IDLE = range(5)
STALL_CLASS_NAMES = ("busy", "starved", "blocked", "waiting", "idle")

# Element types of tensors in ABUF.
INT8, INT16, INT32 = range(3)
ELEMENT_BYTES = (1, 2, 4)

# Zero skipping of the MAC array.
SKIP_NONE, SKIP_WEIGHT, SKIP_ACTIVATION, SKIP_BOTH = range(4)

# Profile of the weight decoders. Without a decoder a program has RAW commands only; a TILE there is
# judged as by `bitmap`.
DECODER_BITMAP, DECODER_ANS, DECODER_NONE = range(3)

# Flags of vector commands.
FLAG_BIAS_AFTER = 1  # RESCALE: bias is added after the multiplication (else to the accumulator)
FLAG_RELU = 2  # result is at least the output's zero point
FLAG_ADDEND = 4  # RESCALE: an int32 tensor is added after the multiplication

LUT_SIGMOID, LUT_TANH = range(2)
COUPLE_NONE, COUPLE_INPUT, COUPLE_FORGET = range(3)  # LSTM_CELL: i = 1 - f, or f = 1 - i
EXTREME_MIN, EXTREME_MAX = range(2)
REDUCE_SUM, REDUCE_MAX, REDUCE_MIN = range(3)
ARG_LARGEST, ARG_SMALLEST = range(2)
NORM_LAYER, NORM_RMS = range(2)

MAX_WORK = 1 << 26  # outputs x taps (or passes) of one REDUCE, DEPTHWISE or ARGREDUCE
MAX_TAPS = 65536  # of one REDUCE or DEPTHWISE: sums of their int8 terms stay inside 32 bits
MAX_ROW_COLUMNS = 32768  # SOFTMAX, LOG_SOFTMAX, NORM: keeps their sums inside their registers

MAX_WAITS = 4
MAX_SIGNALS = 4
N_ARGS = 16

COMMAND = np.dtype(
    [
        ("engine", np.uint8),  # engine class
        ("opcode", np.uint8),
        ("unit", np.uint8),  # decoder unit of DMA_W and DECODE commands, else 0
        ("n_wait", np.uint8),
        ("n_signal", np.uint8),
        ("wait", np.uint8, (MAX_WAITS,)),  # semaphores, each taken `wait_count` times at the start
        ("wait_count", np.uint8, (MAX_WAITS,)),
        (
            "signal",
            np.uint8,
            (MAX_SIGNALS,),
        ),  # semaphores, each given `signal_count` times at the end
        ("signal_count", np.uint8, (MAX_SIGNALS,)),
        ("layer", np.int32),  # row of the program's layer table
        ("arg", np.int64, (N_ARGS,)),
    ],
    align=True,
)

# Names of arg[0], arg[1], ... per opcode.
FETCH_ARGS = ("address", "bytes", "source")  # source 0 = DRAM, 1 = weight store
LOAD_ARGS = ("dram_address", "abuf_address", "bytes")
STORE_ARGS = ("dram_address", "abuf_address", "bytes")
GATHER_ARGS = (
    "table_address",
    "abuf_address",
    "row_bytes",
    "index_address",
    "indices",
    "table_rows",
)
TILE_ARGS = ("slot", "groups", "tile_index")  # groups of 256 weights; index within its stream
TABLE_ARGS = ("slot",)
RAW_ARGS = ("slot", "groups", "tile_index")
# Row r of the tile belongs to lane r mod lanes; its accumulator for activation column m is
# acc_base + m * acc_stride + r // lanes. Weights lie row-major (rows x columns) in the slot.
PRODUCT_ARGS = (
    "slot", "rows", "columns", "activation_address", "activation_columns",
    "activation_stride_bytes", "acc_base", "acc_stride", "clear", "weight_bits",
    "activation_zero_point", "last",
)  # fmt: skip
# Parameters at param_address: multiplier int32[rows], bias int32[rows], shift int8[rows],
# contiguous.
RESCALE_ARGS = (
    "rows", "acc_base", "columns", "acc_stride", "param_address", "dst", "dst_stride_bytes",
    "dst_type", "dst_zero_point", "flags", "addend", "addend_stride_bytes",
)  # fmt: skip
COPY_ARGS = (
    "src",
    "dst",
    "element_bytes",
    "shape0",
    "shape1",
    "shape2",
    "shape3",
    "src_stride0",
    "src_stride1",
    "src_stride2",
    "src_stride3",
    "dst_stride0",
    "dst_stride1",
    "dst_stride2",
    "dst_stride3",
)  # fmt: skip  (strides in bytes; a source stride of 0 repeats)
REQUANT_ARGS = (
    "src", "elements", "src_type", "dst", "dst_type", "multiplier", "shift", "src_zero_point",
    "dst_zero_point", "flags",
)  # fmt: skip
# Element i of b is b[i mod b_period]: a row vector is repeated without being written out.
ADD_ARGS = (
    "a", "a_type", "b", "b_type", "dst", "dst_type", "elements", "multiplier_a", "multiplier_b",
    "shift", "a_zero_point", "b_zero_point", "dst_zero_point", "flags", "b_period",
)  # fmt: skip
MUL_ARGS = (
    "a", "a_type", "b", "b_type", "dst", "dst_type", "elements", "multiplier", "unused", "shift",
    "a_zero_point", "b_zero_point", "dst_zero_point", "flags", "b_period",
)  # fmt: skip
LUT_ARGS = (
    "src", "src_type", "elements", "dst", "dst_type", "table", "in_multiplier", "in_shift",
    "out_multiplier", "out_shift", "src_zero_point", "dst_zero_point",
)  # fmt: skip
LSTM_CELL_ARGS = (
    "gates", "c_in", "c_out", "h_out", "hidden", "c_fraction_bits", "h_multiplier", "h_shift",
    "h_zero_point", "couple",
)  # fmt: skip
SOFTMAX_ARGS = (
    "src", "rows", "columns", "dst", "in_multiplier", "in_shift", "out_multiplier", "out_shift",
    "dst_zero_point",
)  # fmt: skip
# 256 bytes at `table`: y = table[x + 128].
LUT8_ARGS = ("src", "elements", "dst", "table")
EXTREME_ARGS = (
    "a", "a_type", "b", "b_type", "dst", "dst_type", "elements", "multiplier_a", "multiplier_b",
    "shift", "a_zero_point", "b_zero_point", "dst_zero_point", "kind", "b_period",
)  # fmt: skip
# Element i takes cond[i mod cond_period] (one byte), a[i mod a_period], b[i mod b_period].
SELECT_ARGS = (
    "cond", "a", "b", "dst", "elements", "element_bytes", "cond_period", "a_period", "b_period",
)  # fmt: skip
# int8, channels last: output (h, w) reads the channels at src + h * src_stride_h + w *
# src_stride_w + kh * tap_stride_h + kw * tap_stride_w; the output is dense (out_h, out_w,
# channels).
REDUCE_ARGS = (
    "src", "dst", "channels", "out_h", "out_w", "kernel_h", "kernel_w", "src_stride_h",
    "src_stride_w", "tap_stride_h", "tap_stride_w", "kind", "multiplier", "shift",
    "src_zero_point", "dst_zero_point",
)  # fmt: skip
# dst: int32 [rows, k] indices, best first; values: int8 [rows, k], or -1 for none.
ARGREDUCE_ARGS = ("src", "rows", "columns", "dst", "kind", "k", "values")
# Parameters at param_address: gamma int32[columns], beta int32[columns], contiguous.
NORM_ARGS = (
    "src", "src_type", "rows", "columns", "dst", "dst_type", "param_address", "kind", "epsilon",
    "shift", "src_zero_point", "dst_zero_point",
)  # fmt: skip
LOG_SOFTMAX_ARGS = SOFTMAX_ARGS
# Windows as in REDUCE; weights int8 [kernel_h * kernel_w, channels]; parameters as in RESCALE.
DEPTHWISE_ARGS = (
    "src", "dst", "channels", "out_h", "out_w", "kernel_h", "kernel_w", "src_stride_h",
    "src_stride_w", "tap_stride_h", "tap_stride_w", "weight_address", "param_address",
    "dst_zero_point", "flags", "dst_pixel_stride_bytes",
)  # fmt: skip
# The slot gets rows x columns int8 weights, row-major; their masks say "not zero" for all of them.
PACK_ARGS = ("slot", "src", "rows", "columns", "row_stride_bytes", "column_stride_bytes")
# int16 [hidden] each, gates in Q3.12, h_in and h_out in Q0.15; y_out int8. Without `reset`, r and
# n_h are not read.
GRU_CELL_ARGS = (
    "z", "r", "n_x", "n_h", "h_in", "h_out", "y_out", "hidden", "reset", "y_multiplier", "y_shift",
    "y_zero_point",
)  # fmt: skip
OPCODE_ARGS = (
    FETCH_ARGS, LOAD_ARGS, STORE_ARGS, GATHER_ARGS, TILE_ARGS, TABLE_ARGS, RAW_ARGS, PRODUCT_ARGS,
    RESCALE_ARGS, COPY_ARGS, REQUANT_ARGS, ADD_ARGS, MUL_ARGS, LUT_ARGS, LSTM_CELL_ARGS,
    SOFTMAX_ARGS, LUT8_ARGS, EXTREME_ARGS, SELECT_ARGS, REDUCE_ARGS, ARGREDUCE_ARGS, NORM_ARGS,
    LOG_SOFTMAX_ARGS, DEPTHWISE_ARGS, PACK_ARGS, GRU_CELL_ARGS,
)  # fmt: skip

# How a machine run ended.
DONE, DEADLOCK, SEMAPHORE_OVERFLOW, BAD_TILE, BAD_INDEX, BAD_OPERAND = range(6)
STATUS_NAMES = ("DONE", "DEADLOCK", "SEMAPHORE_OVERFLOW", "BAD_TILE", "BAD_INDEX", "BAD_OPERAND")


class MachineParams(NamedTuple):
    """Every chip parameter that timing depends on, as integers (the kernels' view of a chip
    file)."""

    units: int
    queue_depth: int
    semaphore_max: int
    memory_bytes: int  # the simple memory moves `memory_bytes` per `memory_per_cycles`
    memory_per_cycles: int
    memory_latency_cycles: int
    access_bytes: int
    dma_w_burst_bytes: int
    dma_w_outstanding: int
    dma_a_burst_bytes: int
    dma_a_outstanding: int
    store_bytes_per_cycle: int
    store_latency_cycles: int
    port_bits: int
    fifo_words: int
    decoder_pipeline_cycles: int
    tile_slots: int
    slot_weights: int
    lanes: int
    macs_per_lane: int
    item_columns: int
    item_rows_per_lane: int  # 0 = all rows of the lane
    lane_queue: int
    queue_turnaround_cycles: int
    broadcast_interval_cycles: int
    min_item_cycles: int
    fill_cycles: int
    skip: int
    accumulators_per_lane: int
    products_per_mac: tuple[
        int, int, int, int, int, int, int, int
    ]  # index = weight bits - 1, filled upwards
    vector_lanes: int
    vector_latency_cycles: tuple[int, ...]  # by VECTOR_CLASSES
    vector_interval_cycles: tuple[int, ...]
    abuf_banks: int
    abuf_bank_bytes: int
    abuf_ports_per_bank: int
    decoder_profile: int  # DECODER_BITMAP, DECODER_ANS or DECODER_NONE
    lpddr: LpddrMemory | None = None  # None: the simple memory


def engine_count(units: int) -> int:
    """Engines of a chip: dma_w0.., dma_a, decode0.., mac, vector."""
    return 2 * units + 3


def engine_number(engine_class: int, unit: int, units: int) -> int:
    """Number of an engine: DMA-W channels first, then DMA-A, DECODE units, MAC, VECTOR."""
    if engine_class == DMA_W:
        return unit
    if engine_class == DMA_A:
        return units
    if engine_class == DECODE:
        return units + 1 + unit
    return 2 * units + 1 + (engine_class - MAC)


def engine_names(units: int) -> list[str]:
    """Names in the order of `engine_number`: ['dma_w0', ..., 'dma_a', 'decode0', ..., 'mac',
    'vector']."""
    return (
        [f"dma_w{u}" for u in range(units)]
        + ["dma_a"]
        + [f"decode{u}" for u in range(units)]
        + ["mac", "vector"]
    )


# Of the LPDDR memory, 0 with the simple one. The first ones are `CHANNEL_COUNTS` over all channels,
# bursts of the ports as bytes; `host_longest_wait_cycles` is a maximum, all others are sums.
MEMORY_COUNTERS = (
    "dram_activates", "dram_precharges", "dram_precharges_all", "dram_read_bursts",
    "dram_write_bursts", "dram_refreshes_all_bank", "dram_refreshes_per_bank", "dram_open_clocks",
    "dram_row_hits", "dram_row_misses", "dram_row_conflicts",
    "dram_w_read_bytes", "dram_a_read_bytes", "dram_host_read_bytes",
    "dram_w_write_bytes", "dram_a_write_bytes", "dram_host_write_bytes",
    "dram_closed_clocks", "host_requests", "host_read_bytes", "host_write_bytes",
    "host_wait_cycles", "host_longest_wait_cycles",
)  # fmt: skip

# Counters of one run, in the order of `counter_names`: fixed ones first, then three per decoder
# unit.
FIXED_COUNTERS = (
    "dma_a_requests", "dma_a_read_bytes", "dma_a_write_bytes",  # bytes moved over the memory bus
    "dma_w_requests", "dma_w_bytes",  # from DRAM
    "store_requests", "store_bytes",  # from the on-chip weight store
    "mac_products_done", "mac_products_skipped", "mac_items", "vector_conflict_cycles",
    *(f"vector_{name}_elements" for name in VECTOR_CLASSES),
    *(f"vector_{name}_beats" for name in VECTOR_CLASSES),
    *MEMORY_COUNTERS,
)  # fmt: skip
UNIT_COUNTERS = ("words_accepted", "beats_fired", "tiles_decoded")


def counter_names(units: int) -> list[str]:
    """Names of the counters array of a run on a chip with `units` decoder units."""
    per_unit = [f"decode{u}_{name}" for u in range(units) for name in UNIT_COUNTERS]
    return list(FIXED_COUNTERS) + per_unit


class StepResult(NamedTuple):
    """What one run of a program (one step) gave; the same for the clocked model and the fast
    engine.

    `dispatch`, `start`, `free` hold a cycle per command, -1 where it never happened.
    `stalls[engine, class]` are cycles and sum to `cycles` per engine. `error_command` and
    `error_code` name the command and the tile error (or semaphore number) when `status` is not
    DONE.
    """

    status: int
    cycles: int
    error_command: int
    error_code: int
    dispatch: np.ndarray  # int64 (commands,)
    start: np.ndarray  # int64 (commands,)
    free: np.ndarray  # int64 (commands,)
    stalls: np.ndarray  # int64 (engines, 5)
    counters: np.ndarray  # int64 (counters,)
