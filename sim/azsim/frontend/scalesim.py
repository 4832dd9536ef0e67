"""Topology files of SCALE-Sim (CSV) as dense graphs: each row is a matrix product of its own.

Two forms, told apart by their header: convolutions (IFMAP height and width, filter height and
width, channels, number of filters, stride) and products (M, N, K). As in SCALE-Sim a convolution is
the product of its unrolled windows with the filters, M positions by K = filter height x width x
channels by N filters, and an edge that the stride does not divide has one more, partial window. The
format is that of github.com/scalesim-project/SCALE-Sim (topologies/); values of the weights and
inputs are seeded random numbers, since the files have none.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.frontend.inputs import Inputs
from azsim.graph import Graph, Node, Value, ValueKind, verify_graph
from azsim.graph.text import one_line
from azsim.graph.verify import MAX_ELEMENTS
from azsim.units import ceil_div

CONV_HEADER = (
    "IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter",
    "Strides",
)  # fmt: skip
PRODUCT_HEADER = ("M", "N", "K")
MAX_FILE_BYTES = 1 << 20
MAX_LAYERS = 1000
SEED = 1
SEED_PROPERTY = "azsim.seed"
TOPOLOGY_PROPERTY = "azsim.topology"
_LARGEST = 1 << 24  # of one number
_FIRST = ("layer", "layer name")


@dataclass(frozen=True)
class TopologyLayer:
    """A product of (m, k) activations with (k, n) weights; `name` is unique in its file."""

    name: str
    m: int
    n: int
    k: int


def is_topology(path: str | Path) -> bool:
    """Say whether `path` is to be read as a topology file, by its name."""
    return Path(path).suffix.lower() == ".csv"


def read_topology(path: str | Path) -> tuple[TopologyLayer, ...]:
    """Return the layers of a topology file.

    Raises:
        ModelError: the file or a line of it cannot be taken, as `file:line: what`.
    """
    rows = _rows(Path(path))
    line, header = next(rows, (1, []))
    known = _header(f"{path}:{line}", header)
    layers: dict[str, TopologyLayer] = {}
    for line, cells in rows:
        where = f"{path}:{line}"
        layer = _layer(where, known, cells)
        if layer.name in layers:
            raise ModelError(f"{where}: layer name '{layer.name}' must be there once")
        layers[layer.name] = layer
        if len(layers) > MAX_LAYERS:
            raise ModelError(f"{where}: must be one of at most {MAX_LAYERS} layers")
    if not layers:
        raise ModelError(f"{path}: must have a layer below its header, it has none")
    return tuple(layers.values())


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with their lines; cells without spaces around them."""
    try:
        if not path.is_file() and path.exists():
            raise ModelError(f"{path}: must be a plain file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: must be at most {MAX_FILE_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: must be text in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ModelError(f"{path}:{reader.line_num}: {one_line(str(error))}") from None


def _header(where: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Return which columns the file has behind the name. SCALE-Sim reads columns by their place, so
    that notes may stand behind an empty one."""
    words = [" ".join(cell.lower().split()) for cell in cells]
    if not words or words[0] not in _FIRST:
        first = one_line(cells[0]) if cells else ""
        raise ModelError(f"{where}: header must begin with 'Layer name', not '{first}'")
    known = PRODUCT_HEADER if words[1:2] == ["m"] else CONV_HEADER
    for place, name in enumerate(known, 1):
        found = one_line(cells[place]) if place < len(cells) else ""
        if place >= len(words) or words[place] != name.lower():
            raise ModelError(f"{where}: column {place + 1} must be '{name}', not '{found}'")
    after = len(known) + 1
    if after < len(cells) and cells[after]:
        raise ModelError(
            f"{where}: must have no column behind '{known[-1]}' (only dense layers are taken), "
            f"not '{one_line(cells[after])}'"
        )
    return known


def _layer(where: str, known: tuple[str, ...], cells: Sequence[str]) -> TopologyLayer:
    name = one_line(cells[0])
    if not name:
        raise ModelError(f"{where}: must begin with the name of a layer")
    after = len(known) + 1
    if after < len(cells) and cells[after]:
        raise ModelError(
            f"{where}: must have {len(known)} numbers, not also '{one_line(cells[after])}'"
        )
    values = {column: _number(where, column, cells, n) for n, column in enumerate(known, 1)}
    if known == PRODUCT_HEADER:
        m, n, k = (values[column] for column in known)
    else:
        m, n, k = _unrolled(where, values)
    for what, size in (("M x K", m * k), ("N x K", n * k), ("M x N", m * n)):
        if size > MAX_ELEMENTS:
            raise ModelError(f"{where}: {what} must be at most {MAX_ELEMENTS}, not {size}")
    return TopologyLayer(name, m, n, k)


def _number(where: str, column: str, cells: Sequence[str], place: int) -> int:
    text = cells[place] if place < len(cells) else ""
    if re.fullmatch(r"[0-9]{1,9}", text) is None or not 1 <= int(text) <= _LARGEST:
        raise ModelError(
            f"{where}: {column} must be a whole number from 1 to {_LARGEST}, not '{one_line(text)}'"
        )
    return int(text)


def _unrolled(where: str, values: dict[str, int]) -> tuple[int, int, int]:
    """Return (M, N, K) of a convolution."""
    height, width, filter_height, filter_width, channels, filters, stride = values.values()
    for side, size, window in (("Height", height, filter_height), ("Width", width, filter_width)):
        if window > size:
            raise ModelError(
                f"{where}: Filter {side} must be at most IFMAP {side} ({size}), not {window}"
            )
    rows = ceil_div(height - filter_height, stride) + 1
    columns = ceil_div(width - filter_width, stride) + 1
    return rows * columns, filters, filter_height * filter_width * channels


def topology_graph(name: str, layers: Sequence[TopologyLayer], seed: int = SEED) -> Graph:
    """Return the graph of the layers, each with an input NAME.x and an output NAME.

    Raises:
        ModelError: all layers together are more than a graph may hold.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, Value] = {}
    nodes: list[Node] = []
    for layer in layers:
        data = rng.standard_normal((layer.k, layer.n), dtype=np.float32)
        x, w = f"{layer.name}.x", f"{layer.name}.w"
        made = (
            Value(x, (layer.m, layer.k), ValueKind.INPUT),
            Value(w, data.shape, ValueKind.CONSTANT, data),
            Value(layer.name, (layer.m, layer.n), ValueKind.NODE),
        )
        values |= {value.name: value for value in made}
        nodes.append(Node(layer.name, "MatMul", (x, w), (layer.name,)))
    inputs = tuple(node.inputs[0] for node in nodes)
    outputs = tuple(node.name for node in nodes)
    metadata = {SEED_PROPERTY: str(seed), TOPOLOGY_PROPERTY: "scale-sim"}
    graph = Graph(name, tuple(nodes), values, inputs, outputs, metadata=metadata)
    verify_graph(graph)
    return graph


def random_inputs(graph: Graph, frames: int = 1, seed: int = SEED) -> Inputs:
    """Return frames of seeded random numbers for every input of `graph`."""
    rng = np.random.default_rng([seed, 1])
    arrays: dict[str, npt.NDArray[np.generic]] = {
        name: rng.standard_normal((frames, *graph.values[name].shape), dtype=np.float32)
        for name in graph.inputs
    }
    return Inputs(arrays, f"random numbers, seed {seed}")
