"""Single operations as nets: what one block of another net costs, and calibration of estimates."""

from __future__ import annotations

from functools import partial

from azsim.zoo.blocks import Heads, attention, gelu, layer_norm, svdf
from azsim.zoo.camera_blocks import Block, Map, block, conv, depthwise
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import Net, Recipe

FRAME_MS = 30  # no period belongs to them; one is needed for idle energy
# side of the map, channels, expansion: blocks early and late in a camera net (kernel 3)
BLOCKS = ((160, 16, 8), (80, 40, 4), (20, 96, 4), (10, 120, 8))
GEMM_ROWS = (1, 2, 4, 8, 16)
_GEMM_SIDE = 1024


def _product(maker: NetMaker, rows: int, features: int, columns: int) -> None:
    x = maker.input("x", (rows, features))
    maker.dense(DenseLayer("product", features, columns, rows=rows), x, 1.0, result="y")
    maker.output("y", (rows, columns))


def _map(maker: NetMaker, side: int, channels: int) -> Map:
    return Map(maker.input("x", (1, channels, side, side)), channels, side, side, 1.0)


def _end(maker: NetMaker, y: Map) -> None:
    maker.operator("Identity", "result", [y.value], "y")
    maker.output("y", (1, y.channels, y.height, y.width))


def _convolution(maker: NetMaker, side: int, channels: int, kernel: int, full: bool) -> None:
    x = _map(maker, side, channels)
    if full:
        _end(maker, conv(maker, "conv", x, channels, kernel))
    else:
        _end(maker, depthwise(maker, "depthwise", x, kernel))


def _block(maker: NetMaker, kind: str, side: int, channels: int, expansion: int) -> None:
    x = _map(maker, side, channels)
    _end(maker, block(maker, kind, x, Block(kind, channels, expansion)))


def _attention(maker: NetMaker) -> None:
    """5 queries on 35 keys, 512 wide, 8 heads: a segment of an Emformer with its left context."""
    sizes = Heads(queries=5, keys=35, heads=8, head_width=64)
    x = maker.input("x", (sizes.queries, sizes.width))
    context = maker.input("context", (sizes.keys, sizes.width))
    sources = {"query": (x, sizes.queries), "key": (context, sizes.keys)}
    sources["value"] = sources["key"]
    parts = [
        maker.dense(DenseLayer(name, sizes.width, sizes.width, rows=rows), value, 1.0)
        for name, (value, rows) in sources.items()
    ]
    y = attention(maker, "attention", sizes, *parts)
    maker.dense(DenseLayer("out", sizes.width, sizes.width, rows=sizes.queries), y, 0.2, result="y")
    maker.output("y", (sizes.queries, sizes.width))


def _svdf(maker: NetMaker) -> None:
    y = svdf(maker, "svdf", maker.input("x", (1, 128)), 128, 256, 10)
    maker.operator("Identity", "result", [y], "y")
    maker.output("y", (1, 256))


_ROWS, _COLUMNS = 40, 512


def _rows(maker: NetMaker, kind: str) -> None:
    x = maker.input("x", (_ROWS, _COLUMNS))
    if kind == "softmax":
        y = maker.operator("Softmax", kind, [x], axis=-1)
    elif kind == "layernorm":
        y = layer_norm(maker, kind, x, _COLUMNS)
    else:
        y = gelu(maker, kind, x)
    maker.operator("Identity", "result", [y], "y")
    maker.output("y", (_ROWS, _COLUMNS))


def _entry(name: str, summary: str, net: Net) -> ZooEntry:
    source = "One operation; sizes are those of blocks of the other nets."
    return ZooEntry(f"micro_{name}", None, summary, "made up", source, FRAME_MS, 8, 0.0, net)


def _pair(kind: str, side: int, channels: int, expansion: int) -> ZooEntry:
    what = {"ibn": "inverted residual (1x1, depthwise 3x3, 1x1)", "fused": "fused (3x3, 1x1)"}
    summary = f"Block, {what[kind]}: {side} x {side} x {channels}, expansion {expansion}."
    recipe = partial(_block, kind=kind, side=side, channels=channels, expansion=expansion)
    return _entry(f"{kind}_{side}", summary, Recipe(recipe))


def _window(name: str, summary: str, kernel: int, full: bool) -> ZooEntry:
    channels = 64 if full else 128
    recipe = partial(_convolution, side=40, channels=channels, kernel=kernel, full=full)
    return _entry(name, f"{summary}, 40 x 40 x {channels}, Relu.", Recipe(recipe))


def _gemm(rows: int) -> ZooEntry:
    recipe = partial(_product, rows=rows, features=_GEMM_SIDE, columns=_GEMM_SIDE)
    summary = f"Dense layer 1024 x 1024 on {rows} row{'s' if rows > 1 else ''}."
    return _entry(f"gemm_m{rows}", summary, Recipe(recipe))


ENTRIES: tuple[ZooEntry, ...] = (
    _entry(
        "gemv",
        "Dense layer 2048 -> 4096 on one row: the products of an LSTM step of 1024.",
        Recipe(partial(_product, rows=1, features=2048, columns=4096)),
    ),
    *(_gemm(rows) for rows in GEMM_ROWS),
    _window("conv3x3", "Convolution 3x3", 3, full=True),
    _window("dw3x3", "Depthwise convolution 3x3", 3, full=False),
    _window("dw5x5", "Depthwise convolution 5x5", 5, full=False),
    *(_pair(kind, *sizes) for sizes in BLOCKS for kind in ("ibn", "fused")),
    _entry("attention", "Attention, 5 queries on 35 keys, 512, 8 heads.", Recipe(_attention)),
    _entry("svdf", "SVDF of rank 1: 128 -> 256 units, memory 10.", Recipe(_svdf)),
    *(
        _entry(kind, f"{text}, {_ROWS} rows of {_COLUMNS}.", Recipe(partial(_rows, kind=kind)))
        for kind, text in (
            ("softmax", "Softmax"),
            ("layernorm", "Layer norm"),
            ("lut", "GELU, one table look-up each"),
        )
    ),
)
