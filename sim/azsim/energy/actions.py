"""Every counter of the machine as actions with a price, or as part of one that has a price.

docs/energy_model.md has the same list in words. A counter that is not in it is an error.
"""

from __future__ import annotations

import re

from azsim.config import ChipConfig
from azsim.counters import TRAFFIC_NAMES, Counters
from azsim.energy.dram import add_dram
from azsim.energy.ledger import Ledger, layer_figures, vector_beats
from azsim.energy.scaling import DramRates, LogicRates, Rate
from azsim.energy.time import RealTime
from azsim.errors import ConfigError
from azsim.units import BITS_PER_BYTE, BYTES_PER_KB

# Operations of one lane in one beat, by class of VECTOR command; `table`: a look-up in a lane's own
# table. Classes that only move bytes are paid for at the memories they move them through.
VECTOR_OPERATIONS: dict[str, dict[str, int]] = {
    "copy": {},
    "pack": {},
    "rescale": {"int32_multiply": 1, "int32_add": 2},
    "add": {"int32_multiply": 2, "int32_add": 3},
    "mul": {"int32_multiply": 2, "int32_add": 2},
    "lut": {"int32_multiply": 2, "int32_add": 2, "table": 1},
    "lut8": {"table": 1},
    "extreme": {"int32_multiply": 2, "int32_add": 3},
    "select": {"int32_add": 1},
    "reduce": {"int32_multiply": 1, "int32_add": 2},
    "argreduce": {"int32_add": 1},
    "norm": {"int32_multiply": 3, "int32_add": 4, "table": 1},
    "lstm_cell": {"int16_multiply": 3, "int32_multiply": 1, "int32_add": 4, "table": 5},
    "gru_cell": {"int16_multiply": 3, "int32_multiply": 1, "int32_add": 4, "table": 3},
    "softmax": {"int32_multiply": 2, "int32_add": 2, "table": 1},
    "log_softmax": {"int32_multiply": 2, "int32_add": 3, "table": 2},
    "depthwise": {"int8_multiply": 1, "int32_multiply": 1, "int32_add": 2},
}
LANE_TABLE_KB = 0.5  # 256 entries of 16 bits
ACCUMULATOR_BYTES = 4
DMA_ENGINES = 2
# Counters (of decoder units without the unit's number) that have a price of their own ...
_PRICED = (
    "dma_a_read_bytes", "dma_a_write_bytes", "dma_w_bytes", "store_bytes", "mac_products_done",
    "decode_words_accepted", r"vector_.*_beats",
    "dram_activates", "dram_refreshes_all_bank", "dram_refreshes_per_bank", "dram_open_clocks",
    "dram_closed_clocks", r"dram_(w|a|host)_(read|write)_bytes",
)  # fmt: skip
# ... and those that are part of another: requests of sequencer.logic, items of mac_array.queue,
# skipped products of the mask bits that wbuf.read counts, beats and tiles of decoder.logic,
# elements and conflicts of the beats and cycles of `vector`, precharges of dram.activate, what the
# row buffers met and how long somebody waited of the same commands and clocks.
_PART_OF_ANOTHER = (
    "dma_a_requests", "dma_w_requests", "store_requests", "mac_items", "mac_products_skipped",
    "decode_beats_fired", "decode_tiles_decoded", r"vector_.*_elements", "vector_conflict_cycles",
    "dram_precharges", "dram_precharges_all", "dram_read_bursts", "dram_write_bursts",
    r"dram_row_(hits|misses|conflicts)", "host_requests", "host_read_bytes", "host_write_bytes",
    r"host_.*wait_cycles",
)  # fmt: skip
_KNOWN = re.compile("|".join(f"(?:{name})" for name in (*_PRICED, *_PART_OF_ANOTHER)))
_READ_WRITE = {
    "abuf": (
        ("abuf_mac_read_bytes", "abuf_vector_read_bytes", "abuf_parameter_read_bytes",
         "abuf_dma_read_bytes"),
        ("abuf_vector_write_bytes", "abuf_dma_write_bytes"),
    ),
    "wbuf": (
        ("wbuf_weight_read_bytes", "wbuf_mask_read_bytes"),
        ("wbuf_weight_write_bytes", "wbuf_mask_write_bytes"),
    ),
    "accumulators": (("accumulator_read_bytes",), ("accumulator_write_bytes",)),
}  # fmt: skip
# Traffic that counters of the machine have too, and are priced by.
_TRAFFIC_ELSEWHERE = (
    "dram_weight_read_bytes", "dram_activation_read_bytes", "dram_parameter_read_bytes",
    "dram_write_bytes", "store_read_bytes",
)  # fmt: skip


