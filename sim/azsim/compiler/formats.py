"""Which integer format each float value gets: int8, int16 with a power-of-two scale, or an int32 index.

Values that only move data (reshape, slice, transpose, recurrent states) share one format, so that moving costs no
rounding. A group that holds an LSTM cell state is int16 (16-bit cell state); h of an LSTM shares one scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from azsim.compiler.ranges import Ranges
from azsim.graph import Graph, Node

MOVERS = ("Reshape", "Slice", "Take", "Transpose")


@dataclass(frozen=True)
class Format:
    """real = (integer - zero_point) * scale; `element` is int8, int16 or int32."""

    element: str
    scale: float
    zero_point: int = 0


def assign_formats(graph: Graph, ranges: Ranges) -> dict[str, Format]:
    """Return the format of every computed or given value of `graph`."""
    groups = _Groups(name for name, value in graph.values.items() if value.data is None)
    _join_movers(graph, groups)
    cells = _join_cells(graph, groups)
    _join_hidden(graph, groups, {groups.find(name) for name in cells})
    peaks = _group_peaks(graph, ranges, groups)
    cell_groups = {groups.find(name) for name in cells}
    return {name: _format(graph, name, groups, peaks, cell_groups) for name in groups.names()}


def int8_scale(peak: float) -> float:
    """Scale of an int8 tensor whose largest magnitude is `peak` (symmetric: peak -> 127)."""
    return max(peak, 1e-30) / 127.0 if peak > 0.0 else 1.0 / 127.0


def power_of_two_scale(peak: float) -> float:
    """Smallest power-of-two scale at which int16 holds +-`peak` (at most 2**0)."""
    integer_bits = max(0, math.ceil(math.log2(peak))) if peak > 0.0 else 0
    return 2.0 ** (min(integer_bits, 15) - 15)


class _Groups:
    """Union-find over value names."""

    def __init__(self, names: object) -> None:
        self._parent = {str(name): str(name) for name in names}  # type: ignore[attr-defined]

    def names(self) -> list[str]:
        return list(self._parent)

    def find(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, names: list[str]) -> None:
        known = [name for name in names if name in self._parent]
        for name in known[1:]:
            self._parent[self.find(name)] = self.find(known[0])


def _join_movers(graph: Graph, groups: _Groups) -> None:
    for node in graph.nodes:
        if node.operator in MOVERS:
            groups.join([node.inputs[0], node.outputs[0]])
    for state in graph.states:
        groups.join([state.source, state.result])


def _join_cells(graph: Graph, groups: _Groups) -> list[str]:
    """Join each LSTM's initial and final cell state; return one name per joined group."""
    cells = []
    for node in _lstm_nodes(graph):
        names = [name for name in (_input(node, 5), node.outputs[2]) if name]
        names = [name for name in names if graph.values[name].data is None]
        groups.join(names)
        cells += names[:1]
    return cells


def _join_hidden(graph: Graph, groups: _Groups, cell_groups: set[str]) -> None:
    for node in _lstm_nodes(graph):
        names = [name for name in (*node.outputs[:2], _input(node, 4)) if name]
        names = [name for name in names if graph.values[name].data is None]
        groups.join([name for name in names if groups.find(name) not in cell_groups])


def _lstm_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.operator == "LSTM"]


def _input(node: Node, position: int) -> str:
    return node.inputs[position] if position < len(node.inputs) else ""


def _group_peaks(graph: Graph, ranges: Ranges, groups: _Groups) -> Mapping[str, float]:
    peaks: dict[str, float] = {}
    for name in groups.names():
        root = groups.find(name)
        peaks[root] = max(peaks.get(root, 0.0), ranges.peak.get(name, 0.0))
    for node in _lstm_nodes(graph):
        for name in (_input(node, 5), node.outputs[2]):
            if name and graph.values[name].data is None:
                root = groups.find(name)
                peaks[root] = max(peaks[root], ranges.cell_peak.get(node.name, 0.0))
    return peaks


def _format(
    graph: Graph, name: str, groups: _Groups, peaks: Mapping[str, float], cell_groups: set[str]
) -> Format:
    root = groups.find(name)
    if graph.values[name].is_index:
        return Format("int32", 1.0)
    if root in cell_groups:
        return Format("int16", power_of_two_scale(peaks[root]))
    return Format("int8", int8_scale(peaks[root]))
