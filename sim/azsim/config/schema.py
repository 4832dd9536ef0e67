"""The chip file as types: one frozen model per block, every key with bounds, unit and meaning.

Nothing has a default: a chip file states every key. No number here is a property of Amazon's AZ
chips, whose micro-architecture has never been published; the files in `hw_configs` say for each
chip where its numbers come from. The reference page docs/config_reference.md is generated from the
descriptions below (`make docs`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from azsim.config._block import Block, PowerOfTwo
from azsim.config._frozen import FrozenMap
from azsim.config.lpddr_control import LpddrControl
from azsim.units import BYTES_PER_KB, BYTES_PER_MB

OpClass = Literal[
    "copy", "rescale", "add", "mul", "lut", "lstm_cell", "softmax", "lut8", "extreme", "select",
    "reduce", "argreduce", "norm", "log_softmax", "depthwise", "pack", "gru_cell",
]  # fmt: skip
OP_CLASSES: tuple[OpClass, ...] = get_args(OpClass)
NEEDED_OP_CLASSES = OP_CLASSES[:7]  # the others a vector unit may be without
FULL_WIDTH_BITS = 8
PS_PER_US = 1_000_000


def _multiple_of_256(value: int) -> int:
    if value % 256:
        raise PydanticCustomError("chip_value", "must be a multiple of 256")
    return value


def _one_printable_line(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("chip_value", "must be one line of printable text")
    return value


def _lists_full_width(value: dict[int, int]) -> FrozenMap[int, int]:
    if FULL_WIDTH_BITS not in value:
        raise PydanticCustomError("chip_value", "must list the weight width 8")
    return FrozenMap(sorted(value.items()))


def _lists_every_class(value: dict[OpClass, VectorOp]) -> FrozenMap[OpClass, VectorOp]:
    for name in NEEDED_OP_CLASSES:
        if name not in value:
            raise PydanticCustomError("chip_missing", "must be present", {"key": name})
    return FrozenMap({name: value[name] for name in OP_CLASSES if name in value})


KGates = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]


class Core(Block):
    """The clock of the whole chip."""

    clock_mhz: int = Field(
        ge=1, le=10_000, description="Core clock in MHz; every cycle count is in this clock."
    )


class Sequencer(Block):
    """Dispatches one command per cycle, in order, to one queue per engine."""

    queue_depth: int = Field(
        ge=1, le=4096, description="Commands that wait in the queue of one engine."
    )
    semaphores: int = Field(
        ge=1,
        le=256,
        description="Counting semaphores between engines (a command names them in 8 bits).",
    )
    semaphore_max: int = Field(ge=1, le=65_535, description="Largest value a semaphore can hold.")
    program_commands: int = Field(
        ge=1,
        le=16_777_216,
        description="Longest program in commands. Programs stand in host memory.",
    )


class SimpleMemory(Block):
    """A latency and a rate; the rate is a fraction of integers: no float enters the timing."""

    bytes: int = Field(ge=1, le=65_536, description="Bytes moved in `per_cycles` core cycles.")
    per_cycles: int = Field(
        ge=1, le=65_536, description="Core cycles in which `bytes` bytes are moved."
    )
    latency_cycles: int = Field(
        ge=0, le=100_000, description="Core cycles from a request to the first byte of its answer."
    )


class Memory(Block):
    """The DRAM the chip shares with the rest of the device."""

    model: Literal["simple", "lpddr"] = Field(
        description="Which memory model is used. `simple`: latency and rate. `lpddr`: banks, rows "
        "and refresh (docs/memory.md)."
    )
    capacity_mb: int = Field(
        ge=1, le=4096, description="Size of the DRAM in MB; programs must fit in it."
    )
    access_bytes: Annotated[int, PowerOfTwo] = Field(
        ge=8, le=4096, description="Traffic is rounded outwards to this many bytes."
    )
    simple: SimpleMemory = Field(description="Parameters of the model `simple`.")
    lpddr: LpddrControl | None = Field(
        default=None,
        description="Parameters of the model `lpddr`; may be absent where another one is used.",
    )

    @property
    def capacity_bytes(self) -> int:
        """Size of the DRAM in bytes."""
        return self.capacity_mb * BYTES_PER_MB

    def peak(self, clock_mhz: int) -> tuple[int, int]:
        """Return the peak rate as (bytes, core cycles in which they move), in lowest terms."""
        moved, cycles = self.simple.bytes, self.simple.per_cycles
        if self.model == "lpddr" and self.lpddr is not None:
            bursts, clocks = self.lpddr.channels, self.lpddr.part.least_clocks_per_burst
            moved = bursts * self.lpddr.burst_bytes * PS_PER_US
            cycles = clocks * self.lpddr.part.clock_ps * clock_mhz
        shared = math.gcd(moved, cycles)
        return moved // shared, cycles // shared


class Dma(Block):
    """One DMA engine: it keeps a bounded number of bursts under way."""

    burst_bytes: Annotated[int, PowerOfTwo] = Field(
        ge=8,
        le=4096,
        description="Bytes of one request to memory; a transfer never asks for more at once.",
    )
    outstanding_bursts: int = Field(ge=1, le=1024, description="Bursts under way at the same time.")


class WeightDecoder(Block):
    """Turns the compressed weight stream into tiles. Format and cycle law: docs/decoder.md."""

    profile: Literal["none", "bitmap", "ans"] = Field(
        description="Stream format understood. `none`: no decoder, raw int8 rows fill the slots. "
        "`ans`: `bitmap` and entropy coding."
    )
    units: int = Field(
        ge=1, le=16, description="Decoder units; tile k of a command goes to unit k mod units."
    )
    port_bits: Literal[64, 128] = Field(
        description="Width of a unit's stream port in bits: one port word."
    )
    stream_fifo_words: int = Field(
        ge=2, le=4096, description="Depth of each unit's stream FIFO in port words."
    )
    pipeline_cycles: int = Field(
        ge=1, le=64, description="Cycles from firing a beat to its weights in the slot."
    )
    table_slots: int = Field(
        ge=1, le=4, description="Coding tables a unit keeps (the stream's SLOT field has 2 bits)."
    )

    @property
    def port_bytes(self) -> int:
        """Width of one port word in bytes."""
        return self.port_bits // 8


class WeightStore(Block):
    """On-chip memory for weight streams that are used in every step; filled before cycle 0."""

    capacity_kb: int = Field(
        ge=0, le=65_536, description="Size in KB; 0: the chip has no weight store."
    )
    bytes_per_cycle: int = Field(ge=1, le=4096, description="Read rate in bytes per core cycle.")
    latency_cycles: int = Field(
        ge=0, le=10_000, description="Core cycles from a request to its first byte."
    )

    @property
    def capacity_bytes(self) -> int:
        """Size of the store in bytes."""
        return self.capacity_kb * BYTES_PER_KB


class WeightBuffer(Block):
    """Slots in which decoded tiles wait for the MAC array, dense, with their mask beside them."""

    tile_slots: int = Field(ge=1, le=4096, description="Tiles held at the same time.")
    slot_weights: Annotated[int, AfterValidator(_multiple_of_256)] = Field(
        ge=256, le=65_536, description="Weights of one slot, zeros included; no tile is larger."
    )


class MacArray(Block):
    """Lanes of multipliers fed by broadcast items. Timing law: docs/timing_model.md."""

    lanes: int = Field(
        ge=1, le=1024, description="Rows worked on side by side; row r belongs to lane r mod lanes."
    )
    macs_per_lane: int = Field(ge=1, le=1024, description="Multipliers of one lane.")
    item_columns: int = Field(
        ge=1, le=65_536, description="Columns (activations) of one broadcast item."
    )
    item_rows_per_lane: int = Field(
        ge=0,
        le=65_536,
        description="Rows per lane of one broadcast item; 0: all rows of the lane in the tile.",
    )
    lane_queue: int = Field(
        ge=1, le=4096, description="Broadcast items waiting in front of one lane."
    )
    queue_turnaround_cycles: int = Field(
        ge=0,
        le=1024,
        description="Cycles from an item leaving a lane's queue to its place being filled again.",
    )
    broadcast_interval_cycles: int = Field(
        ge=1, le=1024, description="Least cycles between two broadcasts."
    )
    min_item_cycles: int = Field(
        ge=0,
        le=1024,
        description="Least cycles of an item in a lane, also when nothing is to be multiplied.",
    )
    fill_cycles: int = Field(
        ge=0, le=1024, description="Cycles added once per command for filling and draining."
    )
    skip: Literal["none", "weight", "activation", "both"] = Field(
        description="Which zeros are recognised and cost no multiplication."
    )
    accumulators_per_lane: int = Field(
        ge=1, le=65_536, description="32-bit accumulators of one lane."
    )
    products_per_mac: Annotated[
        dict[Annotated[int, Field(ge=1, le=8)], Annotated[int, Field(ge=1, le=64)]],
        AfterValidator(_lists_full_width),
    ] = Field(
        description="Weight width in bits: products of one MAC per cycle. A layer uses the "
        "smallest listed width that holds its weights; codebook layers use 8."
    )

    def products_per_cycle(self, weight_bits: int) -> int:
        """Return the products one lane makes per cycle for weights of `weight_bits` (1..8) bits."""
        if not 1 <= weight_bits <= FULL_WIDTH_BITS:
            raise ValueError(f"weight_bits must be 1 to 8, not {weight_bits}")
        width = min(listed for listed in self.products_per_mac if listed >= weight_bits)
        return self.macs_per_lane * self.products_per_mac[width]


class VectorOp(Block):
    """Cost of one operation class on beats of `vector.lanes` elements."""

    latency_cycles: int = Field(ge=1, le=10_000, description="Cycles added once per command.")
    interval_cycles: int = Field(ge=1, le=10_000, description="Cycles of each beat.")


class VectorUnit(Block):
    """Element-wise integer work between matrix products."""

    lanes: int = Field(ge=1, le=4096, description="Elements of one beat.")
    ops: Annotated[dict[OpClass, VectorOp], AfterValidator(_lists_every_class)] = Field(
        description="Cost per operation class. The first seven must be listed; a program with an "
        "operation of another class that is not listed is refused."
    )


class ActivationBuffer(Block):
    """Banked on-chip memory for activations and recurrent state."""

    capacity_kb: int = Field(ge=1, le=65_536, description="Size in KB.")
    banks: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=1024, description="Banks, interleaved by `bank_bytes`."
    )
    bank_bytes: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=1024, description="Bytes a bank delivers per access."
    )
    ports_per_bank: int = Field(
        ge=1, le=8, description="Accesses to one bank per cycle; more cost a cycle each."
    )

    @property
    def capacity_bytes(self) -> int:
        """Size of the buffer in bytes."""
        return self.capacity_kb * BYTES_PER_KB


class Area(Block):
    """Gate counts of the area proxy: they compare configurations, they are no layout result."""

    kgates_per_mac: KGates = Field(
        description="One multiplier with its adder, in thousand gate equivalents."
    )
    kgates_per_lane: KGates = Field(description="Queue, skipping and control of one MAC lane.")
    kgates_decoder_bitmap: KGates = Field(description="One decoder unit with the profile `bitmap`.")
    kgates_decoder_ans: KGates = Field(
        description="One decoder unit that also has the entropy coder."
    )
    kgates_vector_lane: KGates = Field(description="One lane of the vector unit.")
    kgates_dma_channel: KGates = Field(description="One DMA channel.")
    kgates_sequencer: KGates = Field(description="Sequencer with its queues and semaphores.")


Microwatts = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
TableName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_printable_line)]


class LeakageRange(Block):
    """A leakage nobody has published: what we assume, and how far off it may be."""

    low: Microwatts = Field(description="Lowest plausible value in microwatts.")
    nominal: Microwatts = Field(description="Value used, in microwatts.")
    high: Microwatts = Field(description="Highest plausible value in microwatts.")


class Energy(Block):
    """How joules are counted (docs/energy_model.md); no key here changes a cycle."""

    table: TableName = Field(
        description="Energy table of logic and SRAM: a file of hw_configs/energy by its name, or "
        "the path of a file."
    )
    dram_table: TableName = Field(description="Energy table of the DRAM, named likewise.")
    node_nm: int = Field(
        ge=1,
        le=1000,
        description="Technology node in nm that the table's rows are scaled to; the table must "
        "have it.",
    )
    voltage_mv: int = Field(ge=300, le=2000, description="Supply voltage of the core in mV.")
    dram_channels: int = Field(
        ge=1,
        le=64,
        description="Channels of the DRAM table's width that stand for the memory `simple`: "
        "standby and refresh are paid for each.",
    )
    command_bytes: int = Field(
        ge=1,
        le=1024,
        description="Bytes of one command fetched from host memory; they cost energy, no time.",
    )
    idle_policy: Literal["active", "power_down", "self_refresh"] = Field(
        description="State of the DRAM between frames."
    )
    idle_leakage_percent: int = Field(
        ge=0,
        le=100,
        description="Share of the leakage that stays between frames; 100: nothing is switched off.",
    )
    sram_leakage_uw_per_kb: LeakageRange = Field(description="Leakage of 1 KB of SRAM.")
    logic_leakage_uw_per_kgate: LeakageRange = Field(
        description="Leakage of a thousand gate equivalents."
    )


class ChipKeys(Block):
    """All keys of a chip, not yet compared with one another."""

    name: str = Field(
        min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$", description="Identifier of the chip."
    )
    description: Annotated[str, AfterValidator(_one_printable_line)] = Field(
        min_length=1, max_length=200, description="What the chip is, in one line."
    )
    status: Literal["assumed", "published", "test"] = Field(
        description="Where the numbers come from; printed wherever the chip is shown."
    )
    core: Core
    sequencer: Sequencer
    memory: Memory
    dma_w: Dma = Field(
        description="DMA-W: weight streams, from DRAM or the weight store to the decoders."
    )
    dma_a: Dma = Field(
        description="DMA-A: activations and state, between DRAM and the activation buffer."
    )
    decoder: WeightDecoder
    weight_store: WeightStore
    wbuf: WeightBuffer
    mac_array: MacArray
    vector: VectorUnit
    abuf: ActivationBuffer
    area: Area
    energy: Energy

    @property
    def memory_peak(self) -> tuple[int, int]:
        """Peak rate of the DRAM: (bytes, core cycles in which they move)."""
        return self.memory.peak(self.core.clock_mhz)