def add_all(
    book: Ledger, counters: Counters, chip: ChipConfig, time: RealTime, rates: ChipRates
) -> None:
    """Put everything that a run did into `book`.

    Raises:
        ConfigError: a counter, a kind of traffic or a class of VECTOR command without a price.
    """
    check_known(counters)
    add_dram(book, counters, chip, time, rates.dram)
    _add_memories(book, counters, chip, rates.logic)
    _add_decoder(book, counters, chip, rates.logic)
    _add_mac_array(book, counters, chip, rates.logic)
    _add_vector(book, counters, chip, rates.logic)
    _add_sequencer(book, counters, chip, rates)


class ChipRates:
    """The rates of a chip's two tables."""

    def __init__(self, logic: LogicRates, dram: DramRates) -> None:
        self.logic, self.dram = logic, dram


def check_known(counters: Counters) -> None:
    """Raise ConfigError if anything was counted that has no price."""
    for name in counters.counts:
        plain = re.sub(r"^decode\d+_", "decode_", name)
        if not _KNOWN.fullmatch(plain):
            raise ConfigError(f"energy: counter '{name}': must have a price, and has none")
        beats = re.fullmatch(r"vector_(.*)_beats", plain)
        if beats and beats[1] not in VECTOR_OPERATIONS:
            raise ConfigError(f"energy: operation class '{beats[1]}': must have a price")
    priced = {n for reads, writes in _READ_WRITE.values() for n in (*reads, *writes)}
    for name in TRAFFIC_NAMES:
        if name not in priced and name not in _TRAFFIC_ELSEWHERE:
            raise ConfigError(f"energy: traffic '{name}': must have a price, and has none")


def memory_kb(chip: ChipConfig) -> dict[str, float]:
    """Return the size in KB of the memory that one access of each component goes to."""
    array = chip.mac_array
    return {
        "abuf": chip.abuf.capacity_kb / chip.abuf.banks,
        "wbuf": chip.wbuf.slot_weights / BYTES_PER_KB,
        "accumulators": array.accumulators_per_lane * ACCUMULATOR_BYTES / BYTES_PER_KB,
        "weight_store": max(chip.weight_store.capacity_kb, 1),
        "fifo": chip.decoder.stream_fifo_words * chip.decoder.port_bytes / BYTES_PER_KB,
        "queue": array.lane_queue * array.item_columns / BYTES_PER_KB,
    }


def _add_memories(book: Ledger, counters: Counters, chip: ChipConfig, logic: LogicRates) -> None:
    sizes = memory_kb(chip)
    for component, kinds in _READ_WRITE.items():
        rate = logic.sram_bit(sizes[component])
        for name, fields in zip(("read", "write"), kinds, strict=True):
            columns = (layer_figures(counters, field) for field in fields)
            bits = [BITS_PER_BYTE * sum(parts) for parts in zip(*columns, strict=True)]
            book.busy((component, name), "bit", rate, sum(bits), bits)
    book.busy(
        ("weight_store", "read"),
        "bit",
        logic.sram_bit(sizes["weight_store"]),
        BITS_PER_BYTE * counters.counts["store_bytes"],
        layer_figures(counters, "store_read_bytes"),
    )


