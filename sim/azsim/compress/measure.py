"""What a compressed model costs and what it loses, by the compiler and encoder that a run uses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from azsim.compiler import CompressionPlan, RangeRecorder, Ranges, compress_weights
from azsim.compiler.compress import compress_graph
from azsim.compiler.prune import WEIGHT_INPUTS
from azsim.compiler.residency import choose_resident
from azsim.compiler.spill.states import fit_graph
from azsim.compiler.tile import tile_graph
from azsim.compress.source import SourceModel, WeightPart, weight_values
from azsim.compress.weights import IntegerRows
from azsim.config import ChipConfig
from azsim.graph import Graph, StoredIntegers, Value
from azsim.graph.integer import EmbedRows, IntegerGraph, Linear
from azsim.graph.integer_spatial import Depthwise
from azsim.reference.floats import run_floats

Frames = Mapping[str, npt.NDArray[np.generic]]
Outputs = Mapping[str, npt.NDArray[np.float64]]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LayerSize:
    """`stream_bytes` with tables; `fetched_bytes`: read from DRAM in one step, what stays in the
    weight store left out; `weights`, `nonzeros` count matrix entries."""

    weights: int = 0
    nonzeros: int = 0
    stream_bytes: int = 0
    fetched_bytes: int = 0

    @property
    def bits_per_weight(self) -> float:
        """Of the stream."""
        return 8 * self.stream_bytes / self.weights if self.weights else 0.0

    def plus(self, other: LayerSize) -> LayerSize:
        """The sum of both."""
        return LayerSize(
            self.weights + other.weights,
            self.nonzeros + other.nonzeros,
            self.stream_bytes + other.stream_bytes,
            self.fetched_bytes + other.fetched_bytes,
        )


def layer_sizes(
    graph: Graph, ranges: Ranges, plan: CompressionPlan, chip: ChipConfig
) -> dict[str, LayerSize]:
    """Compress the weights for `chip` and return the size of each node of `graph` with weights.

    A matrix that several nodes share counts for the first. Weights of depthwise convolutions and
    tables are raw bytes, as the chip reads them; of a table a step fetches the rows it looks up.

    Raises:
        CompileError: the graph cannot be computed in integers, or not tiled for the chip.
    """
    layers = [n.name for n in graph.nodes if n.operator in (*WEIGHT_INPUTS, "Embed")]
    integers = fit_graph(compress_weights(graph, ranges, plan), chip)
    tensors = compress_graph(integers, tile_graph(integers, chip), chip)
    resident = choose_resident(list(tensors.values()), chip.weight_store.capacity_kb * 1024)
    sizes = dict.fromkeys(layers, LayerSize())
    for (key, tensor), mask in zip(tensors.items(), resident, strict=True):
        kept = int(tensor.tile_bytes[mask].sum())
        tables = tensor.total_bytes - int(tensor.tile_bytes.sum())
        fetched = (tensor.total_bytes - tables - kept) * tensor.uses + tables
        count = _weights_of(integers, key)
        made = LayerSize(count, tensor.nonzeros, tensor.total_bytes, fetched)
        layer = _layer_of(tensor.name, sizes)
        sizes[layer] = sizes.get(layer, LayerSize()).plus(made)
    for name, weights in _depthwise(integers).items():
        layer = _layer_of(name, sizes)
        made = LayerSize(weights.size, int(np.count_nonzero(weights)), weights.size, weights.size)
        sizes[layer] = sizes.get(layer, LayerSize()).plus(made)
    for node in integers.nodes:
        if isinstance(node, EmbedRows):
            table, fetched = node.table, integers.tensors[node.y].size
            layer = _layer_of(node.name, sizes)
            made = LayerSize(table.size, int(np.count_nonzero(table)), table.size, fetched)
            sizes[layer] = sizes.get(layer, LayerSize()).plus(made)
    return sizes


def source_sizes(source: SourceModel, sizes: Mapping[str, LayerSize]) -> dict[str, LayerSize]:
    """Sizes by layer of the file, of all its nodes; those of other nodes are left out."""
    return {
        layer: total({node: sizes.get(node, LayerSize()) for node in nodes})
        for layer, nodes in source.nodes.items()
    }


def _depthwise(integers: IntegerGraph) -> dict[str, npt.NDArray[np.generic]]:
    """Weights of depthwise convolutions by the first node that uses them."""
    found: dict[str, tuple[str, npt.NDArray[np.generic]]] = {}
    for node in integers.nodes:
        if isinstance(node, Depthwise):
            data = integers.tensors[node.weights].data
            if data is not None:
                found.setdefault(node.weights, (node.name, data))
    return dict(found.values())


def _weights_of(integers: IntegerGraph, key: int) -> int:
    return next(
        int(n.weights.size)
        for n in integers.nodes
        if isinstance(n, Linear) and id(n.weights) == key
    )


def _layer_of(name: str, layers: Mapping[str, LayerSize]) -> str:
    """The layer whose integer node `name` is: parts of it are called LAYER/part."""
    layer = name
    while layer and layer not in layers:
        layer = layer.rpartition("/")[0]
    return layer or name


def total(sizes: Mapping[str, LayerSize]) -> LayerSize:
    """The sum over all layers."""
    whole = LayerSize()
    for size in sizes.values():
        whole = whole.plus(size)
    return whole


# -- graphs with other weights --------------------------------------------------------------------


def with_weights(
    graph: Graph, source: SourceModel, layers: Mapping[str, tuple[IntegerRows, ...] | None]
) -> Graph:
    """Return `graph` with the weights of `layers`; None gives a layer its own floats back."""
    values = dict(graph.values)
    nodes = {node.name: node for node in graph.nodes}
    for layer, matrices in layers.items():
        for run, node in enumerate(source.nodes[layer]):
            names = weight_values(nodes[node])
            for number, (name, part) in enumerate(zip(names, source.parts[layer], strict=True)):
                if name:
                    rows = None if matrices is None else matrices[number]
                    values[name] = _with_rows(values[name], part, rows, run)
    return replace(graph, values=values)


def _with_rows(value: Value, part: WeightPart, rows: IntegerRows | None, run: int) -> Value:
    if rows is None:
        data = part.graph_form(part.rows * np.float32(part.factor), run)
        return _value(value, data, None)
    column = np.broadcast_to(rows.scales[:, None], (len(rows.integers), 1))
    scale = part.graph_form(np.broadcast_to(column, rows.integers.shape), run)
    stored = part.graph_form(rows.integers, run).astype(np.int8, copy=False)
    wide = scale.astype(np.float64) * part.factor
    data = stored.astype(np.float32) * wide.astype(np.float32)
    return _value(value, data, StoredIntegers(stored, _thin(wide, stored.shape), 8))


def _value(value: Value, data: npt.NDArray[np.generic], stored: StoredIntegers | None) -> Value:
    return replace(value, data=np.ascontiguousarray(data, np.float32), stored=stored)


def _thin(scale: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Scales as broad as they must be: one entry along every axis in which they are equal."""
    found = scale
    for axis in range(len(shape)):
        first = np.take(found, [0], axis=axis)
        if np.array_equal(np.broadcast_to(first, found.shape), found):
            found = first
    return found


