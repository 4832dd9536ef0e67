"""Cascades: chains of nodes that are computed strip by strip, so that what lies between them never
is whole, neither in ABUF nor in DRAM.

A cascade is a product, a padding, a window operator, a product and what works element by element
between and behind them: the inverted bottleneck of camera nets. Its result is cut into strips of
rows. Of what lies between two nodes only the rows of a strip are kept; rows under the windows of
two strips are kept, not computed twice. Nodes that use different engines work on different strips
at a time (sections): while VECTOR makes the windows of strip k, MAC has the product in front of
them for strip k + 1 and the one behind them for strip k - 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from azsim.compiler.cost import node_cycles
from azsim.compiler.place import ALIGNMENT
from azsim.compiler.spill.blocks import Range, block_of, unit_elements
from azsim.compiler.spill.rewrite import tensor_bytes
from azsim.config import ChipConfig
from azsim.graph.integer import (
    Depthwise,
    Elementwise,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    Linear,
    LookUp,
    Move,
    Pool,
    Requant,
    Table8,
)
from azsim.units import ceil_div

# One letter per node: product of single pixels, element by element, movement, window.
_GRAMMAR = re.compile(r"P?E*M?WE*P?E*")
HEIGHTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)  # rows of a strip, tried
ROOMS = (0, 1, 3, 7)  # strips that fit behind the window until the rows it needs must be moved up


@dataclass(frozen=True)
class Padding:
    """A padded image around another one: element of its first pixel, and from row to row."""

    offset: int
    pitch: int


@dataclass(frozen=True)
class Cascade:
    """Consecutive nodes, each the only reader of the one before; `rows[i]`: elements in a row of
    pixels of the result of node i. `pads_late`: no product writes into a padded image."""

    graph: IntegerGraph
    nodes: tuple[IntegerNode, ...]
    rows: tuple[int, ...]
    pads_late: bool = False

    @property
    def results(self) -> list[str]:
        """The result of each node."""
        return [node.writes[0] for node in self.nodes]

    @property
    def inner(self) -> list[str]:
        """The results that only the next node reads."""
        return self.results[:-1]

    @cached_property
    def padded(self) -> dict[int, Padding]:
        """Products whose results are written straight into the padded image that the next node
        makes of them; that node only adds the border."""
        found: dict[int, Padding] = {}
        for i, (before, node) in enumerate(pairwise(() if self.pads_late else self.nodes)):
            if isinstance(before, Linear) and isinstance(node, Move):
                padding = _padding(node, self.results[i], self.rows[i], self.graph)
                if padding is not None:
                    found[i] = padding
        return found

    @cached_property
    def stages(self) -> list[int]:
        """By how many sections each node works behind the first: one more at each end of a
        product, whose results VECTOR rescales."""
        stages = [0]
        for i, (before, node) in enumerate(pairwise(self.nodes)):
            ends = isinstance(before, Linear) or isinstance(node, Linear) or i - 1 in self.padded
            stages.append(stages[-1] + int(ends and i not in self.padded))
        return stages

    @property
    def height(self) -> int:
        """Rows of pixels of the last result."""
        return self.graph.tensors[self.results[-1]].size // self.rows[-1]


@dataclass(frozen=True)
class Strip:
    """What one strip asks of one node: output elements `made` (whole rows, there may be none), and
    of each of its inputs `needs`. `low`: the first element of its result that its reader still
    needs."""

    made: Range
    needs: dict[str, Range]
    low: int


@dataclass(frozen=True)
class CascadePlan:
    """A cascade cut into strips: `strips[s][i]` of strip s and node i, None where there is nothing
    to make. `lines[tensor]`: elements of the buffer that keeps rows from strip to strip."""

    cascade: Cascade
    strips: list[list[Strip | None]]
    lines: dict[str, int]
    cycles: int


def find_cascades(graph: IntegerGraph) -> list[Cascade]:
    """The cascades of a graph, as long as the grammar allows, none within another."""
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers[name] = readers.get(name, 0) + 1
    kept = {*graph.outputs, *(state.result for state in graph.states)}
    found: list[Cascade] = []
    begin = 0
    while begin < len(graph.nodes):
        chain = list(_chain(graph, begin, readers, kept))
        match = _GRAMMAR.match("".join(letter for letter, _ in chain))
        length = match.end() if match else 0
        if length >= 2:
            nodes = graph.nodes[begin : begin + length]
            found.append(Cascade(graph, tuple(nodes), tuple(row for _, row in chain[:length])))
        begin += max(1, length)
    return found


def _chain(
    graph: IntegerGraph, begin: int, readers: dict[str, int], kept: set[str]
) -> Iterator[tuple[str, int]]:
    """Letter and row of each node from `begin` on, as long as each only feeds the next one."""
    before = ""
    for node in graph.nodes[begin:]:
        letter, row = _letter(node), _row(graph, node)
        if not letter or not row or (before and before not in node.reads):
            return
        yield letter, row
        before = node.writes[0]
        if readers.get(before, 0) != 1 or before in kept:
            return


def _letter(node: IntegerNode) -> str:
    match node:
        case Linear():
            window = node.window
            is_plain = window is None or (window.out_h == 1 and len(window.segments) == 1)
            return "P" if is_plain else "W"
        case Depthwise() | Pool():
            return "W"
        case Move():
            return "M"
        case Requant() | LookUp() | Table8() | Elementwise():
            return "E"
        case _:
            return ""


def _row(graph: IntegerGraph, node: IntegerNode) -> int:
    """Elements of a row of pixels of the result, 0 if the node cannot be cut between any two."""
    tensor = graph.tensors[node.writes[0]]
    unit = unit_elements(graph, node)
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or not unit or tensor.shape[1] < 2:
        return 0
    row = tensor.shape[2] * tensor.shape[3]
    return row if row % unit == 0 else 0


def _padding(node: Move, name: str, row: int, graph: IntegerGraph) -> Padding | None:
    """How `node` pads tensor `name` of rows of `row` elements, None if it does anything else."""
    mine = [piece for piece in node.pieces if node.inputs[piece.source] == name]
    if len(mine) != 1 or any(
        graph.tensors[other].kind is not IntegerKind.CONSTANT
        for other in node.inputs
        if other != name
    ):
        return None
    (piece,) = mine
    height = graph.tensors[name].size // row
    if piece.shape == (height * row,) and (piece.source_strides, piece.target_strides) == (
        (1,),
        (1,),
    ):
        return Padding(piece.target_offset, row) if piece.source_offset == 0 else None
    is_plain = piece.source_strides == (row, 1) and piece.target_strides[-1:] == (1,)
    if piece.shape == (height, row) and is_plain and piece.source_offset == 0:
        return Padding(piece.target_offset, piece.target_strides[0])
    return None


# -- strips -------------------------------------------------------------------------------------


def cut(cascade: Cascade, height: int) -> list[list[Strip | None]] | None:
    """Strips of `height` rows of the result; None if a node needs rows that none made."""
    graph, nodes, rows = cascade.graph, cascade.nodes, cascade.rows
    sizes = [graph.tensors[name].size for name in cascade.results]
    done = [0] * len(nodes)
    strips: list[list[Strip | None]] = []
    step = height * rows[-1]
    for begin in range(0, sizes[-1], step):
        strip: list[Strip | None] = [None] * len(nodes)
        low, end = begin, min(begin + step, sizes[-1])
        for i in reversed(range(len(nodes))):
            low -= low % rows[i]
            end = min(sizes[i], end + -end % rows[i])
            if low > done[i]:
                return None
            made = (done[i], max(done[i], end))
            needs = {} if made[0] == made[1] else dict(block_of(graph, nodes[i], *made).needs)
            strip[i] = Strip(made, needs, low)
            done[i] = made[1]
            if not i or cascade.results[i - 1] not in needs:
                break
            low, end = needs[cascade.results[i - 1]]
        strips.append(strip)
    return strips


# -- memory -------------------------------------------------------------------------------------


def _made(strips: list[list[Strip | None]], i: int) -> list[int]:
    return [strip.made[1] - strip.made[0] if (strip := s[i]) else 0 for s in strips]


def _is_kept(strips: list[list[Strip | None]], i: int) -> bool:
    """True if some strip needs rows of the result of node i that an earlier one made."""
    return any(strip is not None and strip.low < strip.made[0] for strip in (s[i] for s in strips))


def line_elements(cascade: Cascade, strips: list[list[Strip | None]], room: int) -> dict[str, int]:
    """Elements of the buffer of each result whose rows are kept.

    Where the reader works on the strip before, there is room for that strip's window behind the
    place to which the rows of the next strip are moved up.
    """
    lines: dict[str, int] = {}
    for i, name in enumerate(cascade.inner):
        if i in cascade.padded or not (i - 1 in cascade.padded or _is_kept(strips, i)):
            continue
        mine = [strip for s in strips if (strip := s[i])]
        elements = max(strip.made[1] - strip.low for strip in mine)
        made = max((strip.made[1] - strip.made[0] for strip in mine[1:]), default=0)
        if cascade.stages[i] != cascade.stages[i + 1]:
            kept = max((strip.made[0] - strip.low for strip in mine[1:]), default=0)
            elements += max(0, kept) + 2 * made - cascade.rows[i]
        lines[name] = min(cascade.graph.tensors[name].size, elements + room * made)
    return lines


def plan_bytes(
    cascade: Cascade,
    strips: list[list[Strip | None]],
    lines: dict[str, int],
    in_dram: Collection[str],
) -> int:
    """ABUF bytes of a plan, beside tensors that lie there whole."""
    graph = cascade.graph
    total = 0
    for i, (node, name) in enumerate(zip(cascade.nodes, cascade.results, strict=True)):
        width = tensor_bytes(graph.tensors[name]) // max(1, graph.tensors[name].size)
        made = _made(strips, i)
        if name in lines:
            total += _aligned(lines[name] * width)
        elif i in cascade.padded:
            continue
        elif i == len(cascade.nodes) - 1:
            total += _two(made, width) if name in in_dram else 0
        elif cascade.stages[i] == cascade.stages[i + 1]:
            total += _aligned(max(made) * width)
        else:
            total += _two(made, width)
        for entry in node.reads:
            total += _input_bytes(cascade, strips, (i, entry), in_dram)
    return total


def _input_bytes(
    cascade: Cascade,
    strips: list[list[Strip | None]],
    read: tuple[int, str],
    in_dram: Collection[str],
) -> int:
    i, name = read
    tensor = cascade.graph.tensors[name]
    if tensor.kind is IntegerKind.CONSTANT:
        return _aligned(tensor_bytes(tensor))
    if name in cascade.inner or name not in in_dram:
        return 0
    sizes = [
        strip.needs[name][1] - strip.needs[name][0]
        if (strip := s[i]) and name in strip.needs
        else 0
        for s in strips
    ]
    return _two(sizes, tensor_bytes(tensor) // tensor.size)


def _two(sizes: Sequence[int], width: int) -> int:
    """Bytes of what two neighbouring strips hold."""
    most = max((a + b for a, b in pairwise(sizes)), default=max(sizes))
    return _aligned(most * width) + ALIGNMENT


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


# -- choice -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cut:
    """One way to cut a cascade."""

    cascade: Cascade
    strips: list[list[Strip | None]]
    lines: dict[str, int]
    cycles: int


class CascadePlanner:
    """Plans of one cascade for different amounts of room."""

    def __init__(self, cascade: Cascade, chip: ChipConfig) -> None:
        self.cascade = cascade
        self._reads = {name for node in cascade.nodes for name in node.reads}
        self._reads.add(cascade.results[-1])
        strips = dict(_strips(cascade))
        self._cuts = list(_cuts(cascade, strips, chip))
        if cascade.padded:  # takes more rows, saves copies
            self._cuts += _cuts(replace(cascade, pads_late=True), strips, chip)
        self._cuts.sort(key=lambda one: one.cycles)
        self._bytes: dict[tuple[int, frozenset[str]], int] = {}

    @property
    def is_possible(self) -> bool:
        """True if the cascade can be cut at all."""
        return bool(self._cuts)

    def plan(self, free_bytes: int, in_dram: Collection[str]) -> CascadePlan | None:
        """The plan with the least estimated cycles that fits `free_bytes`; None if none does."""
        moved = frozenset(self._reads.intersection(in_dram))
        for number, one in enumerate(self._cuts):
            if (number, moved) not in self._bytes:
                need = plan_bytes(one.cascade, one.strips, one.lines, moved)
                self._bytes[number, moved] = need
            if self._bytes[number, moved] <= free_bytes:
                return CascadePlan(one.cascade, one.strips, one.lines, one.cycles)
        return None


def _strips(cascade: Cascade) -> Iterator[tuple[int, list[list[Strip | None]]]]:
    """The strips of each height that the cascade can be cut into."""
    for height in HEIGHTS:
        strips = cut(cascade, height) if height < cascade.height else None
        if strips is None:
            return
        yield height, strips


def _cuts(
    cascade: Cascade, by_height: dict[int, list[list[Strip | None]]], chip: ChipConfig
) -> Iterator[_Cut]:
    works = [node_cycles(cascade.graph, node, chip) for node in cascade.nodes]
    for i in cascade.padded:
        works[i + 1] = (0, 0)  # only the border is left
    for strips in by_height.values():
        before: dict[str, int] = {}
        for room in ROOMS:
            lines = line_elements(cascade, strips, room)
            if room and lines == before:
                break
            before = lines
            yield _Cut(cascade, strips, lines, _cycles(cascade, works, strips, lines, chip))


def whole_cycles(cascade: Cascade, chip: ChipConfig) -> int:
    """Estimated cycles of the nodes one after the other."""
    return sum(max(node_cycles(cascade.graph, node, chip)) for node in cascade.nodes)


def _cycles(
    cascade: Cascade,
    works: list[tuple[int, int]],
    strips: list[list[Strip | None]],
    lines: dict[str, int],
    chip: ChipConfig,
) -> int:
    """Estimated cycles of a plan: the busiest unit, and the first strip through all nodes."""
    count = len(strips)
    mac = sum(m for m, _ in works)
    vector = sum(v for _, v in works) + _moved_up(cascade, strips, lines) // chip.vector.lanes
    weights = sum(node.weights.size for node in cascade.nodes if isinstance(node, Linear))
    stream = sum(
        node.weights.size * node.bits // 8 for node in cascade.nodes if isinstance(node, Linear)
    )
    rate = chip.memory.simple
    memory = ceil_div(count * stream * rate.per_cycles, rate.bytes)
    decode = ceil_div(count * weights, 16 * chip.decoder.units)
    fill = sum(m + v for m, v in works) // count
    return max(mac, vector, memory, decode) + fill + memory // 4


def _moved_up(cascade: Cascade, strips: list[list[Strip | None]], lines: dict[str, int]) -> int:
    """Elements of kept rows that are copied to the front of their buffer."""
    moved = 0
    for i, name in enumerate(cascade.inner):
        if name not in lines:
            continue
        base = 0
        for strip in (s[i] for s in strips):
            if strip is not None and strip.made[1] - base > lines[name]:
                moved += strip.made[0] - strip.low
                base = strip.low
    return moved
