"""What a run counted: frozen types, filled by the engine, read by energy and reports."""

from azsim.counters.types import CommandTrace, Counters, LayerCounters

__all__ = ["CommandTrace", "Counters", "LayerCounters"]
