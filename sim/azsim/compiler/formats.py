"""Which integer format each float value gets: int8, int16 with a power-of-two scale, or int32.

Values that only move data (reshape, slice, transpose, recurrent states) share one format, so that
moving costs no rounding. A group that holds an LSTM cell state, or another state that a step adds
to, is int16 (16-bit cell state); h of an LSTM shares one scale. Where the model itself says how a
value is quantized, that is the format of its group, and groups that the model quantizes differently
stay apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from azsim.compiler.accumulators import accumulated_values
from azsim.compiler.ranges import Ranges
from azsim.graph import Graph, Node, Quantization

MOVERS = ("Reshape", "Slice", "Take", "Transpose", "Expand")
# Operators that can hand over more than eight bits, for values that several quantizers read.
WIDE_OPERATORS = ("MatMul", "Conv", "Add", "Sub", "Mul", "Relu")
BLEND_BITS = 7  # more bits between the directions of a linear resize: int16 holds all of them
WIDE_BITS = 16  # fraction bits of a quantizer's step that such a value keeps
INITIAL_H, INITIAL_C = 4, 5  # inputs of LSTM


@dataclass(frozen=True)
class Format:
    """real = (integer - zero_point) * scale; `element` is int8, int16 or int32.

    `stated`: the model says so, in place of calibration; a result in a stated format is rounded
    once.
    """

    element: str
    scale: float
    zero_point: int = 0
    stated: bool = field(default=False, compare=False)


def stated_format(grid: Quantization) -> Format:
    """Return the format that holds the integers of a model's own quantization."""
    return Format("int8", grid.scale, grid.stored_zero_point, stated=True)


def assign_formats(graph: Graph, ranges: Ranges) -> dict[str, Format]:
    """Return the format of every computed or given value of `graph`."""
    groups = _Groups(graph)
    for state in graph.states:
        groups.join([state.source, state.result])
    for node in graph.nodes:
        keeps = node.operator in (*MOVERS, "TopK") and node.outputs[0]
        if keeps or _is_max_pool(node):
            groups.join([node.inputs[0], node.outputs[0]])
    cells = _join_cells(graph, groups)
    _join_hidden(graph, groups, {groups.find(name) for name in cells})
    cell_groups = {groups.find(name) for name in cells}
    _follow_quantizers(graph, groups, cell_groups)
    _follow_tables(graph, groups, cell_groups)
    peaks = _group_peaks(graph, ranges, groups)
    cell_groups = {groups.find(name) for name in cells}
    formats = {name: _format(graph, name, groups, peaks, cell_groups) for name in groups.names()}
    return {**formats, **_between_blends(graph, formats)}


def _is_max_pool(node: Node) -> bool:
    """True for a node whose results are all among its inputs."""
    return node.operator == "Pool" and node.attributes["kind"] == "max"


def _between_blends(graph: Graph, formats: Mapping[str, Format]) -> dict[str, Format]:
    """Values between the two directions of a linear resize keep more bits, so that its result is
    rounded once."""
    users = _users(graph)
    found: dict[str, Format] = {}
    for node in graph.nodes:
        if node.operator != "Blend":
            continue
        name, source = node.outputs[0], formats.get(node.inputs[0])
        is_between = all(user.operator == "Blend" for user, _ in users[name]) and users[name]
        if is_between and source and source.element == "int8":
            found[name] = Format("int16", source.scale * 2.0**-BLEND_BITS)
    return found


def int8_scale(peak: float) -> float:
    """Scale of an int8 tensor whose largest magnitude is `peak` (symmetric: peak -> 127)."""
    return max(peak, 1e-30) / 127.0 if peak > 0.0 else 1.0 / 127.0


def power_of_two_scale(peak: float) -> float:
    """Smallest power-of-two scale at which int16 holds +-`peak` (at most 2**0)."""
    integer_bits = max(0, math.ceil(math.log2(peak))) if peak > 0.0 else 0
    return 2.0 ** (min(integer_bits, 15) - 15)


class _Groups:
    """Union-find over value names; a group has at most one stated format."""

    def __init__(self, graph: Graph) -> None:
        self._parent: dict[str, str] = {}
        self.stated: dict[str, Format] = {}  # by root
        for name, value in graph.values.items():
            if value.data is None:
                self._parent[name] = name
                if value.quantization is not None:
                    self.stated[name] = stated_format(value.quantization)

    def names(self) -> list[str]:
        return list(self._parent)

    def find(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def members(self) -> dict[str, list[str]]:
        """Names by root."""
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.find(name), []).append(name)
        return found

    def join(self, names: Iterable[str]) -> None:
        """Join the groups of `names` that do not contradict the first."""
        known = [name for name in names if name in self._parent]
        for name in known[1:]:
            first, other = self.find(known[0]), self.find(name)
            forms = [self.stated[root] for root in (first, other) if root in self.stated]
            if first != other and forms[1:] in ([], forms[:1]):
                self._parent[other] = first
                if forms:
                    self.stated[first] = forms[0]


def _cell_values(graph: Graph) -> list[list[str]]:
    """Values that hold a 16-bit state, per node: an LSTM's initial and final c, a GRU's h."""
    found = []
    for node in graph.nodes:
        if node.operator == "LSTM":
            found.append(_computed(graph, (_input(node, INITIAL_C), node.outputs[2])))
        if node.operator == "GRU":
            found.append(_computed(graph, (_input(node, INITIAL_H), *node.outputs[1:2])))
    return found


