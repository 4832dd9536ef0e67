"""A run as a trace for the Perfetto viewer (ui.perfetto.dev)."""

from azsim.report.trace.wish import TIME_UNITS, TraceWish, parse_window
from azsim.report.trace.write import traced_passes, write_trace

__all__ = ["TIME_UNITS", "TraceWish", "parse_window", "traced_passes", "write_trace"]
