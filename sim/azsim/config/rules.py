"""Rules between keys: each is a function whose docstring is the rule as the manual prints it.

A rule returns None, or the broken rule with the keys concerned, first the one that its text speaks
about.
"""

from __future__ import annotations

from collections.abc import Callable

from azsim.config._broken_rule import BrokenRule
from azsim.config.schema import ChipKeys, Dma, LeakageRange

Rule = Callable[[ChipKeys], BrokenRule | None]


def _burst_covers_access(section: str, dma: Dma, chip: ChipKeys) -> BrokenRule | None:
    if dma.burst_bytes >= chip.memory.access_bytes:
        return None
    return BrokenRule(
        (f"{section}.burst_bytes", "memory.access_bytes"),
        f"must be at least memory.access_bytes ({chip.memory.access_bytes}), not {dma.burst_bytes}",
    )


def dma_w_burst_covers_access(chip: ChipKeys) -> BrokenRule | None:
    """`dma_w.burst_bytes` must be at least `memory.access_bytes`."""
    return _burst_covers_access("dma_w", chip.dma_w, chip)


def dma_a_burst_covers_access(chip: ChipKeys) -> BrokenRule | None:
    """`dma_a.burst_bytes` must be at least `memory.access_bytes`."""
    return _burst_covers_access("dma_a", chip.dma_a, chip)


def lpddr_section_present(chip: ChipKeys) -> BrokenRule | None:
    """`memory.lpddr` must be present if `memory.model` is `lpddr`."""
    if chip.memory.model != "lpddr" or chip.memory.lpddr is not None:
        return None
    return BrokenRule(
        ("memory.model", "memory.lpddr"), "must be simple where the section memory.lpddr is absent"
    )


def accesses_are_bursts(chip: ChipKeys) -> BrokenRule | None:
    """`memory.access_bytes` must be one burst of a channel if `memory.model` is `lpddr`."""
    lpddr = chip.memory.lpddr
    if chip.memory.model != "lpddr" or lpddr is None:
        return None
    if chip.memory.access_bytes == lpddr.burst_bytes:
        return None
    return BrokenRule(
        ("memory.access_bytes", "memory.lpddr.part", "memory.lpddr.devices_per_channel"),
        f"must be one burst of memory.lpddr ({lpddr.burst_bytes} bytes), "
        f"not {chip.memory.access_bytes}",
    )


def lpddr_holds_capacity(chip: ChipKeys) -> BrokenRule | None:
    """`memory.capacity_mb` must be at most what the devices hold if `memory.model` is `lpddr`."""
    lpddr = chip.memory.lpddr
    if chip.memory.model != "lpddr" or lpddr is None:
        return None
    if chip.memory.capacity_bytes <= lpddr.capacity_bytes:
        return None
    return BrokenRule(
        ("memory.capacity_mb", "memory.lpddr.part", "memory.lpddr.channels"),
        f"must be at most what memory.lpddr holds ({lpddr.capacity_bytes // 2**20} MB), "
        f"not {chip.memory.capacity_mb}",
    )


def fifo_holds_burst(chip: ChipKeys) -> BrokenRule | None:
    """`decoder.stream_fifo_words` port words must hold `dma_w.burst_bytes` and one port word more.

    DMA-W asks for a burst only when the FIFO has credit for all of it, and realigns it by up to one
    word.
    """
    port_bytes = chip.decoder.port_bytes
    need_bytes = chip.dma_w.burst_bytes + port_bytes
    have_bytes = chip.decoder.stream_fifo_words * port_bytes
    if have_bytes >= need_bytes:
        return None
    return BrokenRule(
        ("decoder.stream_fifo_words", "dma_w.burst_bytes", "decoder.port_bits"),
        f"must hold dma_w.burst_bytes ({chip.dma_w.burst_bytes}) "
        f"and one port word ({port_bytes} bytes): {need_bytes} bytes, not {have_bytes}",
    )


def slot_for_every_unit(chip: ChipKeys) -> BrokenRule | None:
    """`wbuf.tile_slots` must be at least `decoder.units`: every unit can hold a reserved slot."""
    if chip.wbuf.tile_slots >= chip.decoder.units:
        return None
    return BrokenRule(
        ("wbuf.tile_slots", "decoder.units"),
        f"must be at least decoder.units ({chip.decoder.units}), not {chip.wbuf.tile_slots}",
    )


def slot_divides_into_lanes(chip: ChipKeys) -> BrokenRule | None:
    """`wbuf.slot_weights` must be a multiple of `mac_array.lanes`: tile rows are equally long."""
    if chip.wbuf.slot_weights % chip.mac_array.lanes == 0:
        return None
    return BrokenRule(
        ("wbuf.slot_weights", "mac_array.lanes"),
        f"must be a multiple of mac_array.lanes ({chip.mac_array.lanes}), "
        f"not {chip.wbuf.slot_weights}",
    )


def abuf_divides_into_banks(chip: ChipKeys) -> BrokenRule | None:
    """`abuf.capacity_kb` must be a whole number of rows of `abuf.banks` x `abuf.bank_bytes`."""
    row_bytes = chip.abuf.banks * chip.abuf.bank_bytes
    if chip.abuf.capacity_bytes % row_bytes == 0:
        return None
    return BrokenRule(
        ("abuf.capacity_kb", "abuf.banks", "abuf.bank_bytes"),
        f"must be a multiple of abuf.banks x abuf.bank_bytes ({row_bytes} bytes), "
        f"not {chip.abuf.capacity_bytes} bytes",
    )


def _in_its_range(key: str, leakage: LeakageRange) -> BrokenRule | None:
    if leakage.low <= leakage.nominal <= leakage.high:
        return None
    return BrokenRule(
        (f"{key}.nominal", f"{key}.low", f"{key}.high"),
        f"must be from low ({leakage.low}) to high ({leakage.high}), not {leakage.nominal}",
    )


def sram_leakage_in_its_range(chip: ChipKeys) -> BrokenRule | None:
    """`energy.sram_leakage_uw_per_kb.nominal` must be from its `low` to its `high`."""
    return _in_its_range("energy.sram_leakage_uw_per_kb", chip.energy.sram_leakage_uw_per_kb)


def logic_leakage_in_its_range(chip: ChipKeys) -> BrokenRule | None:
    """`energy.logic_leakage_uw_per_kgate.nominal` must be from its `low` to its `high`."""
    key = "energy.logic_leakage_uw_per_kgate"
    return _in_its_range(key, chip.energy.logic_leakage_uw_per_kgate)


RULES: tuple[Rule, ...] = (
    dma_w_burst_covers_access,
    dma_a_burst_covers_access,
    lpddr_section_present,
    accesses_are_bursts,
    lpddr_holds_capacity,
    fifo_holds_burst,
    slot_for_every_unit,
    slot_divides_into_lanes,
    abuf_divides_into_banks,
    sram_leakage_in_its_range,
    logic_leakage_in_its_range,
)


def check_rules(chip: ChipKeys) -> BrokenRule | None:
    """Return the first broken rule of `chip`, or None."""
    for rule in RULES:
        broken = rule(chip)
        if broken is not None:
            return broken
    return None
