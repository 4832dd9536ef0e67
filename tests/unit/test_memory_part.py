"""Do part files load, and is a wrong one refused by file, line, row and key, in one line?"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from azsim.config.lpddr_control import LpddrControl, lpddr_params
from azsim.config.memory_part import load_part, parse_part, part_names
from azsim.config.memory_rules import RULES
from azsim.errors import ConfigError
from azsim_kernels.lpddr_params import COMMAND_NAMES, SCOPE_NAMES
from azsim_kernels.lpddr_types import new_lpddr

pytestmark = pytest.mark.small

FOLDER = Path(__file__).resolve().parents[2] / "hw_configs" / "memory"
GOOD = (FOLDER / "lpddr4_3200.yaml").read_text(encoding="utf-8")

CONTROL = {
    "part": "lpddr4_3200",
    "channels": 2,
    "devices_per_channel": 2,
    "mapping": ["row", "bank", "column", "group", "channel"],
    "bank_xor_row": True,
    "window_bursts": 16,
    "bypass_limit": 8,
    "refresh": "per_bank",
    "refresh_batch": 3,
    "host_outstanding": 4,
    "path_cycles": 7,
}


def line_of(text: str, part: str) -> int:
    """Return the number of the line with `part`."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_shipped_parts_load_and_name_their_sources(name: str) -> None:
    assert name in part_names()
    part = load_part(name)
    assert part == load_part(FOLDER / f"{name}.yaml") == load_part(str(FOLDER / f"{name}.yaml"))
    assert part.name == name
    assert part.burst_bytes == 32
    assert part.channel_bytes == 1 << 30  # 8 Gb
    assert all(row.source for row in part.constraints)
    assert pickle.loads(pickle.dumps(part)) == part
    assert hash(part) == hash(load_part(name))


