"""Counters x tables = joules, by component, action and layer, over real time."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.config import ChipConfig, area_proxy
from azsim.counters import Counters
from azsim.energy.actions import ChipRates, add_all, memory_kb
from azsim.energy.amounts import Amount, total
from azsim.energy.ledger import TIME_UNIT, Action, Ledger, layer_figures
from azsim.energy.scaling import DramRates, LogicRates, Rate
from azsim.energy.table import EnergyTable, Row, load_table
from azsim.energy.time import PS_PER_S, RealTime, real_time
from azsim.units import BITS_PER_BYTE


@dataclass(frozen=True)
class EnergyBreakdown:
    """What a run cost, in whole femtojoules: every sum below is exact.

    `places`: the layers, then "(no layer)" and "(between frames)"; `actions[...].fj` has one entry
    for each. `fill_fj`: filling the weight store once, before cycle 0; not part of any sum. `rows`:
    every row of the two tables that a figure was made of, by name.
    """

    chip: str
    node_nm: int
    voltage_mv: int
    tables: tuple[str, str]
    time: RealTime
    places: tuple[str, ...]
    actions: tuple[Action, ...]
    fill_fj: Amount
    rows: dict[str, Row]

    @property
    def total_fj(self) -> Amount:
        """Everything, in femtojoules."""
        return total(action.total_fj for action in self.actions)

    @property
    def components(self) -> dict[str, Amount]:
        """Femtojoules by component, in the order of the actions."""
        sums: dict[str, Amount] = {}
        for action in self.actions:
            sums[action.component] = sums.get(action.component, Amount()) + action.total_fj
        return sums

    def place_components(self) -> list[dict[str, Amount]]:
        """Femtojoules by component, of each place."""
        sums: list[dict[str, Amount]] = [{} for _ in self.places]
        for action in self.actions:
            for place, amount in zip(sums, action.fj, strict=True):
                place[action.component] = place.get(action.component, Amount()) + amount
        return sums

    def per_frame_pj(self) -> dict[str, float] | None:
        """Mean of a frame in pJ; None without frames."""
        frames = self.time.frames
        if not frames:
            return None
        return {name: pj / frames for name, pj in self.total_fj.pj().items()}

    def per_second_pj(self) -> dict[str, float] | None:
        """Of a second of audio in pJ, or the power in picowatts; None without audio."""
        audio_ps = self.time.audio_ps
        if not audio_ps:
            return None
        return {name: pj * PS_PER_S / audio_ps for name, pj in self.total_fj.pj().items()}


def price(
    counters: Counters,
    chip: ChipConfig,
    *,
    frame_ms: float,
    frames: int | None = None,
    resident_bytes: int = 0,
) -> EnergyBreakdown:
    """Return the energy of a run.

    counters        of the run
    frame_ms        audio time of one frame
    frames          frames of audio; None: one for each step
    resident_bytes  of the weight stream, kept in the weight store

    Raises:
        ConfigError: a table that cannot be taken; a counter without a price.
    """
    logic_table, dram_table, rates = load_rates(chip)
    count = counters.frames if frames is None else frames
    time = real_time(counters.cycles, chip.core.clock_mhz, count, frame_ms)
    book = Ledger(counters)
    add_all(book, counters, chip, time, rates)
    _add_leakage(book, counters, chip, time)
    fill = rates.dram.energy("stream") + rates.logic.sram_bit(memory_kb(chip)["weight_store"])
    return EnergyBreakdown(
        chip=chip.name,
        node_nm=chip.energy.node_nm,
        voltage_mv=chip.energy.voltage_mv,
        tables=(logic_table.name, dram_table.name),
        time=time,
        places=book.places,
        actions=tuple(book.actions),
        fill_fj=fill.aj.times(BITS_PER_BYTE * resident_bytes).to_fj(),
        rows=_used_rows(book.actions, logic_table, dram_table),
    )


def load_rates(chip: ChipConfig) -> tuple[EnergyTable, EnergyTable, ChipRates]:
    """Return a chip's tables of logic and DRAM, and the rates made of them.

    Raises:
        ConfigError: a table that cannot be taken, or that lacks the chip's node.
    """
    logic_table = load_table(chip.energy.table, "logic")
    dram_table = load_table(chip.energy.dram_table, "dram")
    logic = LogicRates(logic_table, chip.energy.node_nm, chip.energy.voltage_mv)
    logic.of("int32_add")  # so that a voltage outside of the polynomials is told at once
    return logic_table, dram_table, ChipRates(logic, DramRates(dram_table))


def _used_rows(actions: list[Action], *tables: EnergyTable) -> dict[str, Row]:
    used = {name for action in actions for name in action.rate.rows}
    return {name: row for table in tables for name, row in table.rows.items() if name in used}


def _add_leakage(book: Ledger, counters: Counters, chip: ChipConfig, time: RealTime) -> None:
    """Leakage of all SRAM and gates over real time; 1 microwatt is 1 attojoule per picosecond."""
    area, energy = area_proxy(chip), chip.energy
    spans = layer_figures(counters, "span_cycles")
    for name, size, leakage in (
        ("sram", area.sram_kb, energy.sram_leakage_uw_per_kb),
        ("logic", area.k_gates, energy.logic_leakage_uw_per_kgate),
    ):
        figures = (leakage.nominal, leakage.low, leakage.high)
        rate = Rate(Amount(*(round(size * microwatts) for microwatts in figures)), ())
        if not rate.aj.high:
            continue  # the chip file says that it does not leak
        book.busy(("leakage", name), TIME_UNIT, rate, time.busy_ps, spans)
        share = energy.idle_leakage_percent / 100
        if share:
            book.idle(("leakage", f"{name}_idle"), TIME_UNIT, rate.scaled(share), time.idle_ps)
