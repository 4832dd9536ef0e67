"""The timeline: a readable file of each format for any run, equal for equal runs."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from report_cases import LAYERS, make_record, make_stalls, with_layers, without_steps

from azsim.config import load_chip
from azsim.counters import LayerCounters
from azsim.errors import ConfigError
from azsim.program import LayerInfo
from azsim.report.record import RunRecord
from azsim.report.timeline import draw_timeline, save_timeline
from azsim_kernels import isa


def texts(figure: Any) -> list[str]:
    """Return all texts of the figure that are not empty."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def renamed(record: RunRecord, name: str) -> RunRecord:
    infos = [replace(LAYERS[0], name=f"{name}/x"), *LAYERS[1:]]
    return with_layers(replace(record, model=name), infos, record.counters.layers)


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_equal_runs_give_equal_files(tmp_path: Path, suffix: str, magic: bytes) -> None:
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix.upper()}"
    save_timeline(make_record(), one)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):  # a user's own style
        save_timeline(make_record(), other)
    assert one.read_bytes().startswith(magic)
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [one.name, other.name]


def test_the_size_of_the_picture(tmp_path: Path) -> None:
    save_timeline(make_record(), tmp_path / "t.png")
    width, height = struct.unpack(">II", (tmp_path / "t.png").read_bytes()[16:24])
    assert (width, height) == (14 * 130, 1201)


def test_what_is_written_on_it() -> None:
    written = texts(draw_timeline(make_record()))
    assert {*isa.engine_names(2)} <= set(written)
    assert "enc" in written
    assert "small.onnx on az1 (assumed): first step, 1,000 cycles = 0.002 ms at 500 MHz" in written
    assert {"DRAM bus", "decoders", "MAC array", "LOAD"} <= set(written)


def test_bars_stand_where_the_commands_ran() -> None:
    figure = draw_timeline(make_record())
    zoom = figure.axes[2]
    extents = [path.get_extents().bounds for bars in zoom.collections for path in bars.get_paths()]
    spans = {(round(x), round(x + width)) for x, _, width, height in extents if height > 0}
    # up to the end of the last PRODUCT (130): LOAD, FETCHes, TILEs and PRODUCTs
    assert {(0, 70), (1, 80), (2, 90), (3, 100), (4, 120), (100, 110), (120, 130)} <= spans
    assert zoom.get_xlim() == (0, 130)
    assert figure.axes[0].get_xlim() == (0, 1000)


@pytest.mark.parametrize("name", ["$x_{", "\\frac", "a\nb\x07", "x" * 500, "[b]", ""])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    save_timeline(renamed(make_record(), name), tmp_path / "t.svg")
    assert (tmp_path / "t.svg").stat().st_size > 1000


def test_a_run_without_steps_is_drawn_empty(tmp_path: Path) -> None:
    save_timeline(without_steps(make_record()), tmp_path / "t.png")
    assert (tmp_path / "t.png").is_file()


def test_many_units_and_layers_are_drawn_in_bounded_size_and_time(tmp_path: Path) -> None:
    commands = 20_000
    rng = np.random.default_rng(1)
    record = make_record(chip=load_chip("az1", ["decoder.units=16"]))
    rows = np.zeros(commands, isa.COMMAND)
    rows["opcode"] = rng.integers(0, len(isa.OPCODE_NAMES), commands)
    rows["engine"] = np.array(isa.OPCODE_ENGINE)[rows["opcode"]]
    rows["unit"] = np.where(rows["engine"] == isa.DMA_W, rng.integers(0, 16, commands), 0)
    rows["layer"] = rng.integers(-1, 1000, commands)
    start = np.sort(rng.integers(0, 10**6, commands))
    trace = replace(record.counters.trace, dispatch=start, start=start, free=start + 100)
    infos = [LayerInfo(f"layer{n}", "Linear") for n in range(1000)]
    stalls = {name: make_stalls(1) for name in isa.engine_names(16)}
    counters = replace(
        record.counters, trace=trace, stalls=stalls,
        layers=tuple(LayerCounters(info.name, *[0] * 8) for info in infos),
    )  # fmt: skip
    program = replace(record.program, commands=rows, layers=tuple(infos))
    record = replace(record, program=program, counters=counters)
    save_timeline(record, tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size < 4_000_000
    artists = sum(len(axes.collections) + len(axes.patches) for axes in draw_timeline(record).axes)
    assert artists < 500


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        save_timeline(make_record(), tmp_path / "t.bmp")
    assert str(caught.value) == f"{tmp_path}/t.bmp: must end in .png, .pdf or .svg"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "t.png"
    with pytest.raises(ConfigError) as caught:
        save_timeline(make_record(), path)
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"
