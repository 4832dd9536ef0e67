"""EIE's published power and its shares, against the energy tables at its node.

What a processing element does per entry, broadcast and cycle is EIE's architecture and stands here;
what each deed costs comes from the same table as for every chip, at 45 nm and 0.9 V.
"""

from __future__ import annotations

from functools import cache
from statistics import median

from azsim.config import load_chip
from azsim.energy import LogicRates, load_table
from azsim.energy.amounts import AJ_PER_PJ
from azsim.validate.eie import CHIP, EieRun, layer_runs
from azsim.validate.published import (
    EIE_LAYERS,
    EIE_PE_MW,
    EIE_POWER_SOURCE,
    EIE_POWER_TOLERANCE,
    EIE_SHARE_TOLERANCE,
    EIE_SHARES,
)
from azsim.validate.tables import Check, Table

NAME = "eie64_energy"
MATRIX_KB, POINTER_BANK_KB = 128, 16  # SRAMs of a processing element
ENTRY_BITS, POINTER_BITS, ACTIVATION_BITS = 8, 16, 16
POINTERS = 2  # begin and end of a column, from two banks
REGISTERS_KB = 64 * ACTIVATION_BITS / 8 / 1024  # destination activations
SOURCE_KB = 2  # SRAM of source activations
QUEUE_BITS = ACTIVATION_BITS + 12  # an activation and its column
QUEUE_ENTRIES = 8
LOGIC_KGATES = 20.0  # 18,411 square micrometres of registers and gates at about 0.9 each


def element_mw(run: EieRun, logic: LogicRates) -> dict[str, float]:
    """Return the mean power of a processing element in mW by EIE's parts, and its clock."""
    entries, columns = run.entries, run.broadcasts * run.pe
    queue_kb = QUEUE_ENTRIES * QUEUE_BITS / 8 / 1024

    def bit(size_kb: float) -> float:
        return logic.sram_bit(size_kb).aj.nominal / AJ_PER_PJ

    def of(quantity: str) -> float:
        return logic.of(quantity).aj.nominal / AJ_PER_PJ

    picojoules = {
        "matrix read": entries * ENTRY_BITS * bit(MATRIX_KB),
        "pointer read": columns * POINTERS * POINTER_BITS * bit(POINTER_BANK_KB),
        "arithmetic": entries * (of("int16_multiply") + of("int32_add")),
        "activations": ACTIVATION_BITS
        * (2 * entries * bit(REGISTERS_KB) + run.broadcasts * bit(SOURCE_KB)),
        "queue": 2 * columns * QUEUE_BITS * bit(queue_kb),
        "clock": run.cycles * run.pe * LOGIC_KGATES * of("clock_kgate_cycle"),
    }
    element_us = run.pe * run.cycles / run.clock_mhz
    return {part: pj / element_us / 1e6 * 1e3 for part, pj in picojoules.items()}


@cache
def eie_energy_table() -> Table:
    """Return EIE's power and shares: medians of the nine layers."""
    energy = load_chip(CHIP).energy
    logic = LogicRates(load_table(energy.table, "logic"), energy.node_nm, energy.voltage_mv)
    powers = [element_mw(layer_runs(layer)[0], logic) for layer in EIE_LAYERS]
    whole = median(sum(parts.values()) for parts in powers)
    checks = [Check("power of an element, mW", EIE_PE_MW, whole, EIE_POWER_TOLERANCE)]
    for part, share in EIE_SHARES.items():
        ours = median(p[part] / (sum(p.values()) - p["clock"]) for p in powers)
        name = f"share of {part}"
        checks.append(Check(name, share, ours, EIE_SHARE_TOLERANCE, difference=True))
    return Table(
        name=NAME,
        title="EIE, power of a processing element and its shares",
        quantity="mW, and shares of the power without its clock",
        source=EIE_POWER_SOURCE,
        method=(
            f"Nine layers with random masks (one seed), medians; {energy.node_nm} nm, "
            f"{energy.voltage_mv / 1000:g} V."
        ),
        checks=tuple(checks),
    )