def _add_decoder(book: Ledger, counters: Counters, chip: ChipConfig, logic: LogicRates) -> None:
    """Every word is written to the FIFO and read from it; a busy unit switches its gates."""
    decoder = chip.decoder
    fifo = logic.sram_bit(memory_kb(chip)["fifo"]).scaled(2 * decoder.port_bits)
    words = sum(
        count for name, count in counters.counts.items() if name.endswith("_words_accepted")
    )
    book.busy(("decoder", "fifo"), "word", fifo, words, layer_figures(counters, "stream_bytes"))
    if decoder.profile == "none":
        return  # raw rows go from the FIFO to the slots: there are no gates to switch
    k_gates = chip.area.kgates_decoder_ans
    if decoder.profile == "bitmap":
        k_gates = chip.area.kgates_decoder_bitmap
    busy = sum(
        classes["busy"] for name, classes in counters.stalls.items() if name.startswith("decode")
    )
    rate = logic.of("logic_kgate_cycle").scaled(k_gates)
    book.busy(("decoder", "logic"), "cycle", rate, busy, layer_figures(counters, "decode_cycles"))


def _add_mac_array(book: Ledger, counters: Counters, chip: ChipConfig, logic: LogicRates) -> None:
    array = chip.mac_array
    done = counters.counts["mac_products_done"]
    products = layer_figures(counters, "products")
    book.busy(("mac_array", "multiply"), "product", logic.of("int8_multiply"), done, products)
    book.busy(("mac_array", "add"), "product", logic.of("int32_add"), done, products)
    broadcast = layer_figures(counters, "abuf_mac_read_bytes")
    queue = logic.sram_bit(memory_kb(chip)["queue"]).scaled(2 * BITS_PER_BYTE)
    queued = [array.lanes * size for size in broadcast]
    book.busy(("mac_array", "queue"), "byte", queue, sum(queued), queued)
    lane_k_gates = array.macs_per_lane * chip.area.kgates_per_mac + chip.area.kgates_per_lane
    clock = logic.of("clock_kgate_cycle").scaled(array.lanes * lane_k_gates)
    busy = counters.stalls["mac"]["busy"]
    book.busy(("mac_array", "clock"), "cycle", clock, busy, layer_figures(counters, "mac_cycles"))


def _add_vector(book: Ledger, counters: Counters, chip: ChipConfig, logic: LogicRates) -> None:
    lanes = chip.vector.lanes
    for name, count in counters.counts.items():
        kind = re.fullmatch(r"vector_(.*)_beats", name)
        if kind is None or not VECTOR_OPERATIONS[kind[1]]:
            continue
        rate = _beat_rate(kind[1], logic).scaled(lanes)
        book.busy(("vector", kind[1]), "beat", rate, count, vector_beats(counters, kind[1]))
    clock = logic.of("clock_kgate_cycle").scaled(lanes * chip.area.kgates_vector_lane)
    busy = counters.stalls["vector"]["busy"]
    book.busy(("vector", "clock"), "cycle", clock, busy, layer_figures(counters, "vector_cycles"))


def _beat_rate(kind: str, logic: LogicRates) -> Rate:
    """Return what one lane costs in one beat of a class."""
    parts: list[Rate] = []
    for operation, times in VECTOR_OPERATIONS[kind].items():
        one = (
            logic.sram_bit(LANE_TABLE_KB).scaled(2 * BITS_PER_BYTE)
            if operation == "table"
            else logic.of(operation)
        )
        parts.append(one.scaled(times))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def _add_sequencer(book: Ledger, counters: Counters, chip: ChipConfig, rates: ChipRates) -> None:
    """Sequencer and DMA engines are clocked in every busy cycle; commands come from host memory."""
    k_gates = chip.area.kgates_sequencer + DMA_ENGINES * chip.area.kgates_dma_channel
    spans = layer_figures(counters, "span_cycles")
    rate = rates.logic.of("logic_kgate_cycle").scaled(k_gates)
    book.busy(("sequencer", "logic"), "cycle", rate, counters.cycles, spans)
    commands = layer_figures(counters, "commands")
    fetch = rates.dram.energy("stream").scaled(BITS_PER_BYTE * chip.energy.command_bytes)
    book.busy(("sequencer", "command_fetch"), "command", fetch, sum(commands), commands)
