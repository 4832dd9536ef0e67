"""What the compiler reads of a chip is noted, whichever way it reads."""

from __future__ import annotations

import pytest

from azsim.compiler.reads import WHOLE, read_values, recorded_chip
from azsim.config import ChipConfig, override_chip

pytestmark = pytest.mark.small


def test_keys_properties_and_methods_are_noted(tiny: ChipConfig) -> None:
    chip, reads = recorded_chip(tiny)
    assert chip.name == "tiny"
    assert chip.config_hash() == tiny.config_hash()
    section = chip.mac_array  # looking at a section is no read yet
    assert reads == {}
    assert section.lanes == tiny.mac_array.lanes
    assert chip.abuf.capacity_bytes == tiny.abuf.capacity_bytes
    assert section.products_per_cycle(8) == tiny.mac_array.products_per_cycle(8)
    assert set(reads) == {
        "mac_array.lanes", "abuf.capacity_kb", "mac_array.macs_per_lane",
        "mac_array.products_per_mac",
    }  # fmt: skip


def test_a_look_at_the_whole_chip_is_noted_as_that(tiny: ChipConfig) -> None:
    chip, reads = recorded_chip(tiny)
    assert chip.model_dump() == tiny.model_dump()
    assert set(reads) == {WHOLE}
    other = override_chip(tiny, ["core.clock_mhz=7"])
    assert read_values(tiny, (WHOLE,)) != read_values(other, (WHOLE,))


def test_values_of_another_chip(tiny: ChipConfig) -> None:
    names = ("core.clock_mhz", "mac_array.products_per_mac")
    assert read_values(tiny, names) == {
        "core.clock_mhz": tiny.core.clock_mhz,
        "mac_array.products_per_mac": {"8": 1},  # as JSON has it
    }
    assert read_values(tiny, ("vector.ops",)) is not None
    assert read_values(tiny, ("memory.banks.rows",)) is None
    assert read_values(tiny, ("core.nothing",)) is None
