"""Counters of a run and energy tables to joules, each with its source (docs/energy_model.md)."""

from azsim.energy.amounts import Amount
from azsim.energy.cpu import CpuEstimate, mobile_cpu
from azsim.energy.ledger import Action
from azsim.energy.price import EnergyBreakdown, load_rates, price
from azsim.energy.scaling import DramRates, LogicRates, Rate
from azsim.energy.table import EnergyTable, Row, load_table, parse_table, table_names
from azsim.energy.time import RealTime, real_time

__all__ = [
    "Action",
    "Amount",
    "CpuEstimate",
    "DramRates",
    "EnergyBreakdown",
    "EnergyTable",
    "LogicRates",
    "Rate",
    "RealTime",
    "Row",
    "load_rates",
    "load_table",
    "mobile_cpu",
    "parse_table",
    "price",
    "real_time",
    "table_names",
]
