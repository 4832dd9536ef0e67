"""Pass 5, spill: activations that do not fit ABUF lie in DRAM and pass through in blocks of rows.

Nothing happens to a graph that fits. Else the largest tensors move to DRAM, as few as make the rest
fit. A node that reads or makes one of them is divided into blocks of its output: the rows of the
inputs that a block needs are fetched while the block before is computed (unless ABUF has no room
for two), and its result is written back. What cannot be divided is fetched and written back whole.
Results are the same integers: the reference evaluates the graph as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from azsim.compiler.groups import join_groups
from azsim.compiler.place import NoRoomError, place_graph
from azsim.compiler.spill.blocks import Range, block_of, cut_edges, unit_elements
from azsim.compiler.spill.cascade import CascadePlan
from azsim.compiler.spill.cascade_choice import CascadeChooser
from azsim.compiler.spill.cascade_nodes import CascadeWriter
from azsim.compiler.spill.rewrite import Rewrite, renamed, tensor_bytes
from azsim.compiler.tile import tile_graph
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import (
    FetchRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    Move,
    SpillRows,
    View,
)
from azsim.graph.integer_nodes import Piece

SHARES = (6, 12, 24, 48)  # parts of ABUF that the tensors of one block may take, tried in order


def spill_graph(graph: IntegerGraph, chip: ChipConfig) -> IntegerGraph:
    """Return `graph` with as many tensors in DRAM as ABUF makes necessary, cascades where they
    pay.

    Raises:
        CompileError: even one row of some node does not fit; the text says need and have.
    """
    graph = join_groups(graph, chip)
    try:
        _place(graph, chip)
    except CompileError as error:
        return _spilled(graph, chip, error)
    return _cascaded(graph, chip)


def _cascaded(graph: IntegerGraph, chip: ChipConfig) -> IntegerGraph:
    """A graph that fits, with cascades where they pay."""
    found = _tried(CascadeChooser(graph, chip), graph, chip, ([], 0), SHARES[0])
    return graph if found is None or not found.sections else found


def _spilled(graph: IntegerGraph, chip: ChipConfig, refusal: CompileError) -> IntegerGraph:
    """A graph that does not fit."""
    chooser = CascadeChooser(graph, chip)
    names = chooser.candidates(_candidates(graph))
    for share in SHARES:
        for count in _counts(len(names)):
            found = _tried(chooser, graph, chip, (names, count), share)
            if found is not None:
                return found
    raise refusal


def _tried(
    chooser: CascadeChooser,
    graph: IntegerGraph,
    chip: ChipConfig,
    moved: tuple[list[str], int],
    share: int,
) -> IntegerGraph | None:
    """The graph with so many tensors in DRAM, and with less room for the cascades that have too
    much; None if it does not fit."""
    capacity = chip.abuf.capacity_kb * 1024
    percents: dict[str, int] | None = {}
    while percents is not None:
        chosen = chooser.chosen(*moved, percents)
        if chosen is None:
            return None
        names, plans = chosen
        found = _Spiller(graph, names, capacity, capacity // share, plans).graph()
        try:
            _place(found, chip)
        except NoRoomError as error:
            percents = chooser.tighter(percents, error.tensor)
        except CompileError:
            return None
        else:
            return found
    return None


def _place(graph: IntegerGraph, chip: ChipConfig) -> None:
    place_graph(graph, tile_graph(graph, chip), chip)


def _counts(most: int) -> Iterator[int]:
    """How many tensors to try: every number at first, then in larger steps."""
    count = 1
    while count < most:
        yield count
        count += max(1, count // 4)
    if most:
        yield most


def _candidates(graph: IntegerGraph) -> list[str]:
    """Tensors that may lie in DRAM, the largest first: no states (see states.py) and nothing
    fetched for one, no constants, no views."""
    kept = {state.source for state in graph.states} | {state.result for state in graph.states}
    kept |= {node.y for node in graph.nodes if isinstance(node, FetchRows)}
    for node in reversed(graph.nodes):
        if isinstance(node, View):
            kept |= {node.x} if node.y in kept else set()
    kept |= {node.y for node in graph.nodes if isinstance(node, View)}
    allowed = (IntegerKind.NODE, IntegerKind.INPUT)
    found = [t for t in graph.tensors.values() if t.kind in allowed and t.name not in kept]
    return [t.name for t in sorted(found, key=lambda t: (-tensor_bytes(t), t.name))]


Stage = tuple[list[IntegerNode], list[IntegerNode]]  # fetches of a block, then its work
Strided = tuple[str, int, tuple[int, int]]  # tensor, first element, strides


class _Spiller:
    """Rewrites a graph; `_where[tensor]`: the tensor in DRAM it lies in, and its first element."""

    def __init__(
        self,
        graph: IntegerGraph,
        names: list[str],
        capacity_bytes: int,
        budget_bytes: int,
        plans: Mapping[str, CascadePlan],
    ) -> None:
        self._old, self._capacity, self._budget = graph, capacity_bytes, budget_bytes
        self._new = Rewrite(graph, names)
        self._plans = plans  # by the name of the cascade's first node

    def graph(self) -> IntegerGraph:
        """Rewrite all nodes."""
        skipped: set[str] = set()
        cascades = CascadeWriter(self._new)
        for node in self._old.nodes:
            if node.name in skipped:
                continue
            if node.name in self._plans:
                plan = self._plans[node.name]
                cascades.write(plan)
                skipped |= {inner.name for inner in plan.cascade.nodes}
            elif isinstance(node, View) and node.x in self._new.where:
                self._view(node)
            elif any(name in self._new.where for name in (*node.reads, *node.writes)):
                self._divide(node)
            else:
                self._new.nodes.append(node)
        return self._new.graph()

    def _view(self, node: View) -> None:
        """A view of a tensor in DRAM lies there too."""
        source, offset = self._new.where[node.x]
        if source != node.y:
            self._new.where[node.y] = (source, offset + node.offset)
            if node.y in self._old.outputs:
                self._copy_output(node.y)

    def _copy_output(self, name: str) -> None:
        """A graph output that is a view of a tensor in DRAM: through ABUF to its own place."""
        tensor = self._new.tensors[name]
        step = max(1, self._budget // np.dtype(tensor.element).itemsize)
        source, offset = self._new.where.pop(name)
        self._new.tensors[name] = replace(tensor, in_dram=True)
        for begin in range(0, tensor.size, step):
            end = min(begin + step, tensor.size)
            part = self._new.part(name, f"{name}#{begin}", (begin, end))
            self._new.add(FetchRows(f"{part}/in", source, part, offset + begin, end - begin), name)
            self._new.add(SpillRows(f"{part}/out", part, name, begin, end - begin), name)
        self._new.where[name] = (name, 0)

    def _divide(self, node: IntegerNode) -> None:
        """Blocks of a node, fetched one block ahead."""
        pieces: list[tuple[str, Range]] = []
        stages: list[Stage] = []
        planes = transpositions(node) if isinstance(node, Move) else None
        if planes and isinstance(node, Move):
            for plane in planes:
                stages += self._transposed(node, plane, len(stages))
        else:
            for number, part in enumerate(self._parts(node)):
                fetches, work, result = self._block(node, number, part)
                stages.append((fetches, work))
                if result and part is not None:
                    pieces.append((result, part))
        for late in in_order(stages) if self._fit_twice(stages) else one_by_one(stages):
            self._new.add(late, node.name)
        if pieces:
            self._join(node, pieces)

    def _fit_twice(self, stages: list[Stage]) -> bool:
        """True if ABUF can hold what two successive blocks fetch: else none is fetched ahead."""
        sizes: list[int] = []
        for fetches, _ in stages:
            names = {name for node in fetches for name in node.writes}
            sizes.append(sum(tensor_bytes(self._new.tensors[name]) for name in names))
        return max(map(sum, pairwise(sizes)), default=0) <= self._capacity

    def _transposed(self, node: Move, plane: Piece, number: int) -> list[Stage]:
        """Blocks of a transposition of a (rows, columns) matrix, cut along its longer side: the
        runs of the shorter side are fetched, or written back, one by one."""
        (x,), y = node.inputs, node.y
        columns, rows = plane.shape  # y[c, r] = x[r, c]
        by_rows = rows >= columns
        longer, shorter = max(rows, columns), min(rows, columns)
        width = np.dtype(self._old.tensors[x].element).itemsize
        step = max(1, self._budget // (2 * width * shorter))
        stages: list[Stage] = []
        for begin in range(0, longer, step):
            count = min(step, longer - begin)
            label = f"{node.name}#{number + len(stages)}"
            cut = (begin, count, by_rows)
            source, fetches = self._plane_in(label, x, plane, cut)
            target, spills = self._plane_out(label, y, plane, cut)
            shape = (columns, count) if by_rows else (count, rows)
            piece = Piece(0, shape, *source[1:], *target[1:])
            stages.append((fetches, [Move(label, (source[0],), target[0], (piece,)), *spills]))
        return stages

    def _plane_in(
        self, label: str, x: str, plane: Piece, cut: tuple[int, int, bool]
    ) -> tuple[Strided, list[IntegerNode]]:
        """Where a block reads x: in place, or from fetched rows or runs."""
        begin, count, by_rows = cut
        columns, rows = plane.shape
        first = plane.source_offset + begin * (columns if by_rows else 1)
        if x not in self._new.where:
            return (x, first, (1, columns)), []
        source, offset = self._new.where[x]
        name = f"{label}/in"
        if by_rows:  # whole rows of x lie together
            self._new.part(x, name, (0, count * columns))
            fetch = FetchRows(name, source, name, offset + first, count * columns)
            return (name, 0, (1, columns)), [fetch]
        self._new.part(x, name, (0, rows * count))
        fetches: list[IntegerNode] = [
            FetchRows(f"{name}{r}", source, name, offset + first + r * columns, count, r * count)
            for r in range(rows)
        ]
        return (name, 0, (1, count)), fetches

    def _plane_out(
        self, label: str, y: str, plane: Piece, cut: tuple[int, int, bool]
    ) -> tuple[Strided, list[IntegerNode]]:
        """Where a block writes y: in place, or to rows or runs that are written back."""
        begin, count, by_rows = cut
        columns, rows = plane.shape
        first = plane.target_offset + begin * (1 if by_rows else rows)
        if y not in self._new.where:
            return (y, first, (rows, 1)), []
        name = f"{label}/out"
        if not by_rows:  # whole rows of y lie together
            self._new.part(y, name, (0, count * rows))
            return (name, 0, (rows, 1)), [self._new.spill(name, y, first, count * rows)]
        self._new.part(y, name, (0, columns * count))
        spills: list[IntegerNode] = [
            self._new.spill(name, y, first + c * rows, count, c * count, f"{name}{c}")
            for c in range(columns)
        ]
        return (name, 0, (count, 1)), spills

    def _parts(self, node: IntegerNode) -> list[Range | None]:
        """Ranges of the output; [None]: the node is taken whole."""
        unit = unit_elements(self._old, node)
        if not unit or len(node.writes) != 1:
            return [None]
        (y,) = node.writes
        tensor = self._old.tensors[y]
        moved = [name for name in (*node.reads, y) if name in self._new.where]
        load = sum(tensor_bytes(self._old.tensors[name]) for name in moved)
        most = max(1, self._budget * tensor.size // max(1, load))
        parts: list[Range | None] = list(cut_edges(self._old, node, unit, most))
        return parts

    def _block(
        self, node: IntegerNode, number: int, part: Range | None
    ) -> tuple[list[IntegerNode], list[IntegerNode], str]:
        """Fetches, then the node with what follows it, and the name of a result left in ABUF."""
        label = f"{node.name}#{number}"
        if part is None:
            needs = {n: (0, self._old.tensors[n].size) for n in node.reads}
            made: IntegerNode = node
        else:
            block = block_of(self._old, node, *part)
            needs, made = dict(block.needs), block.node
        names: dict[str, str] = {}
        fetches: list[IntegerNode] = []
        work: list[IntegerNode] = []
        for place, (name, need) in enumerate(needs.items()):
            target = f"{label}/in{place}"
            if name in self._new.where:
                source, offset = self._new.where[name]
                names[name] = self._new.part(name, target, need)
                count = need[1] - need[0]
                fetches.append(FetchRows(target, source, target, offset + need[0], count))
            elif need != (0, self._old.tensors[name].size):
                names[name] = self._new.part(name, target, need)
                work.append(View(target, name, target, need[0]))
        result = ""
        after: list[IntegerNode] = []
        for place, name in enumerate(made.writes):
            if name not in self._new.where and part is None:
                continue
            target = f"{label}/out{place}"
            begin, end = part or (0, self._old.tensors[name].size)
            names[name] = self._new.part(name, target, (begin, end))
            if name in self._new.where:
                after.append(self._new.spill(target, name, begin, end - begin))
            else:
                result = target
        work += [renamed(made, label, names), *after]
        return fetches, work, result

    def _join(self, node: IntegerNode, pieces: list[tuple[str, Range]]) -> None:
        """Put the blocks of a result that stays in ABUF together."""
        (y,) = node.writes
        copies = tuple(
            Piece(place, (part[1] - part[0],), 0, (1,), part[0], (1,))
            for place, (_, part) in enumerate(pieces)
        )
        self._new.add(Move(f"{node.name}#join", tuple(n for n, _ in pieces), y, copies), node.name)


def in_order(stages: list[Stage]) -> Iterator[IntegerNode]:
    """The nodes of all blocks, each block's fetches in front of the work of the block before."""
    ahead: list[IntegerNode] = []
    for fetches, work in stages:
        yield from fetches
        yield from ahead
        ahead = work
    yield from ahead


def one_by_one(stages: list[Stage]) -> Iterator[IntegerNode]:
    """The nodes of all blocks, each block's fetches in front of its own work."""
    for fetches, work in stages:
        yield from fetches
        yield from work


def transpositions(node: Move) -> list[Piece] | None:
    """The pieces of a Move if each transposes a matrix, else None."""
    if len(node.inputs) != 1:
        return None
    planes = [plane for piece in node.pieces for plane in _planes(piece)]
    return planes if all(_is_transposed(plane) for plane in planes) else None


def _planes(piece: Piece) -> list[Piece]:
    """A piece of three dimensions as its entries along the first."""
    if len(piece.shape) != 3:
        return [piece]
    return [
        replace(
            piece,
            shape=piece.shape[1:],
            source_offset=piece.source_offset + entry * piece.source_strides[0],
            source_strides=piece.source_strides[1:],
            target_offset=piece.target_offset + entry * piece.target_strides[0],
            target_strides=piece.target_strides[1:],
        )
        for entry in range(piece.shape[0])
    ]


def _is_transposed(plane: Piece) -> bool:
    if len(plane.shape) != 2:
        return False
    columns, rows = plane.shape
    return plane.source_strides == (1, columns) and plane.target_strides == (rows, 1)
