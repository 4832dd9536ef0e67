"""The figure of energy: bars are the breakdown, and any name can be drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_cases import LAYER_COUNTERS, LAYERS, make_record, with_layers, without_steps

from azsim.report.energy_figure import MAX_ROWS, place_bars, save_energy, whole_bars

pytestmark = pytest.mark.small


def test_bars_are_microjoules_of_a_frame() -> None:
    record = make_record()
    chip, cpu = whole_bars(record)
    energy = record.energy.total_fj
    assert (chip.name, cpu.name) == ("az1", "mobile CPU (assumed)")
    assert chip.nominal == pytest.approx(energy.nominal / 3e9)
    assert (chip.low, chip.high) == (energy.low / 3e9, energy.high / 3e9)
    rows = place_bars(record)
    assert sum(row.nominal for row in rows) == pytest.approx(chip.nominal)
    assert rows[-1].name == "(between frames)"


def test_many_layers_are_joined_and_names_are_plain(tmp_path: Path) -> None:
    count = 60
    infos = [replace(LAYERS[0], name=f"$\\frac{{{n}}}$[red]") for n in range(count)]
    counted = [replace(LAYER_COUNTERS[0], span_cycles=n + 1) for n in range(count)]
    record = with_layers(make_record(), infos, counted)
    rows = place_bars(record)
    assert len(rows) == MAX_ROWS
    assert sum(row.nominal for row in rows) == pytest.approx(whole_bars(record)[0].nominal)
    save_energy(record, tmp_path / "many.png")
    save_energy(without_steps(make_record()), tmp_path / "none.svg")
    assert (tmp_path / "many.png").read_bytes().startswith(b"\x89PNG")
