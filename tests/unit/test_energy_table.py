"""Energy tables: what loads, what is refused and how, and what a row becomes at another node."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import yaml

from azsim.config import chip_names, load_chip
from azsim.energy import DramRates, LogicRates, load_rates, load_table, parse_table, table_names
from azsim.energy.amounts import AJ_PER_PJ, Amount
from azsim.errors import ConfigError

pytestmark = pytest.mark.small

FOLDER = Path(__file__).parents[2] / "hw_configs" / "energy"
CPU = """\
name: mine
description: one row
kind: cpu
nodes: {}
rows:
  mac:
    quantity: int8_mac
    value: 25.0
    low: 15
    high: 40.0
    unit: pJ
    node_nm: 16
    voltage_mv: 800
    source: a page
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_table(text, "mine.yaml")
    return str(caught.value)


def test_the_shipped_tables_are_the_files_and_every_chip_finds_its_own() -> None:
    assert table_names() == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert all(load_table(name).name == name for name in table_names())
    for name in chip_names():
        load_rates(load_chip(name))


def test_every_row_has_a_source_that_says_how_sure_it_is() -> None:
    for name in table_names():
        for row in load_table(name).rows.values():
            assert re.match(r"(\[[SMC]\]|E\b)", row.source), row.source


@pytest.mark.parametrize(
    "key", ["unit", "source", "node_nm", "voltage_mv", "low", "high", "value", "quantity"]
)
def test_a_row_without_one_of_its_parts_is_refused_by_file_line_and_name(key: str) -> None:
    text = re.sub(rf"    {key}: .*\n", "", CPU)
    assert refusal(text) == f"mine.yaml:6: rows.mac.{key}: must be present"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: pJ", "unit: nJ", "mine.yaml:11: rows.mac.unit: must be pJ for int8_mac, not 'nJ'"),
        ("unit: pJ", "unit:", "mine.yaml:11: rows.mac.unit: must be text, not None"),
        ("source: a page", "source: ' '",
         "mine.yaml:14: rows.mac.source: must be one line of printable text, not ' '"),
        ("source: a page", "source: ''",
         "mine.yaml:14: rows.mac.source: must have at least 1 characters, not ''"),
        ("value: 25.0", "value: 0", "mine.yaml:8: rows.mac.value: must be above 0.0, not 0"),
        ("value: 25.0", "value: .inf",
         "mine.yaml:8: rows.mac.value: must be a finite number, not inf"),
        ("value: 25.0", "value: 41",
         "mine.yaml:8: rows.mac.value: must be from low (15) to high (40), not 41"),
        ("quantity: int8_mac", "quantity: mac",
         "mine.yaml:7: rows.mac.quantity: must be one of int8_mac, not 'mac'"),
        ("unit: pJ", "units: pJ",
         "mine.yaml:11: rows.mac.units: unknown key (did you mean 'unit'?)"),
        ("kind: cpu", "kind: gpu", "mine.yaml:3: kind: must be logic, dram or cpu, not 'gpu'"),
        ("kind: cpu", "kind: dram",
         "mine.yaml:7: rows.mac.quantity: must be one of stream, read_core, read_io, write_core, "
         "write_io, activate_precharge, refresh_all_bank, refresh_mean, standby_active, "
         "standby_precharged, power_down, self_refresh, not 'int8_mac'"),
        ("    source", "    size_kb: 8\n    source",
         "mine.yaml:14: rows.mac.size_kb: must be present with sram_access, and with no other "
         "quantity"),
    ],
)  # fmt: skip
def test_what_a_row_must_be(old: str, new: str, message: str) -> None:
    assert refusal(CPU.replace(old, new, 1)) == message


def test_a_quantity_has_one_row_per_point_and_none_is_missing() -> None:
    twice = CPU + CPU.partition("rows:\n")[2].replace("  mac:", "  again:")
    assert refusal(twice) == "mine.yaml:15: rows.again: must not repeat the point of mac"
    tree = yaml.safe_load((FOLDER / "lpddr4.yaml").read_text(encoding="utf-8"))
    del tree["rows"]["lpddr4_refresh_mean"]
    text = refusal(yaml.safe_dump(tree, sort_keys=False))
    assert re.fullmatch(r"mine.yaml:\d+: rows: must have a row of quantity refresh_mean", text)


def test_tables_are_found_by_name_or_path_and_must_be_of_their_kind(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(CPU, encoding="utf-8")
    assert load_table(tmp_path / "mine.yaml", "cpu").name == "mine"
    with pytest.raises(ConfigError, match=r"mine.yaml: kind: must be dram, not cpu$"):
        load_table(str(tmp_path / "mine.yaml"), "dram")
    with pytest.raises(ConfigError, match=r"^energy table 'cmoss': .*did you mean 'cmos'\?\)$"):
        load_table("cmoss")
    with pytest.raises(ConfigError, match=r"^/dev/zero: must be a regular file$"):
        load_table("/dev/zero")


def test_a_chip_whose_node_the_table_lacks_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_rates(load_chip("az1", ["energy.node_nm=12"]))
    assert str(caught.value) == (
        "energy.node_nm: must be a node of the table cmos "
        "(7, 10, 14, 16, 20, 32, 45, 65, 90, 130), not 12"
    )


def test_at_a_row_s_own_node_and_voltage_it_is_taken_as_it_is() -> None:
    table = load_table("cmos")
    assert LogicRates(table, 45, 900).of("int8_multiply").aj == Amount(*[200_000] * 3)
    assert LogicRates(table, 45, 900).sram_bit(32).aj == Amount(*[312_500] * 3)  # 20 pJ / 64


def test_two_laws_by_hand_from_45_nm_to_16_nm() -> None:
    """0.2 pJ at 45 nm and 0.9 V, 0.07 pJ at 7 nm and 0.7 V, to 16 nm at 0.8 V."""
    switching = 0.2 * (0.2958 * 0.64 - 0.1241 * 0.8 + 0.03024) / (1.103 * 0.81 - 0.3258 + 0.2767)
    share = math.log(16 / 45) / math.log(7 / 45)
    points = 0.2 * 0.35**share * (0.8 / (0.9 * (7 / 9) ** share)) ** 2
    aj = LogicRates(load_table("cmos"), 16, 800).of("int8_multiply").aj
    assert aj.low == round(switching * AJ_PER_PJ)
    assert aj.high == round(points * AJ_PER_PJ)
    assert aj.nominal == round(math.sqrt(switching * points) * AJ_PER_PJ)
    assert 3 < aj.high / aj.low < 5  # the laws disagree, and the range says so


def test_memories_between_the_sizes_of_the_table() -> None:
    logic = LogicRates(load_table("cmos"), 45, 900)
    bits = [logic.sram_bit(size).aj.nominal for size in (1, 8, 16, 32, 256, 1024, 4096)]
    assert bits == sorted(bits)
    assert bits[2] == round(math.sqrt(10 * 20) / 64 * AJ_PER_PJ)  # 16 KB is half-way in powers


def test_a_milliwatt_is_a_femtojoule_per_picosecond() -> None:
    rate = DramRates(load_table("lpddr4")).power("standby_active")
    assert rate.aj == Amount(37_000, 30_000, 46_000)
    assert rate.rows == ("lpddr4_standby_active",)
