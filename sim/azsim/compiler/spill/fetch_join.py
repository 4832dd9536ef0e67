"""States in DRAM that only go into a joined tensor (cached rows, then new ones) are fetched
straight to their place there, so that only the new rows are copied."""

from __future__ import annotations

import math
from dataclasses import replace

from azsim.graph.integer import FetchRows, IntegerGraph, IntegerNode, Move, Piece


def join_fetches(graph: IntegerGraph) -> IntegerGraph:
    """Return `graph` without the tensors that are fetched only to be copied whole runs of."""
    readers: dict[str, list[IntegerNode]] = {}
    for node in graph.nodes:
        for name in node.reads:
            readers.setdefault(name, []).append(node)
    joined = {
        fetch.y: move
        for fetch in graph.nodes
        if isinstance(fetch, FetchRows)
        if (move := _only_move(graph, readers.get(fetch.y, []), fetch.y)) is not None
    }
    nodes: list[IntegerNode] = []
    layers = dict(graph.layer_names)
    for node in graph.nodes:
        if isinstance(node, FetchRows) and node.y in joined:
            parts = _into(node, joined[node.y])
            layers |= dict.fromkeys((part.name for part in parts), layers.get(node.name, node.name))
            nodes += parts
        elif isinstance(node, Move) and joined.keys() & set(node.inputs):
            nodes += _without(node, joined.keys() & set(node.inputs))
        else:
            nodes.append(node)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in joined}
    return replace(graph, nodes=tuple(nodes), tensors=tensors, layer_names=layers)


def _only_move(graph: IntegerGraph, readers: list[IntegerNode], name: str) -> Move | None:
    """The Move that alone reads `name`, in whole runs, beside other tensors."""
    move = readers[0] if len(readers) == 1 else None
    if not isinstance(move, Move) or move.y in graph.outputs or len(move.inputs) < 2:
        return None
    mine = [piece for piece in move.pieces if move.inputs[piece.source] == name]
    return move if all(_is_run(piece) for piece in mine) else None


def _is_run(piece: Piece) -> bool:
    """True if neighbours in the source are neighbours in the target, without gaps."""
    step = 1
    for size, *strides in reversed(
        list(zip(piece.shape, piece.source_strides, piece.target_strides, strict=True))
    ):
        if size != 1 and strides != [step, step]:
            return False
        step *= size
    return True


def _into(fetch: FetchRows, move: Move) -> list[IntegerNode]:
    """The fetches of the pieces of a Move that come from what `fetch` brings."""
    pieces = [piece for piece in move.pieces if move.inputs[piece.source] == fetch.y]
    return [
        replace(
            fetch,
            name=f"{fetch.name}{place or ''}",
            y=move.y,
            offset=fetch.offset + piece.source_offset,
            count=math.prod(piece.shape),
            near=piece.target_offset,
        )
        for place, piece in enumerate(pieces)
    ]


def _without(move: Move, names: set[str]) -> list[IntegerNode]:
    """The Move of the other pieces; nothing if there is none."""
    inputs = tuple(name for name in move.inputs if name not in names)
    pieces = tuple(
        replace(piece, source=inputs.index(move.inputs[piece.source]))
        for piece in move.pieces
        if move.inputs[piece.source] in inputs
    )
    return [replace(move, inputs=inputs, pieces=pieces)] if pieces else []
