"""What a run counted: frozen types, filled by the engine, read by energy and reports."""

from azsim.counters.types import TRAFFIC_NAMES, CommandTrace, Counters, LayerCounters, Traffic

__all__ = ["TRAFFIC_NAMES", "CommandTrace", "Counters", "LayerCounters", "Traffic"]
