"""The figure of the layers: bars as long as the figures say, readable for any number of layers."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from report_cases import LAYERS, make_record, with_layers, without_steps

from azsim.counters import LayerCounters
from azsim.errors import ConfigError
from azsim.program import LayerInfo
from azsim.report.layers import longest
from azsim.report.layers_figure import (
    MAX_LAYERS,
    UNITS,
    draw_layers,
    layer_bars,
    save_layers,
    whole_bars,
)
from azsim.report.record import RunRecord


def many(count: int) -> RunRecord:
    """A run of `count` layers; layer n spans n + 1 cycles, all but the first bound by memory."""
    infos = [LayerInfo(f"layer{n}", "Linear") for n in range(count)]
    counted = [LayerCounters(f"layer{n}", n + 1, n, 0, 0, 0, 0, 0, 0) for n in range(count)]
    record = with_layers(make_record(), infos, counted)
    cycles = np.array([sum(range(count + 1)), 0, 0])
    return replace(record, counters=replace(record.counters, step_cycles=cycles))


def texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_bars_by_hand() -> None:
    record = make_record()  # three passes, two decoders
    matrix, cell, transfers = layer_bars(record)
    assert (matrix.name, matrix.span) == ("enc/x", 4000 / 3)
    assert matrix.work == pytest.approx((2000 / 3, 2200 / 3, 500, 100 / 3))
    assert (cell.span, cell.work) == (200, pytest.approx((0, 0, 0, 500 / 3)))
    assert transfers.name == "input and output"
    whole = whole_bars(record)
    assert whole.span == 5000 / 3
    assert whole.work == pytest.approx((2050 / 3, 2200 / 3, 500, 200))


def test_bars_are_as_long_as_the_figures() -> None:
    top, below = draw_layers(make_record()).axes
    assert [bar.get_width() for bar in top.containers[0]] == [5000 / 3]
    spans = [bar.get_width() for bar in below.containers[0]]
    assert spans == [4000 / 3, 200, 400 / 3]
    decoders = [bar.get_width() for bar in below.containers[1 + UNITS.index("decoders")]]
    assert decoders == pytest.approx([2200 / 3, 0, 0])
    assert below.get_xscale() == "linear"
    assert below.get_xlim()[0] == 0
    assert below.get_xlim()[1] > max(spans)
    assert below.yaxis_inverted()  # the first layer is on top


def test_what_is_written_on_it() -> None:
    written = texts(draw_layers(make_record()))
    title = "small.onnx on az1 (assumed): mean pass 1,667 cycles = 0.003333 ms at 500 MHz"
    assert title in written
    assert {"all layers", "enc/x", "enc/cell", "input and output", "time that passed"} <= set(
        written
    )
    assert {"80.0 %", "12.0 %", "8.0 %", "100.0 %"} <= set(written)
    assert sorted(text for text in written if text in UNITS) == sorted(
        [
            *UNITS,
            "decoders",
            "decoders",
            "vector unit",
            "memory",
        ]  # the legend; what bounds each row
    )


@pytest.mark.parametrize("count", [1, 5, MAX_LAYERS, MAX_LAYERS + 1, 500])
def test_any_number_of_layers_has_bounded_height(tmp_path: Path, count: int) -> None:
    record = many(count)
    bars = layer_bars(record)
    assert len(bars) == min(count, MAX_LAYERS)
    assert sum(group.span for group in bars) == pytest.approx(whole_bars(record).span)
    if count > MAX_LAYERS:
        assert bars[-1].name == f"{count - MAX_LAYERS + 1} other layers"
        assert bars[0].name == f"layer{count - MAX_LAYERS + 1}"  # the longest, in model order
    save_layers(record, tmp_path / "l.png")
    width, height = struct.unpack(">II", (tmp_path / "l.png").read_bytes()[16:24])
    assert width == 12 * 130
    assert 400 < height < 2800


def test_the_longest_are_chosen_in_order() -> None:
    assert longest([5, 1, 4, 2, 3], 5) == ([0, 1, 2, 3, 4], [])
    assert longest([5, 1, 4, 2, 3], 4) == ([0, 2, 4], [1, 3])
    assert longest([2, 2, 2], 2) == ([0], [1, 2])
    assert longest([], 3) == ([], [])


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_equal_runs_give_equal_files(tmp_path: Path, suffix: str, magic: bytes) -> None:
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    save_layers(make_record(), one)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):  # a user's own style
        save_layers(make_record(wall_seconds=9.0), other)
    assert one.read_bytes().startswith(magic)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["$x_{", "\\frac", "a\nb\x07", "x" * 500, ""])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    infos = [replace(LAYERS[0], name=name), *LAYERS[1:]]
    record = with_layers(make_record(model=name), infos, make_record().counters.layers)
    save_layers(record, tmp_path / "l.svg")
    assert (tmp_path / "l.svg").stat().st_size > 1000


def test_runs_without_steps_or_layers_are_drawn_empty(tmp_path: Path) -> None:
    save_layers(without_steps(make_record()), tmp_path / "steps.png")
    save_layers(with_layers(make_record(), [], []), tmp_path / "layers.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        save_layers(make_record(), tmp_path / "l.jpg")
    assert str(caught.value) == f"{tmp_path}/l.jpg: must end in .png, .pdf or .svg"