def test_parts_are_sorted() -> None:
    assert part_names() == ["lpddr4_3200", "lpddr4x_4266", "lpddr5_6400"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # line numbers are those of the changed text
        ("clocks: 68,", "clocks: 98,", "constraints.tRAS.clocks: must be at most tRC (97), not 98"),
        (
            "then: [RD, WR], count: 1, clocks: 29",
            "then: [RD, WR], count: 1, clocks: 69",
            "constraints.tRCD.clocks: must be at most tRAS (68), not 69",
        ),
        (
            "banks_per_group: 8",
            "banks_per_group: 0",
            "geometry.banks_per_group: must be at least 1, not 0",
        ),
        (
            "banks_per_group: 8",
            "banks_per_group: 6",
            "geometry.banks_per_group: must be a power of two, not 6",
        ),
        ("clock_ps: 625", "clock_ps: 0.625", "clock_ps: must be an integer, not 0.625"),
        ("clock_ps: 625", "clock_ps: fast", "clock_ps: must be an integer, not 'fast'"),
        (
            "first: [ACT], then: [RD, WR]",
            "first: [ACTIVATE], then: [RD, WR]",
            "constraints.tRCD.first.0: must be ACT, PRE, PREA, RD, WR, REFA or REFP, "
            "not 'ACTIVATE'",
        ),
        (
            "first: [ACT], then: [RD, WR]",
            "first: [], then: [RD, WR]",
            "constraints.tRCD.first: must have at least 1 entries, not a list",
        ),
        (
            "first: [ACT], then: [RD, WR]",
            "first: [ACT], then: [RD, RD]",
            "constraints.tRCD.then: must name nothing twice, not a list",
        ),
        (
            "first: [ACT], then: [RD, WR]",
            "first: ACT, then: [RD, WR]",
            "constraints.tRCD.first: must be a list, not 'ACT'",
        ),
        (
            "{name: tRCD, scope: bank",
            "{name: tRCD, scope: rank",
            "constraints.tRCD.scope: must be bank, group or channel, not 'rank'",
        ),
        (
            "{name: tRCD, scope: bank",
            "{name: tRCD, range: bank",
            "constraints.tRCD.range: unknown key",
        ),
        ("name: tRAS,", "name: tRCD,", "constraints.tRCD.name: must be given to one row only"),
        (
            "name: tRAS,",
            "name: 'tRAS!',",
            "constraints.tRAS!.name: must have only letters, digits and underscores, not 'tRAS!'",
        ),
        (
            "clocks: 27,",
            "clocks: 24,",
            "constraints.tRDWR.clocks: must be at least 25, so that data of RD and WR "
            "do not overlap, not 24",
        ),
        (
            "name: tCCD_RD, scope: channel, first: [RD], then: [RD], count: 1, clocks: 8",
            "name: tCCD_RD, scope: channel, first: [RD], then: [RD], count: 1, clocks: 7",
            "constraints.tCCD_RD.clocks: must be at least 8, so that data of RD and RD "
            "do not overlap, not 7",
        ),
        (
            "all_bank_interval_clocks: 6246",
            "all_bank_interval_clocks: 448",
            "refresh.all_bank_interval_clocks: must be more than tRFCab (448), not 448",
        ),
        (
            "per_bank_interval_clocks: 780",
            "per_bank_interval_clocks: 200",
            "refresh.per_bank_interval_clocks: must be more than tRFCpb (224), not 200",
        ),
        ("page_bytes: 2048", "page_bytes: 32", "geometry.page_bytes: must be at least 64, not 32"),
        (
            "width_bits: 16",
            "width_bits: 64\n  extra: 1",
            "geometry.extra: unknown key",
        ),
        ("source: DRAMSys 4", "source: ''\nx: DRAMSys 4", "x: unknown key"),
    ],
)
def test_a_wrong_value_is_refused(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    line = GOOD[: GOOD.index(old)].count("\n") + 1 + new.count("\n")
    with pytest.raises(ConfigError) as error:
        parse_part(text, "bad.yaml")
    assert str(error.value) == f"bad.yaml:{line}: {message}"


def test_a_page_smaller_than_a_burst_is_refused() -> None:
    text = GOOD.replace("width_bits: 16", "width_bits: 64").replace(
        "page_bytes: 2048", "page_bytes: 64"
    )
    with pytest.raises(ConfigError) as error:
        parse_part(text, "bad.yaml")
    line = line_of(text, "page_bytes")
    assert str(error.value) == (
        f"bad.yaml:{line}: geometry.page_bytes: must be at least one burst (128 bytes), not 64"
    )


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("tRCD", "from ACT to RD of the same bank"),
        ("tRAS", "from ACT to PRE of the same bank"),
        ("tPPD", None),
        ("tFAW", None),
        ("tRPab", "from PREA to ACT of the same bank"),
        ("tRFCab", "from REFA to ACT of the same channel"),
        ("tCCD_WR", "from WR to WR of the same channel"),
    ],
)
def test_a_gate_that_every_device_needs_must_be_there(gone: str, missing: str | None) -> None:
    text = re.sub(rf"  - {{name: {gone},[^}}]*}}\n", "", GOOD)
    assert text != GOOD
    if missing is None:
        parse_part(text, "fine.yaml")
        return
    with pytest.raises(ConfigError) as error:
        parse_part(text, "bad.yaml")
    line = line_of(text, "constraints:")
    assert str(error.value) == f"bad.yaml:{line}: constraints: must have a row {missing}"


@pytest.mark.parametrize("key", ["groups", "rows", "name", "strobe_clocks", "constraints"])
def test_every_key_must_be_there(key: str) -> None:
    text = re.sub(rf"(?m)^( *){key}:", rf"\1# {key}:", GOOD, count=1)
    if key == "constraints":
        text = text[: text.index("# constraints")]
    with pytest.raises(ConfigError, match=rf"^bad.yaml(:\d+)?: ([a-z]+\.)?{key}: must be present$"):
        parse_part(text, "bad.yaml")


