"""`azsim validate lpddr`: the closed forms of shipped parts and of a caller's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsim._resources import data_folder
from azsim.config.memory_part import part_names
from azsim.errors import ConfigError
from azsim.validate import lpddr_table

# From the published clocks, to the printed digits: hits, rows, one bank, latencies, with refresh.
PUBLISHED = {
    "lpddr4_3200": (6.400, 3.200, 0.528, 24.375, 42.500, 60.625, 5.941),
    "lpddr4x_4266": (8.529, 3.101, 0.529, 22.512, 40.803, 59.094, 7.916),
    "lpddr5_6400": (12.800, 6.400, 0.522, 23.750, 42.500, 61.250, 12.112),
}


@pytest.mark.parametrize("part", part_names())
def test_every_form_is_met(part: str) -> None:
    table = lpddr_table(part)
    forms = [check.published for check in table.checks]
    assert forms == pytest.approx(PUBLISHED[part], abs=6e-4)
    assert [check.tolerance for check in table.checks] == [0.0] * 6 + [0.01]
    for check in table.checks:
        assert check.passed, check.name


def part_with(tmp_path: Path, old: str, new: str) -> Path:
    text = (data_folder("hw_configs") / "memory" / "lpddr4_3200.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_part_of_ones_own_has_its_own_forms(tmp_path: Path) -> None:
    """A longer tRC slows one bank; eight banks hide it."""
    table = lpddr_table(part_with(tmp_path, "count: 1, clocks: 97", "count: 1, clocks: 120"))
    assert table.passed
    by_name = {check.name: check.simulated for check in table.checks}
    assert by_name["one bank, a conflict every burst, GB/s"] == 32 * 1000 / (120 * 625)
    assert by_name["random rows over all banks, GB/s"] == 3.2


def test_a_bad_part_is_refused_by_line_and_name(tmp_path: Path) -> None:
    path = part_with(tmp_path, "count: 1, clocks: 68", "count: 1, clocks: 98")
    with pytest.raises(
        ConfigError,
        match=r"mine\.yaml:\d+: constraints\.tRAS\.clocks: must be at most tRC \(97\), not 98$",
    ):
        lpddr_table(path)