def _join_cells(graph: Graph, groups: _Groups) -> list[str]:
    """Join each node's initial and final 16-bit state; return a name of each 16-bit group."""
    cells = []
    for names in _cell_values(graph):
        names = [name for name in names if groups.find(name) not in groups.stated]
        groups.join(names)
        cells += names[:1]
    for names in accumulated_values(graph):
        cells += [name for name in names if groups.find(name) not in groups.stated]
    return cells


def _join_hidden(graph: Graph, groups: _Groups, cell_groups: set[str]) -> None:
    for node in _lstm_nodes(graph):
        names = _computed(graph, (*node.outputs[:2], _input(node, INITIAL_H)))
        groups.join([name for name in names if groups.find(name) not in cell_groups])


def _computed(graph: Graph, names: Sequence[str]) -> list[str]:
    return [name for name in names if name and graph.values[name].data is None]


def _lstm_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.operator == "LSTM"]


def _input(node: Node, position: int) -> str:
    return node.inputs[position] if position < len(node.inputs) else ""


# -- what the model states ----------------------------------------------------------------------


def _follow_quantizers(graph: Graph, groups: _Groups, cell_groups: set[str]) -> None:
    """Compute values that only go to one kind of quantizer straight in its format.

    Values that go to quantizers and elsewhere keep `WIDE_BITS` more bits than the finest of them.
    """
    users = _users(graph)
    makers = {name: node for node in graph.nodes for name in node.outputs}
    for root, names in groups.members().items():
        if root in groups.stated or root in cell_groups:
            continue
        forms = _quantizer_formats(graph, names, users)
        if not forms:
            continue
        alone = not set(names) & set(graph.outputs) and _only_quantized(names, users)
        recurrent = any(n in makers and makers[n].operator == "LSTM" for n in names)
        if alone and len(set(forms)) == 1 and (not recurrent or _two_sided(forms[0])):
            groups.stated[root] = forms[0]
        elif all(_may_be_wide(name, makers) for name in names):
            finest = min(form.scale for form in forms)
            groups.stated[root] = Format("int32", finest * 2.0**-WIDE_BITS, stated=True)


def _users(graph: Graph) -> dict[str, list[tuple[Node, int]]]:
    """(node, position) by the value they read."""
    users: dict[str, list[tuple[Node, int]]] = {name: [] for name in graph.values}
    for node in graph.nodes:
        for position, name in enumerate(node.inputs):
            if name:
                users[name].append((node, position))
    return users


def _quantizer_formats(
    graph: Graph, names: Sequence[str], users: Mapping[str, list[tuple[Node, int]]]
) -> list[Format]:
    grids = [
        graph.values[node.outputs[0]].quantization
        for name in names
        for node, _ in users[name]
        if node.operator == "Quantize"
    ]
    return [stated_format(grid) for grid in grids if grid is not None]


def _only_quantized(names: Sequence[str], users: Mapping[str, list[tuple[Node, int]]]) -> bool:
    """True if the group's values are read by quantizers, movers of the group and as an LSTM's h."""
    return all(
        node.operator in ("Quantize", *MOVERS) or (node.operator, position) == ("LSTM", INITIAL_H)
        for name in names
        for node, position in users[name]
    )


def _two_sided(form: Format) -> bool:
    """True if the format has numbers on both sides of 0, as a recurrence needs."""
    return -128 < form.zero_point < 127


def _may_be_wide(name: str, makers: Mapping[str, Node]) -> bool:
    return name in makers and makers[name].operator in (*WIDE_OPERATORS, *MOVERS)


def _follow_tables(graph: Graph, groups: _Groups, cell_groups: set[str]) -> None:
    """Rows of a table that the model holds as 8-bit integers keep them."""
    for node in graph.nodes:
        if node.operator != "Embed":
            continue
        stored, root = graph.values[node.inputs[0]].stored, groups.find(node.outputs[0])
        if stored is None or stored.scale.size != 1 or root in groups.stated or root in cell_groups:
            continue
        low, high = int(stored.integers.min()), int(stored.integers.max())
        if high - low <= 255:
            zero = 0 if low >= -128 and high <= 127 else max(-128, min(127, -128 - low))
            if low + zero >= -128 and high + zero <= 127:
                scale = float(stored.scale.item())
                groups.stated[root] = Format("int8", scale, zero, stated=True)


# -- formats ------------------------------------------------------------------------------------


def _group_peaks(graph: Graph, ranges: Ranges, groups: _Groups) -> Mapping[str, float]:
    peaks: dict[str, float] = {}
    for name in groups.names():
        root = groups.find(name)
        peaks[root] = max(peaks.get(root, 0.0), ranges.peak.get(name, 0.0))
    for node in _lstm_nodes(graph):
        for name in _computed(graph, (_input(node, INITIAL_C), node.outputs[2])):
            root = groups.find(name)
            peaks[root] = max(peaks[root], ranges.cell_peak.get(node.name, 0.0))
    return peaks


def _format(
    graph: Graph, name: str, groups: _Groups, peaks: Mapping[str, float], cell_groups: set[str]
) -> Format:
    root = groups.find(name)
    if graph.values[name].is_index:
        return Format("int32", 1.0)
    if root in groups.stated:
        form = groups.stated[root]
        if form.element == "int32" and peaks[root] >= form.scale * 2.0**30:
            return Format("int32", peaks[root] / 2.0**30, stated=True)
        return form
    if root in cell_groups:
        return Format("int16", power_of_two_scale(peaks[root]))
    return Format("int8", int8_scale(peaks[root]))
