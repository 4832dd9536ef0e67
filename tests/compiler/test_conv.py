"""Convolutions: agreement with ONNX Runtime, channels last, tiles that stay, all levels alike."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker
from qdq_models import Grid, QdqMaker, check_agreement, integers_of, run_qdq

from azsim.compiler import CompressionPlan
from azsim.compiler.layout import layout_graph
from azsim.compiler.ranges import Ranges
from azsim.compiler.tile import tile_graph
from azsim.config import ChipConfig, load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.frontend import read_onnx
from azsim.graph.integer import Linear
from azsim.graph.integer_window import Window, merged_window
from azsim_kernels import isa
from azsim_kernels.clocked.machine import ClockedMachine

small = pytest.mark.small


@st.composite
def geometries(draw: st.DrawFn) -> dict:
    """Shapes and attributes of one Conv; the window fits."""
    rank = draw(st.integers(1, 2))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    spatial = [
        d * (k - 1) + draw(st.integers(1, 5)) for k, d in zip(kernel, dilations, strict=True)
    ]
    each, outputs = draw(st.integers(1, 4)), group * draw(st.integers(1, 3))
    return {
        "x": (draw(st.integers(1, 2)), group * each, *spatial),
        "w": (outputs, each, *kernel),
        "attributes": {
            "group": group,
            "dilations": dilations,
            "pads": pads,
            "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        },
    }


def exact_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, attributes: dict) -> np.ndarray:
    """The definition, output by output, in float64."""
    rank, group = x.ndim - 2, attributes["group"]
    pads, strides, dilations = (attributes[k] for k in ("pads", "strides", "dilations"))
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    reach = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    sizes = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    y = np.zeros((len(x), len(w), *sizes))
    for n, place in product(range(len(w)), np.ndindex(*sizes)):
        first = n // (len(w) // group) * w.shape[1]
        cut = tuple(
            slice(p * s, p * s + r, d)
            for p, s, r, d in zip(place, strides, reach, dilations, strict=True)
        )
        seen = x[(slice(None), slice(first, first + w.shape[1]), *cut)]
        y[(slice(None), n, *place)] = (seen * w[n]).sum(axis=tuple(range(1, x.ndim))) + b[n]
    return y


@small
@settings(max_examples=40, deadline=None)
@given(form=geometries(), seed=st.integers(0, 2**32 - 1), zero=st.integers(0, 255))
def test_quantized_conv_agrees_with_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory, form: dict, seed: int, zero: int
) -> None:
    rng = np.random.default_rng(seed)
    x_grid, y_grid = Grid("uint8", 0.021, zero), Grid("int8", 0.4, -5)
    weights = rng.integers(-127, 128, form["w"]).astype(np.int8)
    scales = rng.uniform(0.002, 0.02, len(weights)).astype(np.float32)
    bias = rng.integers(-400, 400, len(weights)).astype(np.int32)
    bias_scales = (scales * np.float32(x_grid.scale)).astype(np.float32)
    maker = QdqMaker()
    maker.constant("w", weights, scales)
    maker.constant("b", bias, bias_scales)
    maker.node("Conv", [maker.given("x", form["x"], x_grid), "w", "b"], ["c"], **form["attributes"])
    maker.result("c", y_grid)
    path = maker.save(tmp_path_factory.mktemp("conv"))
    data = x_grid.random(rng, form["x"])
    real = weights * scales.astype(np.float64).reshape(-1, *(1,) * (weights.ndim - 1))
    real_bias = bias * scales.astype(np.float64) * x_grid.step
    exact = exact_conv(x_grid.numbers(data), real, real_bias, form["attributes"])
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y_grid)


def conv_model(folder: Path, x: tuple[int, ...], w: tuple[int, ...], **attributes: object) -> Path:
    """Conv and Relu with random weights."""
    rng = np.random.default_rng(7)
    maker = ModelMaker()
    maker.input("x", x)
    maker.tensor("w", rng.normal(size=w) * 0.3)
    maker.tensor("b", rng.normal(size=w[0]) * 0.2)
    maker.node("Conv", ["x", "w", "b"], ["c"], name="conv", **attributes)
    maker.node("Relu", ["c"], ["y"], name="relu")
    maker.output("y")
    return maker.save(folder)


FORMS = [
    ((1, 3, 8, 8), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 8, 9, 7), (6, 4, 3, 3), {"pads": [1, 0, 1, 2], "strides": [2, 1], "group": 2}),
    ((1, 40, 20), (30, 40, 5), {"pads": [4, 0]}),
    ((1, 16, 9, 9), (6, 16, 1, 1), {"strides": [2, 2]}),
]


def chip() -> ChipConfig:
    return load_chip("tiny", ["abuf.capacity_kb=32", "sequencer.semaphores=32"])


@pytest.mark.parametrize(("x", "w", "attributes"), FORMS)
def test_machine_and_reference_give_the_same_integers(
    tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], attributes: dict
) -> None:
    path = conv_model(tmp_path, x, w, **attributes)
    feeds = {"x": np.random.default_rng(1).normal(size=(2, *x)).astype(np.float32)}
    compiled, floats = compile_file(path, feeds, chip(), CompressionPlan())
    steps = integer_steps(compiled.program, feeds, 2)
    outputs, _ = run_machine(FastMachine, compiled.program, chip(), steps)
    scale = compiled.integers.tensors["y"].scale
    for got, want, real in zip(outputs, reference_outputs(compiled, steps), floats, strict=True):
        np.testing.assert_array_equal(got["y"], want["y"])
        noise = want["y"] * scale - real["y"]
        assert (real["y"] ** 2).sum() > 10**3.3 * (noise**2).sum()  # 33 dB


def test_clocked_model_agrees_on_tiles_that_stay(tmp_path: Path) -> None:
    path = conv_model(tmp_path, (1, 6, 24), (9, 6, 3))
    feeds = {"x": np.random.default_rng(1).normal(size=(1, 1, 6, 24)).astype(np.float32)}
    narrow = load_chip("tiny", ["mac_array.accumulators_per_lane=12"])
    compiled, _ = compile_file(path, feeds, narrow, CompressionPlan(sparsity=0.4))
    assert tile_graph(compiled.integers, narrow)["conv"].keeps
    steps = integer_steps(compiled.program, feeds, 1)
    fast, fast_results = run_machine(FastMachine, compiled.program, narrow, steps)
    clocked, clocked_results = run_machine(ClockedMachine, compiled.program, narrow, steps)
    np.testing.assert_array_equal(fast[0]["y"], clocked[0]["y"])
    for part in ("dispatch", "start", "free", "stalls", "counters"):
        np.testing.assert_array_equal(
            getattr(fast_results[0], part), getattr(clocked_results[0], part)
        )


def test_tiles_that_stay_are_fetched_once(tmp_path: Path) -> None:
    path = conv_model(tmp_path, (1, 6, 24), (9, 6, 3))
    feeds = {"x": np.zeros((1, 1, 6, 24), np.float32)}
    narrow = load_chip("tiny", ["mac_array.accumulators_per_lane=12"])
    compiled, _ = compile_file(path, feeds, narrow, CompressionPlan())
    opcodes = compiled.program.commands["opcode"]
    products, tiles = int((opcodes == isa.PRODUCT).sum()), int((opcodes == isa.TILE).sum())
    assert tiles == len(compiled.program.tiles)
    assert products > tiles


def test_tiles_beyond_the_slots_are_fetched_for_each_chunk(tmp_path: Path) -> None:
    path = conv_model(tmp_path, (1, 6, 24), (9, 6, 3), dilations=[2])
    feeds = {"x": np.zeros((1, 1, 6, 24), np.float32)}
    narrow = load_chip("tiny", ["mac_array.accumulators_per_lane=12", "wbuf.tile_slots=2"])
    compiled, _ = compile_file(path, feeds, narrow, CompressionPlan())
    tiling = tile_graph(compiled.integers, narrow)["conv"]
    assert not tiling.keeps
    tiles = int((compiled.program.commands["opcode"] == isa.TILE).sum())
    assert tiles == len(compiled.program.tiles) * len(tiling.chunks())


# -- channels last ------------------------------------------------------------------------------


def laid_out(folder: Path, maker: ModelMaker) -> list[str]:
    graph = read_onnx(maker.save(folder))
    made, _ = layout_graph(graph, Ranges({}, {}))
    return [node.operator for node in made.nodes]


def two_convs() -> ModelMaker:
    maker = ModelMaker()
    maker.input("x", (1, 3, 6, 6))
    maker.tensor("w", np.ones((3, 3, 3, 3)))
    maker.tensor("s", np.ones((3, 1, 1)))
    maker.node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    maker.node("Sigmoid", ["a"], ["g"])
    maker.node("Mul", ["g", "a"], ["m"])
    maker.node("Mul", ["m", "s"], ["n"])
    maker.node("Conv", ["n", "w"], ["b"], pads=[1, 1, 1, 1])
    maker.node("Add", ["b", "n"], ["r"])
    return maker


@small
def test_transpositions_stand_only_at_the_borders(tmp_path: Path) -> None:
    maker = two_convs()
    maker.output("r")
    assert laid_out(tmp_path, maker) == [
        "Transpose", "Conv", "Function", "Mul", "Conv", "Add", "Transpose",
    ]  # fmt: skip


@small
def test_the_models_own_transpositions_cancel(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 9, 4))
    maker.tensor("w", np.ones((4, 4, 3)))
    maker.node("Transpose", ["x"], ["t"], perm=[0, 2, 1], name="in")
    maker.node("Conv", ["t", "w"], ["c"])
    maker.node("Relu", ["c"], ["r"])
    maker.node("Transpose", ["r"], ["y"], perm=[0, 2, 1], name="out")
    maker.output("y")
    assert laid_out(tmp_path, maker) == ["Conv", "Relu", "Reshape"]


@small
def test_axes_follow_the_channels(tmp_path: Path) -> None:
    maker = two_convs()
    maker.node("Concat", ["r", "n"], ["j"], axis=1)
    maker.tensor("pick", [2, 0], np.int64)
    maker.node("Gather", ["j", "pick"], ["k"], axis=1)
    for name, values in (("from", [1]), ("to", [5]), ("axes", [2])):
        maker.tensor(name, values, np.int64)
    maker.node("Slice", ["k", "from", "to", "axes"], ["l"])
    maker.node("Softmax", ["l"], ["y"], axis=1)
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    made, _ = layout_graph(graph, Ranges({}, {}))
    by_operator = {node.operator: node.attributes for node in made.nodes}
    assert by_operator["Concat"]["axis"] == by_operator["Take"]["axis"] == 3
    assert by_operator["Softmax"]["axis"] == 3
    assert by_operator["Slice"]["starts"] == (0, 1, 0, 0)
    assert [node.operator for node in made.nodes].count("Transpose") == 2


@small
def test_a_graph_without_windows_stays_as_it_is(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 9, 4))
    maker.node("Transpose", ["x"], ["y"], perm=[0, 2, 1])
    maker.output("y")
    graph, ranges = read_onnx(maker.save(tmp_path)), Ranges({}, {})
    assert layout_graph(graph, ranges) == (graph, ranges)


@small
@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 3),
    steps=st.tuples(*[st.integers(1, 30)] * 3),
    segments=st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True),
    length=st.integers(1, 9),
)
def test_a_merged_window_sees_the_same_elements(
    sizes: tuple[int, int, int], steps: tuple[int, int, int], segments: list[int], length: int
) -> None:
    window = Window(*sizes, *steps, tuple(segments))
    merged, longer = merged_window(window, length)
    assert longer * len(merged.segments) == length * len(segments)
    for old, new in zip(window.starts(), merged.starts(), strict=True):
        seen = [old + s + k for s in window.segments for k in range(length)]
        assert seen == [new + s + k for s in merged.segments for k in range(longer)]


@small
def test_runs_of_positions_are_even() -> None:
    window = Window(2, 3, 5, 100, 20, 2)
    starts = window.starts()
    for begin, end in ((0, 30), (3, 17), (14, 16)):
        runs = window.runs(begin, end)
        seen = [start + 2 * k for _, count, start in runs for k in range(count)]
        assert seen == starts[begin:end].tolist()
        assert runs[0][0] == begin
        assert all(a[0] + a[1] == b[0] for a, b in pairwise(runs))


@small
def test_group_tiles_stay_inside_their_group(tmp_path: Path) -> None:
    path = conv_model(tmp_path, (1, 6, 8), (18, 2, 3), group=3)
    feeds = {"x": np.zeros((1, 1, 6, 8), np.float32)}
    compiled, _ = compile_file(path, feeds, chip(), CompressionPlan())
    (node,) = [n for n in compiled.integers.nodes if isinstance(n, Linear)]
    assert node.window is not None
    assert node.window.groups == 3
    assert 6 % tile_graph(compiled.integers, chip())["conv"].tile_rows == 0
