"""EIE's power and shares: the table passes, its parts by hand, and a wrong table is seen."""

from __future__ import annotations

import pytest

from azsim.energy import LogicRates, load_table
from azsim.validate import Check, Table, eie_energy_table
from azsim.validate.eie import EieRun
from azsim.validate.eie_energy import element_mw
from azsim.validate.page import check_cells
from azsim.validate.published import EIE_PE_MW, EIE_SHARES


def test_the_published_power_and_shares_are_met() -> None:
    table = eie_energy_table()
    assert table.passed, [check_cells(check) for check in table.checks]
    assert len(table.checks) == 1 + len(EIE_SHARES)
    assert sum(EIE_SHARES.values()) == pytest.approx(1.0)
    assert pytest.approx(0.59, rel=0.01) == 64 * EIE_PE_MW / 1000  # watts of the whole machine


@pytest.mark.small
def test_an_element_by_hand() -> None:
    """Two elements, ten columns, forty entries, 25 cycles at 1000 MHz: 50 ns of an element."""
    run = EieRun(2, 8, 1000, 8, 10, 25, 10, 40, 0, 0, 0, 0)
    power = element_mw(run, LogicRates(load_table("cmos"), 45, 900))
    ns = 50.0
    assert power["arithmetic"] == pytest.approx(40 * (0.79 + 0.1) / ns)
    # pointers: 16 KB at 45 nm is half-way from 10 to 20 pJ for 64 bits
    assert power["pointer read"] == pytest.approx(20 * 32 * 200**0.5 / 64 / ns, rel=1e-5)
    # matrix: 128 KB, a power of the size from 20 pJ at 32 KB to 100 pJ at 1 MB, on 2/5 of the way
    assert power["matrix read"] == pytest.approx(40 * 8 * 20 * 5**0.4 / 64 / ns, rel=1e-5)


@pytest.mark.small
def test_errors_of_shares_are_points() -> None:
    near, far = (Check("row", 0.20, s, 0.08, difference=True) for s in (0.279, 0.281))
    assert near.passed
    assert not far.passed
    assert check_cells(far) == ["row", "0.200", "0.281", "+8.1 pt", "8 pt", "FAIL"]
    assert not Table("t", "title", "q", "s", "m", (near, far)).passed
