"""Rewrites of a graph that was just read: what exporters write with many nodes becomes one."""

from azsim.frontend.patterns.apply import apply_patterns

__all__ = ["apply_patterns"]