# -- what is lost ---------------------------------------------------------------------------------


def ranges_and_outputs(graph: Graph, frames: Frames, tell: Tell) -> tuple[Ranges, Outputs]:
    """Ranges of all values and outputs of each step, by the float reference, quantizers of the
    graph included."""
    recorder = RangeRecorder(graph)
    kept: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in graph.outputs}
    steps = min((len(array) for array in frames.values()), default=0)
    for number, values in enumerate(run_floats(graph, frames)):
        recorder.add(values)
        for name, found in kept.items():
            found.append(values[name].astype(np.float64))
        tell("float reference", number + 1, steps)
    return recorder.ranges(), {name: np.stack(found) for name, found in kept.items() if found}


def noise_share(exact: Outputs, other: Outputs) -> float:
    """Noise power over signal power of the worst output; 0 where nothing differs."""
    worst = 0.0
    for name, signal in exact.items():
        power = float(np.sum(signal**2))
        noise = float(np.sum((signal - other[name]) ** 2))
        if noise > 0.0:
            worst = max(worst, noise / power if power > 0.0 else math.inf)
    return worst


def decibels(share: float) -> float | None:
    """Signal to noise in dB; None where there is no noise."""
    return None if share == 0.0 else -10.0 * math.log10(share) if share < math.inf else -math.inf


def finite(value: float | None) -> float | None:
    """For JSON and tables: None in place of infinity."""
    return value if value is not None and math.isfinite(value) else None


def size_json(size: LayerSize) -> dict[str, float]:
    """A size as plain values."""
    return {**asdict(size), "bits_per_weight": size.bits_per_weight}
