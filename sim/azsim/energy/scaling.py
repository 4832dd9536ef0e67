"""From the rows of a table to the node and voltage of a chip, by two laws that disagree.

Law A, switching: the row of the largest node, times the ratio of the two nodes' switch energies
(the table's `nodes`, Stillmaker and Baas) at the two voltages. Law B, published points: a power of
the node through the rows of two nodes, times the square of the voltage over the rows' voltage.
The result is their geometric mean; its range is from the smaller to the larger of the two, widened
by the ranges of the rows. A quantity with rows at one node has law A only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from azsim.energy.amounts import AJ_PER_PS_AND_MW, Amount, rate_aj
from azsim.energy.table import SRAM_ACCESS, EnergyTable, Row
from azsim.errors import ConfigError

WORD_BITS = 64  # of `sram_access`


@dataclass(frozen=True)
class Rate:
    """What one count costs, in attojoules, and the rows that it was made of."""

    aj: Amount
    rows: tuple[str, ...]

    def __add__(self, other: Rate) -> Rate:
        rows = self.rows + tuple(name for name in other.rows if name not in self.rows)
        return Rate(self.aj + other.aj, rows)

    def scaled(self, factor: float) -> Rate:
        """Return this rate times `factor`."""
        return Rate(self.aj.scaled(factor), self.rows)


@dataclass(frozen=True)
class _Point:
    """Energy in pJ at one node and voltage."""

    node_nm: int
    voltage_mv: float
    value: float
    low: float
    high: float


class LogicRates:
    """Rates of a `logic` table at one node and voltage.

    Raises:
        ConfigError: the table does not have the node, or its polynomial is not positive there.
    """

    def __init__(self, table: EnergyTable, node_nm: int, voltage_mv: int) -> None:
        if node_nm not in table.nodes:
            nodes = ", ".join(map(str, sorted(table.nodes)))
            raise ConfigError(
                f"energy.node_nm: must be a node of the table {table.name} ({nodes}), not {node_nm}"
            )
        self._table, self._node_nm, self._voltage_mv = table, node_nm, voltage_mv

    def of(self, quantity: str) -> Rate:
        """Return the rate of a quantity other than `sram_access`."""
        rows = self._table.rows_of(quantity)
        return self._rate([_point(row) for row in rows.values()], tuple(rows))

    def sram_bit(self, size_kb: float) -> Rate:
        """Return the rate of one bit read from or written to a memory of `size_kb`.

        Between sizes of the table, and beyond them, energy is a power of the size.
        """
        rows = self._table.rows_of(SRAM_ACCESS)
        nodes = sorted({row.node_nm for row in rows.values()}, reverse=True)
        points = [
            _at_size([row for row in rows.values() if row.node_nm == node], size_kb)
            for node in nodes
        ]
        return self._rate(points, tuple(rows)).scaled(1 / WORD_BITS)

    def _rate(self, points: Sequence[_Point], rows: tuple[str, ...]) -> Rate:
        base = max(points, key=lambda point: point.node_nm)
        energies = [(self._switching(base), base)]
        if len(points) > 1:
            energies.append(self._between(points))
        nominal = math.exp(sum(math.log(energy) for energy, _ in energies) / len(energies))
        low = min(energy * point.low / point.value for energy, point in energies)
        high = max(energy * point.high / point.value for energy, point in energies)
        return Rate(rate_aj(nominal, low, high), rows)

    def _switching(self, base: _Point) -> float:
        """Law A."""
        nodes = self._table.nodes
        here = nodes[self._node_nm].at(self._voltage_mv)
        there = nodes[base.node_nm].at(round(base.voltage_mv))
        if here <= 0 or there <= 0:
            raise ConfigError(
                f"energy.voltage_mv: must be a voltage at which the table {self._table.name} gives "
                f"a positive energy at {self._node_nm} nm, not {self._voltage_mv}"
            )
        return base.value * here / there

    def _between(self, points: Sequence[_Point]) -> tuple[float, _Point]:
        """Law B, through the two points nearest in node."""
        by_distance = sorted(points, key=lambda p: abs(math.log(p.node_nm / self._node_nm)))
        first, second = by_distance[:2]
        share = math.log(self._node_nm / first.node_nm) / math.log(second.node_nm / first.node_nm)
        energy = first.value * (second.value / first.value) ** share
        voltage = first.voltage_mv * (second.voltage_mv / first.voltage_mv) ** share
        return energy * (self._voltage_mv / voltage) ** 2, first


def _point(row: Row) -> _Point:
    return _Point(row.node_nm, row.voltage_mv, row.value, row.low, row.high)


def _at_size(rows: Sequence[Row], size_kb: float) -> _Point:
    """Return the energy of an access to a memory of `size_kb` at the node of `rows`."""
    ordered = sorted(rows, key=_size)
    if len(ordered) == 1:
        return _point(ordered[0])
    upper = next((n for n, row in enumerate(ordered) if _size(row) >= size_kb), len(ordered) - 1)
    second = ordered[max(upper, 1)]
    first = ordered[max(upper, 1) - 1]
    share = math.log(size_kb / _size(first)) / math.log(_size(second) / _size(first))
    value, low, high = (
        getattr(first, name) * (getattr(second, name) / getattr(first, name)) ** share
        for name in ("value", "low", "high")
    )
    return _Point(first.node_nm, first.voltage_mv, value, min(low, value), max(high, value))


def _size(row: Row) -> float:
    assert row.size_kb is not None  # the table has checked it
    return row.size_kb


class DramRates:
    """Rates of a `dram` or `cpu` table: its rows as they are, not scaled."""

    def __init__(self, table: EnergyTable) -> None:
        self._table = table

    def energy(self, quantity: str) -> Rate:
        """Return the rate of one bit or one event."""
        name, row = self._row(quantity)
        return Rate(rate_aj(row.value, row.low, row.high), (name,))

    def power(self, quantity: str) -> Rate:
        """Return the rate of a picosecond."""
        name, row = self._row(quantity)
        figures = (row.value, row.low, row.high)
        return Rate(Amount(*(round(mw * AJ_PER_PS_AND_MW) for mw in figures)), (name,))

    def _row(self, quantity: str) -> tuple[str, Row]:
        return next(iter(self._table.rows_of(quantity).items()))
