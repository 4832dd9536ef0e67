"""Attention as exporters write it: masks of several kinds, positions relative and rotary, and the
operators Attention and RotaryEmbedding."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx_models import ModelMaker

WIDTH, HEADS, FRAMES, CONTEXT = 24, 3, 4, 6
HEAD = WIDTH // HEADS
Maker = ModelMaker


def _linear(maker: Maker, x: str, name: str, columns: int = WIDTH) -> str:
    rng = np.random.default_rng(len(maker.tensors))
    rows = WIDTH
    maker.tensor(f"{name}_w", rng.normal(size=(rows, columns)) / np.sqrt(rows))
    maker.node("MatMul", [x, f"{name}_w"], [name])
    return name


def _split(maker: Maker, x: str, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
    """(1, frames, width) -> (1, heads, frames, head), or as `perm` says."""
    if all(tensor.name != "heads" for tensor in maker.tensors):
        maker.tensor("heads", [1, -1, HEADS, HEAD], np.int64)
    maker.node("Reshape", [x, "heads"], [f"{x}_r"])
    maker.node("Transpose", [f"{x}_r"], [f"{x}_h"], perm=perm)
    return f"{x}_h"


def _joined(maker: Maker, x: str) -> None:
    """(1, heads, frames, head) -> output y (1, frames, width)."""
    maker.tensor("joined", [1, -1, WIDTH], np.int64)
    maker.node("Transpose", [x], [f"{x}_t"], perm=(0, 2, 1, 3))
    maker.node("Reshape", [f"{x}_t", "joined"], ["y"])
    maker.output("y")


def _scores(maker: Maker) -> str:
    """Scores of the frames against themselves; v_h is left for `_mixed`."""
    maker.input("x", (1, FRAMES, WIDTH))
    query = _split(maker, _linear(maker, "x", "q"))
    key = _split(maker, _linear(maker, "x", "k"), (0, 2, 3, 1))
    _split(maker, _linear(maker, "x", "v"))
    maker.tensor("root", 1 / np.sqrt(HEAD))
    maker.node("MatMul", [query, key], ["products"])
    maker.node("Mul", ["products", "root"], ["scores"])
    return "scores"


def _mixed(maker: Maker, scores: str) -> None:
    maker.node("Softmax", [scores], ["shares"], axis=-1)
    maker.node("MatMul", ["shares", "v_h"], ["mixed"])
    _joined(maker, "mixed")


def float_mask() -> Maker:
    """A mask of 0 and -10000 as an input of the graph."""
    maker = Maker(17)
    scores = _scores(maker)
    maker.input("mask", (1, 1, FRAMES, FRAMES))
    maker.node("Add", [scores, "mask"], ["masked"])
    _mixed(maker, "masked")
    return maker


def computed_mask() -> Maker:
    """(1 - mask) * -10000 of an input of ones and zeros, as BERT has it."""
    maker = Maker(17)
    scores = _scores(maker)
    maker.input("kept", (1, FRAMES))
    maker.tensor("dims", [1, 2], np.int64)
    for name, number in (("one", 1.0), ("low", -10000.0)):
        maker.tensor(name, number)
    maker.node("Unsqueeze", ["kept", "dims"], ["wide"])
    maker.node("Sub", ["one", "wide"], ["dropped"])
    maker.node("Mul", ["dropped", "low"], ["mask"])
    maker.node("Add", [scores, "mask"], ["masked"])
    _mixed(maker, "masked")
    return maker


def bool_mask() -> Maker:
    """A bool input chooses between the scores and minus infinity, and zeros the shares again."""
    maker = Maker(17)
    scores = _scores(maker)
    maker.input("allowed", (1, FRAMES, FRAMES), TensorProto.BOOL)
    maker.tensor("low", -np.inf)
    maker.tensor("zero", 0.0)
    maker.tensor("dims", [1], np.int64)
    maker.node("Not", ["allowed"], ["ruled"])
    maker.node("Unsqueeze", ["ruled", "dims"], ["ruled_out"])
    maker.node("Where", ["ruled_out", "low", scores], ["masked"])
    maker.node("Softmax", ["masked"], ["open"], axis=-1)
    maker.node("Where", ["ruled_out", "zero", "open"], ["shares"])
    maker.node("MatMul", ["shares", "v_h"], ["mixed"])
    _joined(maker, "mixed")
    return maker


def seen_frames() -> Maker:
    """A state counts the frames seen so far; what lies before the first is masked."""
    maker = Maker(17)
    maker.input("x", (1, FRAMES, WIDTH))
    maker.input("past", (1, CONTEXT, WIDTH))
    maker.input("seen", (1,))
    query = _split(maker, _linear(maker, "x", "q"))
    maker.node("Concat", ["past", _linear(maker, "x", "k")], ["keys"], axis=1)
    for name, number in (("from", FRAMES), ("to", CONTEXT + FRAMES), ("axis", 1)):
        maker.tensor(name, [number], np.int64)
    maker.node("Slice", ["keys", "from", "to", "axis"], ["past_next"])
    maker.tensor("step", float(FRAMES))
    maker.tensor("most", float(CONTEXT))
    maker.node("Add", ["seen", "step"], ["more"])
    maker.node("Min", ["more", "most"], ["seen_next"])
    key = _split(maker, "keys", (0, 2, 3, 1))
    maker.node("Transpose", ["keys_r"], ["v_h"], perm=(0, 2, 1, 3))
    maker.node("MatMul", [query, key], ["scores"])
    maker.tensor("places", np.arange(CONTEXT + FRAMES))
    maker.tensor("low", -10000.0)
    maker.node("Sub", ["most", "seen"], ["first"])
    maker.node("Less", ["places", "first"], ["empty"])
    maker.node("Where", ["empty", "low", "scores"], ["masked"])
    maker.metadata = {"azsim.state": json.dumps({n: f"{n}_next" for n in ("past", "seen")})}
    _mixed(maker, "masked")
    for name in ("past_next", "seen_next"):
        maker.output(name)
    return maker


def _relative(maker: Maker, count: int) -> str:
    """Products of the queries with `count` constant vectors of positions: (1, heads, frames, n)."""
    rng = np.random.default_rng(4)
    maker.tensor("positions", rng.normal(size=(1, HEADS, HEAD, count)) / np.sqrt(HEAD))
    maker.node("MatMul", ["q_h", "positions"], ["by_distance"])
    return "by_distance"


def shifted_positions() -> Maker:
    """Relative positions by a column of zeros, another shape and a cut (Transformer-XL)."""
    maker = Maker(17)
    scores = _scores(maker)
    products, count = _relative(maker, 2 * FRAMES - 1), 2 * FRAMES - 1
    maker.tensor("column", np.zeros((1, HEADS, FRAMES, 1)))
    maker.node("Concat", ["column", products], ["wide"], axis=-1)
    for name, shape in (("tall", (count + 1, FRAMES)), ("flat", (FRAMES, count))):
        maker.tensor(name, [1, HEADS, *shape], np.int64)
    for name, number in (("one", 1), ("end", 1 << 40), ("rows", 2), ("zero", 0), ("cut", FRAMES)):
        maker.tensor(name, [number], np.int64)
    maker.tensor("columns", [3], np.int64)
    maker.node("Reshape", ["wide", "tall"], ["turned"])
    maker.node("Slice", ["turned", "one", "end", "rows"], ["less"])
    maker.node("Reshape", ["less", "flat"], ["shifted"])
    maker.node("Slice", ["shifted", "zero", "cut", "columns"], ["near"])
    maker.node("Add", [scores, "near"], ["total"])
    _mixed(maker, "total")
    return maker


def gathered_positions() -> Maker:
    """Relative positions by a gather of elements with constant places (Zipformer)."""
    maker = Maker(17)
    scores = _scores(maker)
    products, count = _relative(maker, 2 * FRAMES - 1), 2 * FRAMES - 1
    frames = np.arange(FRAMES)
    places = FRAMES - 1 - frames[:, None] + frames[None, :]
    maker.tensor("places", np.tile(places, (HEADS, 1)), np.int64)
    maker.tensor("rows", [-1, count], np.int64)
    maker.tensor("square", [1, HEADS, FRAMES, FRAMES], np.int64)
    maker.node("Reshape", [products, "rows"], ["flat"])
    maker.node("GatherElements", ["flat", "places"], ["chosen"], axis=1)
    maker.node("Reshape", ["chosen", "square"], ["near"])
    maker.node("Add", [scores, "near"], ["total"])
    _mixed(maker, "total")
    return maker


def attention_operator(opset: int = 23, key_heads: int = HEADS, **attributes: Any) -> Maker:
    """The operator on (1, frames, width); fewer key heads serve several query heads each."""
    maker = Maker(opset)
    maker.input("x", (1, FRAMES, WIDTH))
    names = [_linear(maker, "x", "q")]
    names += [_linear(maker, "x", name, key_heads * HEAD) for name in "kv"]
    attributes = {"q_num_heads": HEADS, "kv_num_heads": key_heads, **attributes}
    maker.node("Attention", names, ["y"], **attributes)
    maker.output("y")
    return maker


def hidden_row() -> Maker:
    """The operator with a bool mask as an input that may rule out whole rows: they become 0."""
    maker = Maker(23)
    maker.input("x", (1, FRAMES, WIDTH))
    maker.input("allowed", (1, HEADS, FRAMES, FRAMES), TensorProto.BOOL)
    names = [_split(maker, _linear(maker, "x", name)) for name in "qkv"]
    maker.node("Attention", [*names, "allowed"], ["mixed"])
    _joined(maker, "mixed")
    return maker


def attention_with_past(mask: str = "") -> Maker:
    """The operator on heads with earlier keys and values as states, and a mask."""
    maker = Maker(23)
    maker.input("x", (1, FRAMES, WIDTH))
    names = [_split(maker, _linear(maker, "x", name)) for name in "qkv"]
    past = (1, HEADS, CONTEXT, HEAD)
    near = np.arange(FRAMES)[:, None] + 3 >= np.arange(CONTEXT + FRAMES)[None, :] - CONTEXT // 2
    if mask == "input":
        maker.input("mask", near.shape, TensorProto.BOOL)
    elif mask:
        maker.tensor("mask", near, np.bool_)
    names += ["mask" if mask else "", maker.input("k_past", past), maker.input("v_past", past)]
    maker.node("Attention", names, ["mixed", "k_all", "v_all"])
    for name, number in (("from", FRAMES), ("to", CONTEXT + FRAMES), ("axis", 2)):
        maker.tensor(name, [number], np.int64)
    for name in "kv":
        maker.node("Slice", [f"{name}_all", "from", "to", "axis"], [f"{name}_next"])
    maker.metadata = {"azsim.state": json.dumps({f"{n}_past": f"{n}_next" for n in "kv"})}
    _joined(maker, "mixed")
    maker.output("k_next")
    maker.output("v_next")
    return maker


def rotary(interleaved: int = 0) -> Maker:
    """Queries and keys turned by RotaryEmbedding, then causal attention."""
    maker = Maker(23)
    maker.input("x", (1, FRAMES, WIDTH))
    angles = np.arange(8)[:, None] * 100.0 ** (-np.arange(HEAD // 2) / (HEAD // 2))
    maker.tensor("cos", np.cos(angles))
    maker.tensor("sin", np.sin(angles))
    maker.tensor("places", np.arange(FRAMES)[None], np.int64)
    names = []
    for name in "qk":
        _linear(maker, "x", name)
        inputs = [name, "cos", "sin", "places"]
        attributes = {"num_heads": HEADS, "interleaved": interleaved}
        maker.node("RotaryEmbedding", inputs, [f"{name}_turned"], **attributes)
        names.append(f"{name}_turned")
    names.append(_linear(maker, "x", "v"))
    maker.node("Attention", names, ["y"], q_num_heads=HEADS, kv_num_heads=HEADS, is_causal=1)
    maker.output("y")
    return maker


NETS: dict[str, Callable[[], ModelMaker]] = {
    "float mask": float_mask,
    "computed mask": computed_mask,
    "bool mask": bool_mask,
    "seen frames": seen_frames,
    "shifted positions": shifted_positions,
    "gathered positions": gathered_positions,
    "Attention": attention_operator,
    "Attention causal": lambda: attention_operator(is_causal=1),
    "Attention 24": lambda: attention_operator(24, is_causal=1),
    "Attention capped": lambda: attention_operator(softcap=2.0, scale=0.5),
    "Attention shared keys": lambda: attention_operator(key_heads=1),
    "Attention past": attention_with_past,
    "Attention past mask": lambda: attention_with_past("constant"),
    "Attention past input": lambda: attention_with_past("input"),
    "rotary": rotary,
    "rotary interleaved": lambda: rotary(1),
}
