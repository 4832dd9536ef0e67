"""What a run counted: frozen types, filled by the engine, read by energy and reports."""

from azsim.counters.types import TRAFFIC_NAMES, CommandTrace, Counters, LayerCounters, Traffic
from azsim.counters.weight_path import WEIGHT_PATH_UNITS, WHAT_IF, LaneSpreads, WeightPath

__all__ = [
    "TRAFFIC_NAMES",
    "WEIGHT_PATH_UNITS",
    "WHAT_IF",
    "CommandTrace",
    "Counters",
    "LaneSpreads",
    "LayerCounters",
    "Traffic",
    "WeightPath",
]
