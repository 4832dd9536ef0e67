"""Patterns of host traffic: the shipped ones, and what of a file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsim.config import load_chip
from azsim.config.host_traffic import load_traffic, traffic_names
from azsim.errors import ConfigError

pytestmark = pytest.mark.small

GOOD = """\
name: bad
description: one line
source: a test
period_ns: 100
burst_bytes: 128
request_bytes: 64
address: 4096
range_bytes: 640
order: random
read_share_percent: 50
priority: 1
"""


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    load_traffic([path], load_chip("az1"))


@pytest.mark.parametrize("chip", ["az1", "az2", "dense"])
def test_the_shipped_patterns_fit_the_shipped_chips(chip: str) -> None:
    names = traffic_names()
    assert names == ["cpu_misses", "display", "music"]
    patterns = load_traffic(names, load_chip(chip))
    assert [pattern.name for pattern in patterns] == names
    # Beyond what programs may use, so that nobody reads the other's rows.
    capacity = load_chip(chip).memory.capacity_bytes
    assert min(pattern.address for pattern in patterns) >= capacity


def test_rates_of_the_shipped_patterns_are_what_their_files_say() -> None:
    patterns = load_traffic(traffic_names(), load_chip("az1"))
    rates = {p.name: p.burst_bytes * 1000 / p.period_ns for p in patterns}
    assert rates["display"] == pytest.approx(1280 * 800 * 4 * 60 / 1e6, rel=1e-4)  # MB/s
    assert rates["music"] == pytest.approx(2 * 48_000 * 2 * 4 / 1e6)
    assert rates["cpu_misses"] == 320


def test_the_kernels_get_the_pattern_in_requests(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    (pattern,) = load_traffic([str(path)], load_chip("az1"))
    assert pattern.kernel_pattern() == (100, 2, 64, 4096, 10, True, 50, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "period_ns: 100", "period_ns: 10",
            ":5: burst_bytes: must be at most what the memory moves (6.400 GB/s), "
            "not 128 bytes per 10 ns (12.800 GB/s)",
        ),
        (
            "address: 4096", "address: 1073741824",
            ":7: address: range must lie in the memory (bytes 0..1073741823), "
            "not 1073741824..1073742463",
        ),
        (
            "range_bytes: 640", "range_bytes: 1073741824",
            ":7: address: range must lie in the memory (bytes 0..1073741823), not 4096..1073745919",
        ),
        (
            "burst_bytes: 128", "burst_bytes: 100",
            ":5: burst_bytes: must be a multiple of request_bytes (64), not 100",
        ),
        (
            "request_bytes: 64", "request_bytes: 16",
            ":6: request_bytes: must be at least one burst of the memory (32 bytes), not 16",
        ),
        ("priority: 1", "priorty: 1", ":11: priorty: unknown key"),
        ("priority: 1\n", "", ": priority: must be present"),
        ("order: random", "order: up", ":9: order: must be sequential or random, not 'up'"),
        (
            "read_share_percent: 50", "read_share_percent: 101",
            ":10: read_share_percent: must be at most 100, not 101",
        ),
        ("period_ns: 100", "period_ns: 0", ":4: period_ns: must be at least 1, not 0"),
        ("period_ns: 100", "period_ns: 1.5", ":4: period_ns: must be an integer, not 1.5"),
        ("source: a test", "source: ''", ":3: source: must have at least 1 characters, not ''"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert str(caught.value) == f"{tmp_path}/bad.yaml{message}"


def test_together_they_must_not_exceed_the_peak() -> None:
    load_traffic(["display"] * 26, load_chip("az1"))
    with pytest.raises(ConfigError) as caught:
        load_traffic(["display"] * 27, load_chip("az1"))
    assert str(caught.value) == (
        "display.yaml:7: burst_bytes: must be at most what the memory moves (6.400 GB/s), with "
        "6.390 GB/s of the patterns before it, not 5120 bytes per 20833 ns (0.246 GB/s)"
    )


def test_names_and_chips_are_checked() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^host traffic 'musik': must be one of cpu_misses, display, music, "
        r"or the path of a \.yaml file \(did you mean 'music'\?\)$",
    ):
        load_traffic(["musik"], load_chip("az1"))
    with pytest.raises(
        ConfigError,
        match=r"^host traffic: chip tiny must have memory\.model=lpddr, not simple$",
    ):
        load_traffic(["music"], load_chip("tiny"))
    assert load_traffic([], load_chip("tiny")) == ()
