"""The shipped chips, what a chip file must state, rules between keys, equality and hashes."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from azsim.config import ChipConfig, chip_names, chip_to_yaml, load_chip, parse_chip
from azsim.config.load import schema_keys
from azsim.errors import ConfigError

pytestmark = pytest.mark.small

FOLDER = Path(__file__).parents[2] / "hw_configs"


def test_the_shipped_chips_are_the_files_of_hw_configs() -> None:
    assert chip_names() == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert {"az1", "tiny"} <= set(chip_names())


@pytest.mark.parametrize("name", chip_names())
class TestShippedChip:
    def test_it_loads_under_its_name(self, name: str) -> None:
        assert load_chip(name).name == name

    def test_it_opens_by_saying_what_it_models_and_that_az_numbers_are_assumed(
        self, name: str
    ) -> None:
        comment = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\nname:")[0]
        assert all(line.startswith("#") for line in comment.splitlines())
        assert comment.startswith(f"# {name}: ")
        if load_chip(name).status == "assumed":
            assert "never been published" in " ".join(re.split(r"[\s#]+", comment))

    def test_every_key_must_be_stated(self, name: str) -> None:
        tree = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        for path, _ in schema_keys():
            poorer = copy.deepcopy(tree)
            section: Any = poorer
            for part in path[:-1]:
                section = section[part]
            del section[path[-1]]
            with pytest.raises(ConfigError) as caught:
                parse_chip(yaml.safe_dump(poorer), "f.yaml")
            assert str(caught.value) == f"f.yaml: {'.'.join(path)}: must be present"

    def test_written_out_and_read_back_it_is_equal(self, name: str) -> None:
        chip = load_chip(name)
        again = parse_chip(chip_to_yaml(chip), "again.yaml")
        assert again == chip
        assert again.config_hash() == chip.config_hash()


def test_every_key_says_what_it_means() -> None:
    sections = {
        "core",
        "sequencer",
        "memory",
        "decoder",
        "weight_store",
        "wbuf",
        "mac_array",
        "vector",
        "abuf",
        "area",
        "energy",
    }
    for path, info in schema_keys():
        text = (
            info.description
            if path[0] not in sections or len(path) > 1
            else info.annotation.__doc__
        )
        assert text, path
        assert text.endswith("."), path


def test_times_sizes_and_rates_carry_their_unit_in_the_name() -> None:
    counts = {
        "queue_depth", "semaphores", "semaphore_max", "program_commands", "outstanding_bursts",
        "units", "stream_fifo_words", "table_slots", "tile_slots", "slot_weights", "lanes",
        "macs_per_lane", "item_columns", "item_rows_per_lane", "lane_queue",
        "accumulators_per_lane", "products_per_mac", "banks", "ports_per_bank", "dram_channels",
    }  # fmt: skip
    unit = re.compile(r"(^|_)(mhz|mb|kb|bytes|bits|cycles?|kgates|nm|mv|uw|percent)($|_)")
    numbers = [path for path, info in schema_keys() if info.annotation in (int, float)]
    assert len(numbers) > 40
    # `low` of a section whose name has the unit is fine
    unitless = [path for path in numbers if not unit.search("_".join(path[1:]))]
    assert [path for path in unitless if path[-1] not in counts] == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dma_w.burst_bytes=8", "memory.access_bytes=16"],
            "override 'dma_w.burst_bytes=8': dma_w.burst_bytes: "
            "must be at least memory.access_bytes (16), not 8",
        ),
        (
            ["memory.access_bytes=32"],
            "override 'memory.access_bytes=32': dma_w.burst_bytes: "
            "must be at least memory.access_bytes (32), not 16",
        ),
        (
            ["dma_a.burst_bytes=8", "memory.access_bytes=16"],
            "override 'dma_a.burst_bytes=8': dma_a.burst_bytes: "
            "must be at least memory.access_bytes (16), not 8",
        ),
        (
            ["decoder.stream_fifo_words=2"],
            "override 'decoder.stream_fifo_words=2': decoder.stream_fifo_words: must hold "
            "dma_w.burst_bytes (16) and one port word (8 bytes): 24 bytes, not 16",
        ),
        (
            ["decoder.units=5"],
            "override 'decoder.units=5': wbuf.tile_slots: "
            "must be at least decoder.units (5), not 4",
        ),
        (
            ["mac_array.lanes=3"],
            "override 'mac_array.lanes=3': wbuf.slot_weights: "
            "must be a multiple of mac_array.lanes (3), not 512",
        ),
        (
            ["abuf.banks=1024", "abuf.bank_bytes=1024"],
            "override 'abuf.banks=1024': abuf.capacity_kb: must be a multiple of "
            "abuf.banks x abuf.bank_bytes (1048576 bytes), not 16384 bytes",
        ),
    ],
)
def test_a_broken_rule_names_both_keys(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("tiny", overrides)
    assert str(caught.value) == message


def test_a_broken_rule_in_a_file_is_named_with_its_line() -> None:
    text = (
        (FOLDER / "tiny.yaml").read_text(encoding="utf-8").replace("tile_slots: 4", "tile_slots: 1")
    )
    line = 1 + text[: text.index("tile_slots: 1")].count("\n")
    with pytest.raises(ConfigError) as caught:
        parse_chip(text, "bad.yaml")
    assert str(caught.value) == (
        f"bad.yaml:{line}: wbuf.tile_slots: must be at least decoder.units (2), not 1"
    )


@pytest.mark.parametrize(
    "override",
    [
        "decoder.stream_fifo_words=3",
        "decoder.units=4",
        "memory.access_bytes=16",
        "abuf.capacity_kb=1",
    ],
)
def test_a_rule_holds_up_to_its_limit(override: str) -> None:
    assert load_chip("tiny", [override]) != load_chip("tiny")


def test_a_chip_cannot_be_changed(tiny: ChipConfig) -> None:
    with pytest.raises(ValidationError):
        tiny.core.clock_mhz = 3  # type: ignore[misc]
    table: Any = tiny.mac_array.products_per_mac
    for change in (
        lambda: table.update({4: 2}),
        lambda: table.__setitem__(4, 2),
        lambda: table.pop(8),
        lambda: table.clear(),
    ):
        with pytest.raises(
            TypeError, match=r"^a chip's table cannot be changed: load the chip with an override$"
        ):
            change()
    assert dict(table) == {8: 1}


def test_a_chip_can_be_a_key_and_travel_between_processes(tiny: ChipConfig) -> None:
    again = pickle.loads(pickle.dumps(tiny))
    assert again == tiny
    assert hash(again) == hash(tiny)
    assert copy.deepcopy(tiny) == tiny
    assert {tiny: 1}[again] == 1


def test_the_hash_depends_on_every_value_and_on_nothing_else(tiny: ChipConfig) -> None:
    assert re.fullmatch("[0-9a-f]{16}", tiny.config_hash())
    reordered = yaml.safe_dump(tiny.model_dump(), sort_keys=True)
    assert parse_chip(reordered, "r.yaml").config_hash() == tiny.config_hash()
    changed = {
        load_chip("tiny", [override]).config_hash()
        for override in (
            "core.clock_mhz=1",
            "vector.ops.lut.interval_cycles=2",
            "area.kgates_per_mac=0.25",
        )
    }
    assert len(changed | {tiny.config_hash()}) == 4


def test_products_per_cycle_takes_the_smallest_listed_width_that_fits() -> None:
    array = load_chip(
        "tiny", ["mac_array.products_per_mac.4=2", "mac_array.products_per_mac.2=3"]
    ).mac_array
    assert [array.products_per_cycle(bits) for bits in range(1, 9)] == [6, 6, 4, 4, 2, 2, 2, 2]
    for bits in (0, 9):
        with pytest.raises(ValueError, match=rf"^weight_bits must be 1 to 8, not {bits}$"):
            array.products_per_cycle(bits)


def test_sizes_in_bytes(tiny: ChipConfig) -> None:
    assert tiny.memory.capacity_bytes == 16_777_216
    assert tiny.weight_store.capacity_bytes == 4096
    assert tiny.abuf.capacity_bytes == 16_384
    assert tiny.decoder.port_bytes == 8


def test_later_operation_classes_may_be_missing_and_the_first_seven_may_not() -> None:
    tree = yaml.safe_load(chip_to_yaml(load_chip("tiny")))
    del tree["vector"]["ops"]["norm"]
    found = parse_chip(yaml.safe_dump(tree), "mine.yaml")
    assert "norm" not in found.vector.ops
    assert "gru_cell" in found.vector.ops
    del tree["vector"]["ops"]["lut"]
    with pytest.raises(ConfigError, match=r"^mine\.yaml: vector\.ops\.lut: must be present$"):
        parse_chip(yaml.safe_dump(tree), "mine.yaml")


def test_commands_name_semaphores_in_eight_bits() -> None:
    assert load_chip("tiny", ["sequencer.semaphores=256"]).sequencer.semaphores == 256
    message = (
        "override 'sequencer.semaphores=257': sequencer.semaphores: must be at most 256, not 257"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load_chip("tiny", ["sequencer.semaphores=257"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "memory.access_bytes=64",
            "memory.access_bytes: must be one burst of memory.lpddr (32 bytes), not 64",
        ),
        (
            "memory.lpddr.devices_per_channel=2",
            "memory.access_bytes: must be one burst of memory.lpddr (64 bytes), not 32",
        ),
        (
            "memory.capacity_mb=1025",
            "memory.capacity_mb: must be at most what memory.lpddr holds (1024 MB), not 1025",
        ),
        ("memory.lpddr.part=3", "memory.lpddr.part: must be the name or the path of a memory part, "
         "not 3"),
        ("memory.lpddr.window=3",
         "memory.lpddr.window: unknown key (did you mean 'window_bursts'?)"),
        ("memory.lpddr.bank_xor_row=1", "memory.lpddr.bank_xor_row: must be true or false, not 1"),
        (
            "memory.lpddr.mapping=row-bank",
            "memory.lpddr.mapping: must be an order of row, bank, group, column, channel, "
            "not 'row-bank'",
        ),
    ],
)  # fmt: skip
def test_an_lpddr_section_fits_its_part(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("az1", [override])
    assert str(caught.value) == f"override '{override}': {message}"


def test_a_chip_without_lpddr_section_has_another_memory() -> None:
    with pytest.raises(ConfigError) as caught:
        load_chip("tiny", ["memory.model=lpddr"])
    assert str(caught.value) == (
        "override 'memory.model=lpddr': memory.model: "
        "must be simple where the section memory.lpddr is absent"
    )


def test_a_part_file_lies_beside_the_chip_file(tmp_path: Path) -> None:
    part = (FOLDER / "memory" / "lpddr4_3200.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(part.replace("clock_ps: 625", "clock_ps: 1250"))
    chip = chip_to_yaml(load_chip("az1")).replace("part: lpddr4_3200", "part: mine.yaml")
    (tmp_path / "chip.yaml").write_text(chip, encoding="utf-8")
    slower = load_chip(tmp_path / "chip.yaml")
    assert slower.memory_peak == (32, 5)
    assert load_chip("az1").memory_peak == (64, 5)
    assert load_chip("az1", ["memory.model=simple"]).memory_peak == (64, 5)
    assert slower.config_hash() != load_chip("az1").config_hash()
    # Another part than the shipped one of its name is written out with all its rows.
    assert parse_chip(chip_to_yaml(slower), "again.yaml") == slower
    (tmp_path / "mine.yaml").write_text(part.replace("clocks: 68", "clocks: 98"))
    with pytest.raises(ConfigError) as caught:
        load_chip(tmp_path / "chip.yaml")
    where, _, text = str(caught.value).partition(": ")
    assert re.fullmatch(rf"{tmp_path}/mine\.yaml:\d+", where)
    assert text == "constraints.tRAS.clocks: must be at most tRC (97), not 98"
