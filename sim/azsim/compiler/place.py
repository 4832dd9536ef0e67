"""Pass 7, place: an ABUF address for every tensor.

Recurrent states live for ever; so do the two parameter buffers that DMA-A refills; other tensors
share memory when their lives do not overlap. A state's result is computed in the state's own place
where nobody reads the old value any more; else it is copied there at the end of the step.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from azsim.compiler.tile import LinearTiling
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import (
    IntegerGraph,
    IntegerKind,
    LstmCell,
    View,
    node_inputs,
    node_outputs,
)

ALIGNMENT = 64  # bytes
PARAMETER_BUFFERS = 2
PARAMETER_BYTES_PER_ROW = 9  # multiplier 4, bias 4, shift 1
FOREVER = 1 << 30


class NoRoomError(CompileError):
    """A tensor finds no room in ABUF; `tensor` is its name."""

    def __init__(self, tensor: str, size: int, need: int, have: int) -> None:
        text = f"ABUF: '{tensor}' ({size} bytes) needs {need} bytes, the chip has {have}"
        super().__init__(text)
        self.tensor = tensor


@dataclass(frozen=True)
class Placement:
    """`address[tensor]` in ABUF bytes (views included); `parameters`: addresses of the parameter
    buffers.

    `copies`: (result, source) pairs of states to copy at the end of the step; `spares[state]`:
    address of a spare buffer for states whose old value another state takes over. `abuf_bytes`:
    bytes used in all.
    """

    address: Mapping[str, int]
    parameters: tuple[int, ...]
    parameter_bytes: int
    copies: tuple[tuple[str, str], ...]
    spares: Mapping[str, int]
    abuf_bytes: int


@dataclass(frozen=True)
class _Life:
    """First and last node number at which a root buffer must hold its bytes."""

    first: int
    last: int


def place_graph(
    graph: IntegerGraph, tilings: Mapping[str, LinearTiling], chip: ChipConfig
) -> Placement:
    """Return an address for each tensor of `graph`.

    Raises:
        CompileError: ABUF is too small; the text says need and have.
    """
    roots = _roots(graph)
    lives = _lives(graph, roots)
    shared = _in_place(graph, roots, lives)
    allocator = _Allocator(chip.abuf.capacity_kb * 1024)
    base: dict[str, int] = {}
    for state in graph.states:
        if not graph.tensors[state.source].in_dram:
            size = tensor_bytes(graph, state.source)
            base[state.source] = allocator.forever(state.source, size)
    parameter_bytes = parameter_space(tilings) // PARAMETER_BUFFERS
    parameters = tuple(
        allocator.forever("parameters", parameter_bytes) for _ in range(PARAMETER_BUFFERS)
    )
    copies = tuple(
        (state.result, state.source)
        for state in graph.states
        if roots[state.result][0] not in shared and state.result != state.source
    )
    spares = _spares(graph, roots, copies, allocator)
    _place_roots(graph, lives, shared, base, allocator)
    address = {name: base[root] + offset for name, (root, offset) in roots.items() if root in base}
    return Placement(
        address, parameters, parameter_bytes, copies, spares, allocator.high_water_bytes
    )


def parameter_space(tilings: Mapping[str, LinearTiling]) -> int:
    """Bytes of the parameter buffers."""
    block_rows = max((t.block_rows for t in tilings.values()), default=0)
    return PARAMETER_BUFFERS * _aligned(PARAMETER_BYTES_PER_ROW * block_rows)


class LeastSpace:
    """What ABUF must hold at least, before any placement: tensors that live at the same time."""

    def __init__(self, graph: IntegerGraph) -> None:
        roots = _roots(graph)
        lives = _lives(graph, roots)
        shared = _in_place(graph, roots, lives)
        self._constants = {n for n, t in graph.tensors.items() if t.kind is IntegerKind.CONSTANT}
        self._parts = {
            root: (tensor_bytes(graph, root), life)
            for root, life in lives.items()
            if root not in shared
        }

    def without(self, moved: Collection[str]) -> int:
        """Most bytes that live at once if the tensors `moved` lie elsewhere."""
        changes: dict[int, int] = {}
        for root, (size, life) in self._parts.items():
            if root not in moved:
                changes[life.first] = changes.get(life.first, 0) + size
                changes[life.last + 1] = changes.get(life.last + 1, 0) - size
        return max(accumulate(changes[place] for place in sorted(changes)), default=0)

    def during(self, first: int, last: int, moved: Collection[str]) -> int:
        """Bytes of all tensors, except constants, that live at some node from `first` to `last`, if
        the tensors `moved` lie elsewhere."""
        return sum(
            _aligned(size)
            for root, (size, life) in self._parts.items()
            if root not in moved
            and root not in self._constants
            and life.first <= last
            and life.last >= first
        )

    def size(self, name: str) -> int:
        """Bytes of a tensor that has a place of its own, else 0."""
        return self._parts[name][0] if name in self._parts else 0


def tensor_bytes(graph: IntegerGraph, name: str) -> int:
    """Size of a tensor in bytes."""
    tensor = graph.tensors[name]
    return tensor.size * np.dtype(tensor.element).itemsize


def _roots(graph: IntegerGraph) -> dict[str, tuple[str, int]]:
    """Each tensor's root buffer and byte offset: views share their input's bytes."""
    roots = {name: (name, 0) for name in graph.tensors}
    for node in graph.nodes:
        if isinstance(node, View):
            root, offset = roots[node.x]
            width = np.dtype(graph.tensors[node.x].element).itemsize
            roots[node.y] = (root, offset + node.offset * width)
    return roots


def _lives(graph: IntegerGraph, roots: dict[str, tuple[str, int]]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}

    def touch(name: str, number: int) -> None:
        root = roots[name][0]
        if graph.tensors[root].in_dram:
            return
        old = lives.get(root, _Life(number, number))
        lives[root] = _Life(min(old.first, number), max(old.last, number))

    for name in graph.inputs:
        touch(name, -1)
    for span, node in zip(_spans(graph), graph.nodes, strict=True):
        for name in (*node_inputs(node), *node_outputs(node)):
            for number in span:
                touch(name, number)
    for state in graph.states:
        touch(state.source, -1)
        touch(state.result, FOREVER)
    for name in graph.outputs:  # stored behind the node that finishes it
        touch(name, _producer(graph, name))
    return lives


def _spans(graph: IntegerGraph) -> list[tuple[int, ...]]:
    """For each node the numbers of the first and last node it may take turns with: its section."""
    if not graph.sections:
        return [(number,) for number in range(len(graph.nodes))]
    ends: dict[int, tuple[int, int]] = {}
    sections = [graph.sections.get(node.name) for node in graph.nodes]
    for number, section in enumerate(sections):
        if section is not None:
            ends[section[0]] = ends.get(section[0], (number,))[0], number
    return [(n,) if at is None else ends[at[0]] for n, at in enumerate(sections)]


def _producer(graph: IntegerGraph, name: str) -> int:
    for number, node in enumerate(graph.nodes):
        if name in node_outputs(node):
            return number
    return -1


def _in_place(
    graph: IntegerGraph, roots: dict[str, tuple[str, int]], lives: dict[str, _Life]
) -> dict[str, str]:
    """Roots of state results that may lie in their state's place: root of result -> state
    source."""
    shared: dict[str, str] = {}
    uses = [roots[state.result][0] for state in graph.states]
    sources = {state.source for state in graph.states}
    for state in graph.states:
        root, offset = roots[state.result]
        if uses.count(root) == 1 and root not in sources and offset == 0:
            if tensor_bytes(graph, root) != tensor_bytes(graph, state.source):
                continue
            if _may_overwrite(graph, roots, root, state.source):
                shared[root] = state.source
    return shared


def _may_overwrite(
    graph: IntegerGraph, roots: dict[str, tuple[str, int]], result: str, source: str
) -> bool:
    """True if an LSTM cell makes `result` and nobody reads `source` later (or as h in the same
    cell)."""
    for state in graph.states:
        if roots[state.result][0] == source:
            return False  # another state takes the old value over at the end of the step
    producer = _producer(graph, result)
    node = graph.nodes[producer] if producer >= 0 else None
    if not isinstance(node, LstmCell):
        return False
    last_read, read_by_cell = -1, False
    for number, reader in enumerate(graph.nodes):
        names = [n for n in node_inputs(reader) if roots[n][0] == source]
        if names and not isinstance(reader, View):
            last_read = number
            read_by_cell = number == producer
    if source in graph.outputs or any(roots[n][0] == source for n in graph.outputs):
        return False
    if read_by_cell and last_read == producer:
        return result == node.c_out and roots[node.c_in] == (source, 0)
    return last_read < producer


def _spares(
    graph: IntegerGraph,
    roots: dict[str, tuple[str, int]],
    copies: tuple[tuple[str, str], ...],
    allocator: _Allocator,
) -> dict[str, int]:
    """A spare buffer for each copied state whose new value lies in the place of a state (old values
    move on)."""
    sources = {state.source for state in graph.states}
    return {
        source: allocator.forever(f"{source}/spare", tensor_bytes(graph, source))
        for result, source in copies
        if roots[result][0] in sources
    }


def _place_roots(
    graph: IntegerGraph,
    lives: dict[str, _Life],
    shared: dict[str, str],
    base: dict[str, int],
    allocator: _Allocator,
) -> None:
    longest = bool(graph.sections)  # in a cascade buffers of strips come and go between long ones
    order = [(life.first, -life.last * longest, root) for root, life in lives.items()]
    for _, _, root in sorted(order):
        life = lives[root]
        if root in base:
            continue
        if root in shared:
            base[root] = base[shared[root]]
            continue
        first = life.first
        if graph.tensors[root].kind is IntegerKind.INPUT:
            first = -1
        base[root] = allocator.place(root, tensor_bytes(graph, root), first, life.last)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class _Allocator:
    """First fit by address among the buffers whose lives overlap.

    Buffers are asked for in the order of their first use: what ended before is forgotten.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._taken: list[tuple[int, int, int, int, str]] = []  # address, end, first, last, name
        self.high_water_bytes = 0

    def forever(self, name: str, size: int) -> int:
        """Reserve `size` bytes for the whole step and all steps."""
        return self.place(name, size, -1, FOREVER)

    def place(self, name: str, size: int, first: int, last: int) -> int:
        """Reserve `size` bytes from node `first` to node `last`; return the address."""
        size = _aligned(size)
        address = 0
        self._taken = [taken for taken in self._taken if taken[3] >= first]
        for begin, end, other_first, _, _ in self._taken:
            if last < other_first:
                continue
            if address + size <= begin:
                break
            address = max(address, end)
        if address + size > self._capacity:
            raise NoRoomError(name, size, address + size, self._capacity)
        insort(self._taken, (address, address + size, first, last, name))
        self.high_water_bytes = max(self.high_water_bytes, address + size)
        return address


def verify_placement(graph: IntegerGraph, placement: Placement, chip: ChipConfig) -> None:
    """Check that every tensor that a command touches has an aligned address inside ABUF.

    Raises:
        CompileError: the first tensor without one.
    """
    capacity = chip.abuf.capacity_kb * 1024
    for node in graph.nodes:
        names = (*node_inputs(node), *node_outputs(node))
        for name in (name for name in names if not graph.tensors[name].in_dram):
            width = np.dtype(graph.tensors[name].element).itemsize
            address = placement.address.get(name, -1)
            end = address + tensor_bytes(graph, name)
            if address < 0 or address % width or end > capacity:
                raise CompileError(f"tensor '{name}': must lie in ABUF, aligned to {width}")
