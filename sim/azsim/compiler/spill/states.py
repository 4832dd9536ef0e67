"""Recurrent states that lie in DRAM: the caches of a streaming attention outgrow ABUF.

Such a state is fetched some nodes in front of its first reader, and its new value is written over
the old one some nodes behind the one that makes it. DMA-A works in program order, so the old value
is always read first. Results are the same integers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from azsim.compiler.spill.activations import spill_graph
from azsim.compiler.spill.fetch_join import join_fetches
from azsim.compiler.spill.rewrite import renamed
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph import StatePair
from azsim.graph.integer import (
    FetchRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    SpillRows,
    View,
)

# Nodes between a fetch and its first reader, and between the maker of a new value and its way back:
# DMA-A, which works in program order, then waits for neither, nor makes others wait.
AHEAD, BEHIND = 8, 8
SHARE = 2  # of ABUF: states that take more than half of it move, so that the rest is for the work


def fit_graph(graph: IntegerGraph, chip: ChipConfig) -> IntegerGraph:
    """Return `graph` with states and activations in DRAM, as ABUF makes necessary.

    Raises:
        CompileError: even one row of some node does not fit; the text says need and have.
    """
    moved = states_beyond(graph, chip.abuf.capacity_kb * 1024 // SHARE)
    try:
        return spill_graph(states_to_dram(graph, moved), chip)
    except CompileError as error:
        refusal = error
    every = movable_states(graph)
    if len(every) > len(moved):
        with suppress(CompileError):
            return spill_graph(states_to_dram(graph, every), chip)
    raise refusal


def states_beyond(graph: IntegerGraph, limit_bytes: int) -> tuple[str, ...]:
    """Names of the states to move so that those left take at most `limit_bytes`, old and new
    values: the largest first, as few as that takes."""
    sizes = {state.source: 2 * _bytes(graph, state.source) for state in graph.states}
    left = sum(sizes.values())
    moved: list[str] = []
    for name in sorted(movable_states(graph), key=lambda name: (-sizes[name], name)):
        if left <= limit_bytes:
            break
        moved.append(name)
        left -= sizes[name]
    return tuple(moved)


def movable_states(graph: IntegerGraph) -> tuple[str, ...]:
    """Names of the states that a node gives a new value of its own: none that an old state, an
    input or a constant becomes, and none that is an output."""
    roots: dict[str, str] = {}
    made: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, View):
            roots[node.y] = roots.get(node.x, node.x)
        else:
            made.update(node.writes)
    outputs = {roots.get(name, name) for name in graph.outputs}
    return tuple(
        state.source
        for state in graph.states
        if roots.get(state.result, state.result) in made and state.source not in outputs
    )


def states_to_dram(graph: IntegerGraph, names: Collection[str]) -> IntegerGraph:
    """Return `graph` with the states `names` in DRAM. Fetch (NAME/in) and way back (NAME/out) are
    layers of their own in reports."""
    if not names:
        return graph
    tensors = dict(graph.tensors)
    before: dict[int, list[IntegerNode]] = {}
    behind: dict[int, list[IntegerNode]] = {}
    near: dict[str, str] = {}
    states: list[StatePair] = []
    for state in graph.states:
        name = state.source
        if name not in names:
            states.append(state)
            continue
        states.append(StatePair(name, name))
        old = tensors[name]
        tensors[name] = replace(old, in_dram=True)
        made, read = _maker(graph, state.result), _first_reader(graph, name)
        if read is not None:
            near[name] = f"{name}/in"
            tensors[near[name]] = replace(old, name=near[name], kind=IntegerKind.NODE)
            fetch = FetchRows(near[name], name, near[name], 0, old.size)
            before.setdefault(max(0, min(read, made) - AHEAD), []).append(fetch)
        spill = SpillRows(f"{name}/out", state.result, name, 0, old.size)
        behind.setdefault(min(made + BEHIND, len(graph.nodes) - 1), []).append(spill)
    nodes = _woven(graph, before, behind, near)
    far = replace(graph, nodes=nodes, tensors=tensors, states=tuple(states))
    return join_fetches(far)


def _woven(
    graph: IntegerGraph,
    before: Mapping[int, list[IntegerNode]],
    behind: Mapping[int, list[IntegerNode]],
    near: Mapping[str, str],
) -> tuple[IntegerNode, ...]:
    nodes: list[IntegerNode] = []
    for number, node in enumerate(graph.nodes):
        nodes += before.get(number, [])
        moved = {name: near[name] for name in node.reads if name in near}
        nodes.append(renamed(node, node.name, moved) if moved else node)
        nodes += behind.get(number, [])
    return tuple(nodes)


def _maker(graph: IntegerGraph, name: str) -> int:
    return next(number for number, node in enumerate(graph.nodes) if name in node.writes)


def _first_reader(graph: IntegerGraph, name: str) -> int | None:
    return next((number for number, node in enumerate(graph.nodes) if name in node.reads), None)


def _bytes(graph: IntegerGraph, name: str) -> int:
    tensor = graph.tensors[name]
    return tensor.size * np.dtype(tensor.element).itemsize
