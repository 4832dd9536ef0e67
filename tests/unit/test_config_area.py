"""The area proxy against sums made by hand."""

from __future__ import annotations

import pytest

from azsim.config import ChipConfig, area_proxy, chip_names, load_chip

pytestmark = pytest.mark.small


def test_az1_by_hand(az1: ChipConfig) -> None:
    rows = {row.block: (row.k_gates, row.sram_kb) for row in area_proxy(az1).rows}
    assert rows == {
        "sequencer": (20.0, 0.0),
        "dma": (16.0, 0.0),
        "decoder": (64.0, 3.5),  # FIFOs 2 x 64 x 16 B = 2 KB, tables 2 x 4 x 192 B = 1.5 KB
        "weight_store": (0.0, 1024.0),
        "wbuf": (0.0, 288.0),  # 16 slots x 16384 weights x 9 bits
        "mac_array": (48.0, 8.0),  # 8 x (8 x 0.5 + 2); 8 x 256 x 4 B
        "vector": (96.0, 0.0),
        "abuf": (0.0, 256.0),
    }


@pytest.mark.parametrize("name", chip_names())
def test_the_totals_are_the_sums_of_the_rows(name: str) -> None:
    area = area_proxy(load_chip(name))
    assert area.k_gates == pytest.approx(sum(row.k_gates for row in area.rows))
    assert area.sram_kb == pytest.approx(sum(row.sram_kb for row in area.rows))
    assert all(row.formula for row in area.rows)


def test_a_chip_without_decoder_has_no_decoder_gates_and_no_tables(az1: ChipConfig) -> None:
    chip = load_chip("az1", ["decoder.profile=none"])
    saved = area_proxy(az1).k_gates - area_proxy(chip).k_gates
    assert saved == pytest.approx(64.0)
    assert area_proxy(az1).sram_kb - area_proxy(chip).sram_kb == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("override", "k_gates", "sram_kb"),
    [
        ("mac_array.lanes=16", 48.0, 8.0),
        ("mac_array.macs_per_lane=16", 32.0, 0.0),
        ("mac_array.accumulators_per_lane=512", 0.0, 8.0),
        ("vector.lanes=17", 6.0, 0.0),
        ("wbuf.tile_slots=17", 0.0, 18.0),
        ("decoder.units=3", 32.0, 1.75),
        ("decoder.profile=ans", 126.0, 0.0),
        ("abuf.capacity_kb=512", 0.0, 256.0),
        ("weight_store.capacity_kb=0", 0.0, -1024.0),
    ],
)
def test_more_of_a_part_adds_its_share(
    az1: ChipConfig, override: str, k_gates: float, sram_kb: float
) -> None:
    before, after = area_proxy(az1), area_proxy(load_chip("az1", [override]))
    assert after.k_gates - before.k_gates == pytest.approx(k_gates)
    assert after.sram_kb - before.sram_kb == pytest.approx(sram_kb)
