"""Chip files that must be refused, each in one whole line; and overrides."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azsim.config import load_chip, override_chip, parse_chip
from azsim.config._yaml import MAX_FILE_BYTES
from azsim.errors import ConfigError

pytestmark = pytest.mark.small

TINY = (Path(__file__).parents[2] / "hw_configs" / "tiny.yaml").read_text(encoding="utf-8")


def refusal(text: str, overrides: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_chip(text, "bad.yaml", overrides or [])
    return str(caught.value)


def outcome(text: str) -> str:
    try:
        return parse_chip(text, "bad.yaml").name
    except ConfigError as error:
        return str(error)


def line_of(text: str, key: str) -> int:
    return 1 + next(i for i, line in enumerate(text.splitlines()) if line.strip().startswith(key))


def test_an_unknown_key_is_named_with_line_and_nearest_key() -> None:
    text = TINY.replace("lane_queue: 2", "lane_que: 2")
    assert refusal(text) == (
        f"bad.yaml:{line_of(text, 'lane_que')}: mac_array.lane_que: unknown key "
        "(did you mean 'lane_queue'?)"
    )


def test_a_key_in_the_wrong_section_is_led_to_the_right_one() -> None:
    text = TINY.replace("core:\n", "core:\n  tile_slots: 3\n")
    assert refusal(text) == (
        f"bad.yaml:{line_of(text, 'tile_slots')}: core.tile_slots: unknown key "
        "(did you mean 'wbuf.tile_slots'?)"
    )


def test_an_unknown_key_that_resembles_nothing_gets_no_hint() -> None:
    assert refusal("zzz: 1\n" + TINY) == "bad.yaml:1: zzz: unknown key"


def test_a_missing_key_is_named() -> None:
    text = re.sub(r"\n  lane_queue: 2", "", TINY)
    assert refusal(text) == "bad.yaml: mac_array.lane_queue: must be present"


def test_a_missing_section_is_named() -> None:
    text = TINY.replace("core:\n  clock_mhz: 100\n", "")
    assert refusal(text) == "bad.yaml: core: must be present"


def test_a_missing_operation_class_is_named() -> None:
    text = re.sub(r"\n    softmax: .*", "", TINY)
    assert refusal(text) == "bad.yaml: vector.ops.softmax: must be present"


def test_a_duplicate_key_is_refused() -> None:
    text = TINY.replace("  lane_queue: 2\n", "  lane_queue: 2\n  lane_queue: 3\n")
    line = line_of(text, "lane_queue")
    assert refusal(text) == (
        f"bad.yaml:{line + 1}: mac_array.lane_queue: must be given once, "
        f"and stands on line {line} too"
    )


@pytest.mark.parametrize(
    ("key", "value", "must"),
    [
        ("clock_mhz", "0", "core.clock_mhz: must be at least 1, not 0"),
        ("clock_mhz", "10001", "core.clock_mhz: must be at most 10000, not 10001"),
        ("clock_mhz", "100.0", "core.clock_mhz: must be an integer, not 100.0"),
        ("clock_mhz", "yes", "core.clock_mhz: must be an integer, not True"),
        ("clock_mhz", "fast", "core.clock_mhz: must be an integer, not 'fast'"),
        ("clock_mhz", "", "core.clock_mhz: must be an integer, not None"),
        ("clock_mhz", "[1]", "core.clock_mhz: must be an integer, not a list"),
        ("clock_mhz", "{a: 1}", "core.clock_mhz: must be an integer, not a mapping"),
        ("access_bytes", "24", "memory.access_bytes: must be a power of two, not 24"),
        ("slot_weights", "500", "wbuf.slot_weights: must be a multiple of 256, not 500"),
        ("port_bits", "32", "decoder.port_bits: must be 64 or 128, not 32"),
        ("profile", "zip", "decoder.profile: must be none, bitmap or ans, not 'zip'"),
        ("skip", "all", "mac_array.skip: must be none, weight, activation or both, not 'all'"),
        ("kgates_per_mac", ".nan", "area.kgates_per_mac: must be a finite number, not nan"),
        ("kgates_per_mac", "big", "area.kgates_per_mac: must be a number, not 'big'"),
        (
            "products_per_mac",
            "{4: 2}",
            "mac_array.products_per_mac: must list the weight width 8, not a mapping",
        ),
        (
            "name",
            "Tiny",
            "name: must have only lower-case letters, digits and underscores, not 'Tiny'",
        ),
        ("name", '""', "name: must have at least 1 characters, not ''"),
        ("name", "7", "name: must be text, not 7"),
        ("description", '"a\\nb"', "description: must be one line of printable text, not 'a\\nb'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(key: str, value: str, must: str) -> None:
    text = re.sub(rf"(?m)^( *{key}:).*$", lambda match: f"{match[1]} {value}", TINY, count=1)
    assert refusal(text) == f"bad.yaml:{line_of(text, key + ':')}: {must}"


def test_a_section_must_be_a_mapping() -> None:
    text = TINY.replace("core:\n  clock_mhz: 100\n", "core: 100\n")
    line = line_of(text, "core")
    assert refusal(text) == f"bad.yaml:{line}: core: must be a mapping, not 100"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml: must be a mapping of sections"),
        ("- 1\n", "bad.yaml: must be a mapping of sections"),
        ("hello", "bad.yaml: must be a mapping of sections"),
        ("a: &x 1\nb: *x\n", "bad.yaml:1: must be plain data, without anchors or aliases"),
        ("a: 1\nb: *x\n", "bad.yaml:2: must be plain data, without anchors or aliases"),
        ("a: !!python/object:os.system x\n", "bad.yaml:1: must be plain data, without tags"),
        ("a: 1\n---\nb: 2\n", "bad.yaml:2: must be one YAML document, not several"),
        ("? [1]\n: 2\n", "bad.yaml:1: must have plain keys, not a collection as a key"),
        ("[" * 100_000, "bad.yaml:1: must be nested at most 8 deep"),
        ("{" * 100_000, "bad.yaml:1: must be nested at most 8 deep"),
        ("a: " + "9" * 900, "bad.yaml:1: a: unknown key"),
        ("core: " + "1:" * 400 + "1", "bad.yaml: name: must be present"),
        ("a: " + "9" * 5000, "bad.yaml:1: must have values of at most 1000 characters"),
        ("<<: {a: 1}\n", "bad.yaml:1: <<: unknown key"),
        ("true: 1\n", "bad.yaml:1: true: unknown key"),
        ("1: 1\n", "bad.yaml:1: 1: unknown key"),
        ('"a\\nb": 1\n', "bad.yaml:1: a\\nb: unknown key"),
    ],
)
def test_hostile_text_is_refused_in_one_line(text: str, message: str) -> None:
    assert refusal(text) == message


def test_text_that_is_not_yaml_is_refused_with_its_line() -> None:
    assert re.match(r"^bad\.yaml:2: must be YAML: [^\n]+$", refusal("a: 1\nb: ]\n"))
    assert re.match(r"^bad\.yaml: must be YAML: [^\n]+$", refusal("a: \x00\n"))


def test_a_thousand_aliases_cost_nothing() -> None:
    """The "billion laughs" file: nine lists of nine references each, 9**9 values if unfolded."""
    layers = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    layers += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    start = time.monotonic()
    assert refusal("\n".join(layers)) == (
        "bad.yaml:1: must be plain data, without anchors or aliases"
    )
    assert time.monotonic() - start < 1


def test_a_big_file_of_keys_is_refused_in_seconds() -> None:
    text = "".join(f"k{i}: 1\n" for i in range(50_000))
    start = time.monotonic()
    assert refusal(text) == "bad.yaml:1: k0: unknown key"
    assert time.monotonic() - start < 30


@given(st.text(max_size=200))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    message = refusal(text)
    assert message.startswith("bad.yaml")
    assert message.isprintable()


@given(
    st.sampled_from([line for line in TINY.splitlines() if ":" in line and line[0] != "#"]),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
)
def test_any_value_of_any_key_is_taken_or_refused_in_one_line(line: str, value: str) -> None:
    text = TINY.replace(line, line.partition(":")[0] + ": " + value)
    assert outcome(text).isprintable()


class TestFiles:
    def test_a_path_is_named_as_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("mine.yaml").write_text(TINY.replace("lanes: 4", "lanes: -4", 1), encoding="utf-8")
        with pytest.raises(
            ConfigError, match=r"^mine\.yaml:\d+: mac_array\.lanes: must be at least 1, not -4$"
        ):
            load_chip("mine.yaml")

    def test_a_path_object_is_a_path(self, tmp_path: Path) -> None:
        (tmp_path / "chip").write_text(TINY, encoding="utf-8")
        assert load_chip(tmp_path / "chip") == load_chip("tiny")

    def test_a_byte_order_mark_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + TINY.encode())
        assert load_chip(tmp_path / "a.yaml") == load_chip("tiny")

    def test_a_missing_file(self) -> None:
        with pytest.raises(
            ConfigError,
            match=r"^no/chip\.yaml: must be a readable file: No such file or directory$",
        ):
            load_chip("no/chip.yaml")

    def test_a_file_name_with_a_nul_byte(self) -> None:
        with pytest.raises(
            ConfigError, match=r"^a\\x00\.yaml: must be a readable file: embedded null byte$"
        ):
            load_chip("a\0.yaml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=rf"^{re.escape(str(tmp_path))}: must be a regular file$"
        ):
            load_chip(str(tmp_path))

    def test_a_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "p.yaml")
        with pytest.raises(ConfigError, match=r"p\.yaml: must be a regular file$"):
            load_chip(tmp_path / "p.yaml")

    def test_a_file_that_is_too_long(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        with pytest.raises(ConfigError, match=r"a\.yaml: must be at most 1000000 bytes long$"):
            load_chip(tmp_path / "a.yaml")

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"name: \xff")
        with pytest.raises(ConfigError, match=r"a\.yaml: must be UTF-8 text, and byte 6 is not$"):
            load_chip(tmp_path / "a.yaml")

    def test_an_unknown_name_lists_the_chips(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load_chip("tinny")
        assert re.match(
            r"^chip 'tinny': must be one of az1, .*tiny.*, or the path of a \.yaml file "
            r"\(did you mean 'tiny'\?\)$",
            str(caught.value),
        )


class TestOverrides:
    def test_the_value_is_read_as_yaml(self) -> None:
        chip = load_chip(
            "tiny", ["mac_array.lanes=0x10", "description=8", "area.kgates_per_mac=1"][::2]
        )
        assert chip.mac_array.lanes == 16
        assert chip.area.kgates_per_mac == 1.0

    def test_the_later_one_wins(self) -> None:
        assert load_chip("tiny", ["core.clock_mhz=5", "core.clock_mhz=6"]).core.clock_mhz == 6

    def test_a_weight_width_can_be_added(self) -> None:
        chip = load_chip("tiny", ["mac_array.products_per_mac.4=2"])
        assert dict(chip.mac_array.products_per_mac) == {4: 2, 8: 1}

    def test_an_operation_class_can_be_changed(self) -> None:
        assert (
            load_chip("tiny", ["vector.ops.lut.latency_cycles=9"]).vector.ops["lut"].latency_cycles
            == 9
        )

    def test_a_loaded_chip_can_be_overridden(self) -> None:
        chip = override_chip(load_chip("tiny"), ["core.clock_mhz=7"])
        assert chip == load_chip("tiny", ["core.clock_mhz=7"])
        with pytest.raises(ConfigError, match=r"^override 'core\.x=7': core\.x: unknown key$"):
            override_chip(chip, ["core.x=7"])

    @pytest.mark.parametrize(
        ("override", "must"),
        [
            ("mac_array.lanes=0", "mac_array.lanes: must be at least 1, not 0"),
            ("mac_array.lane=1", "mac_array.lane: unknown key (did you mean 'lanes'?)"),
            ("mac_aray.lanes=1", "mac_aray: unknown key (did you mean 'mac_array'?)"),
            ("lane_queue=1", "lane_queue: unknown key (did you mean 'mac_array.lane_queue'?)"),
            ("mac_array.lanes.x=1", "mac_array.lanes: must be a section to have a key in it"),
            ("mac_array.lanes=", "mac_array.lanes: must be an integer, not None"),
            ("mac_array.lanes", "must have the form section.key=value"),
            ("=1", "must have the form section.key=value"),
            ("a..b=1", "must have the form section.key=value"),
            ("mac_array.lanes=[1]", "must have one plain value after '='"),
            ("mac_array.lanes=&a 1", "must have one plain value after '='"),
            ("mac_array.lanes=]", "must have one plain value after '='"),
            ("vector.ops.sine=1", "vector.ops.sine: unknown key"),
            ("vector.ops.lutt.latency_cycles=1", "vector.ops.lutt: unknown key"),
            (
                "mac_array.products_per_mac.9=1",
                "mac_array.products_per_mac.9: must be at most 8, not 9",
            ),
            ("mac_array.8=1", "mac_array.8: unknown key"),
            ("wbuf.slot_weights=300", "wbuf.slot_weights: must be a multiple of 256, not 300"),
            (
                "mac_array.lanes=7",
                "wbuf.slot_weights: must be a multiple of mac_array.lanes (7), not 512",
            ),
        ],
    )
    def test_a_refusal_names_the_override(self, override: str, must: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_chip("tiny", [override])
        assert str(caught.value) == f"override {override!r}: {must}"

    def test_control_characters_are_escaped(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load_chip("tiny", ["\x1b[31m=1"])
        assert str(caught.value) == "override '\\x1b[31m=1': \\x1b[31m: unknown key"