def test_a_key_of_a_row_must_be_there() -> None:
    text = GOOD.replace("name: tRAS, scope: bank, ", "name: tRAS, ")
    with pytest.raises(ConfigError) as error:
        parse_part(text, "bad.yaml")
    line = line_of(text, "name: tRAS")
    assert str(error.value) == f"bad.yaml:{line}: constraints.tRAS.scope: must be present"


def test_an_unknown_part_is_refused_with_the_names() -> None:
    with pytest.raises(ConfigError) as error:
        load_part("lpddr4_3201")
    assert str(error.value) == (
        "memory part 'lpddr4_3201': must be one of lpddr4_3200, lpddr4x_4266, lpddr5_6400 "
        "(did you mean 'lpddr4_3200'?)"
    )


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^.*none.yaml: must be a readable file: No such file.*$"
    ):
        load_part(tmp_path / "none.yaml")


@settings(max_examples=60)
@given(st.data())
def test_damaged_files_are_refused_in_one_line(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(GOOD) - 1))
    size = data.draw(st.integers(0, 30))
    junk = data.draw(st.text(st.sampled_from("abz019:-[]{},#'\"\n \t&*!|"), max_size=12))
    text = GOOD[:begin] + junk + GOOD[begin + size :]
    message = refusal(text)
    if message is not None:
        assert message.isprintable()
        assert message.startswith("bad.yaml")


def refusal(text: str) -> str | None:
    """Return the message with which `text` is refused, None for a part that keeps the rules."""
    try:
        part = parse_part(text, "bad.yaml")
    except ConfigError as error:
        return str(error)
    assert all(rule(part) is None for rule in RULES)
    return None


def test_parameters_of_the_model() -> None:
    part = load_part("lpddr4_3200")
    params = lpddr_params(LpddrControl.model_validate({**CONTROL, "part": part}), (16, 8, 4))
    assert params.banks == 8
    assert (params.columns, params.burst_bytes) == (64, 64)
    assert params.capacity_bytes == 4 << 30  # two channels of two devices of 1 GB
    assert (params.read_clocks, params.write_clocks) == (28 + 3 + 8, 14 + 8)
    assert params.refresh_interval_clocks == 780
    control = LpddrControl.model_validate({**CONTROL, "refresh": "all_bank"})
    assert lpddr_params(control, (1, 1)).refresh_interval_clocks == 6246
    for row, constraint in zip(part.constraints, params.constraints, strict=True):
        assert SCOPE_NAMES[constraint.scope] == row.scope
        assert tuple(COMMAND_NAMES[c] for c in constraint.first) == row.first
        assert tuple(COMMAND_NAMES[c] for c in constraint.then) == row.then
        assert (constraint.depth, constraint.clocks) == (row.count, row.clocks)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mapping", ["row", "bank"], "must be an order of row, bank, group, column, channel"),
        (
            "mapping",
            ["column", "row", "bank", "group", "channel"],
            "must have row before column",
        ),
        ("channels", 3, "must be a power of two"),
        ("refresh_batch", 9, "Input should be less than or equal to 8"),
        ("window_bursts", 0, "Input should be greater than or equal to 1"),
        ("refresh", "sometimes", "Input should be 'none', 'all_bank' or 'per_bank'"),
        ("bank_xor_row", 1, "Input should be a valid boolean"),
    ],
)
def test_a_wrong_controller_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        LpddrControl.model_validate({**CONTROL, key: value})
    assert [(e["loc"], e["msg"]) for e in error.value.errors()] == [((key,), message)]


def test_sizes_that_are_no_powers_of_two_are_refused() -> None:
    params = lpddr_params(LpddrControl.model_validate(CONTROL), (1, 1, 1))
    with pytest.raises(
        ValueError, match=r"^sizes of an LPDDR memory must be powers of two, not 3$"
    ):
        new_lpddr(params._replace(channels=3))
