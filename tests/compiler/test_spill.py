"""Activations beyond ABUF: blocks of rows through DRAM, and the same integers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from onnx_models import ModelMaker

from azsim.compiler import CompressionPlan
from azsim.compiler.place import LeastSpace, place_graph
from azsim.compiler.spill.activations import spill_graph
from azsim.compiler.tile import tile_graph
from azsim.config import ChipConfig, load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.errors import CompileError
from azsim.graph.integer import FetchRows, SpillRows
from azsim_kernels import isa

IMAGE = (1, 3, 20, 18)


def chip(kilobytes: int) -> ChipConfig:
    return load_chip("tiny", [f"abuf.capacity_kb={kilobytes}", "sequencer.semaphores=32"])


def image_net(folder: Path, batch: int = 1) -> Path:
    """Two convolutions, a residual sum, a strided convolution; the sum is an output as well."""
    rng = np.random.default_rng(3)
    maker = ModelMaker()
    maker.input("x", (batch, *IMAGE[1:]))
    for name, shape in (("w1", (8, 3, 3, 3)), ("w2", (8, 8, 1, 1)), ("w3", (4, 8, 3, 3))):
        maker.tensor(name, rng.normal(size=shape) * 0.3)
    maker.tensor("b1", rng.normal(size=8) * 0.1)
    maker.tensor("scale", rng.uniform(0.5, 1.0, (8, 1, 1)))
    maker.node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1])
    maker.node("Relu", ["c1"], ["r1"], name="relu1")
    maker.node("Conv", ["r1", "w2"], ["c2"], name="conv2")
    maker.node("Mul", ["c2", "scale"], ["m"], name="mul")
    maker.node("Add", ["m", "r1"], ["sum"], name="add")
    maker.node("Conv", ["sum", "w3"], ["y"], name="conv3", strides=[2, 2], pads=[1, 1, 1, 1])
    maker.output("y")
    maker.output("sum")
    return maker.save(folder)


@pytest.mark.parametrize(("kilobytes", "batch"), [(64, 1), (6, 1), (3, 1), (6, 2)])
def test_blocks_give_the_same_integers(tmp_path: Path, kilobytes: int, batch: int) -> None:
    shape = (batch, *IMAGE[1:])
    feeds = {"x": np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)}
    compiled, _ = compile_file(
        image_net(tmp_path, batch), feeds, chip(kilobytes), CompressionPlan()
    )
    steps = integer_steps(compiled.program, feeds, 2)
    outputs, _ = run_machine(FastMachine, compiled.program, chip(kilobytes), steps)
    for got, want in zip(outputs, reference_outputs(compiled, steps), strict=True):
        for name in ("y", "sum"):
            np.testing.assert_array_equal(got[name], want[name])
    stores = int((compiled.program.commands["opcode"] == isa.STORE).sum())
    assert (stores > 2) == (kilobytes < 64)


def test_a_graph_that_fits_stays_as_it_is(tmp_path: Path) -> None:
    feeds = {"x": np.ones((1, 1, 60, 40), np.float32)}
    compiled, _ = compile_file(rows_net(tmp_path), feeds, chip(64), CompressionPlan())
    assert spill_graph(compiled.integers, chip(64)) is compiled.integers


def test_as_few_tensors_as_needed_move_to_dram(tmp_path: Path) -> None:
    feeds = {"x": np.ones((1, *IMAGE), np.float32)}
    compiled, _ = compile_file(image_net(tmp_path), feeds, chip(64), CompressionPlan())
    moved = []
    for kilobytes in (8, 6, 3):
        graph = spill_graph(compiled.integers, chip(kilobytes))
        moved.append(sum(tensor.in_dram for tensor in graph.tensors.values()))
        kinds = {type(node) for node in graph.nodes}
        assert {FetchRows, SpillRows} <= kinds
    assert 0 < moved[0] < moved[1] < moved[2]


def test_blocks_of_a_layer_are_one_layer_of_the_report(tmp_path: Path) -> None:
    feeds = {"x": np.ones((1, *IMAGE), np.float32)}
    layers = []
    for kilobytes in (64, 3):
        compiled, _ = compile_file(image_net(tmp_path), feeds, chip(kilobytes), CompressionPlan())
        program = compiled.program
        layers.append({layer.name: layer for layer in program.layers})
        assert set(program.commands["layer"]) == set(range(len(program.layers)))
    assert layers[0].keys() == layers[1].keys()
    for name in ("conv1", "conv2", "conv3", "add", "conv1/pad"):
        assert layers[0][name] == layers[1][name]


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 3000))
    maker.tensor("w", np.ones((3000, 4)))
    maker.node("MatMul", ["x", "w"], ["y"], name="fc")
    maker.output("y")
    feeds = {"x": np.ones((1, 1, 3000), np.float32)}
    message = r"^ABUF: 'x' \(3008 bytes\) needs \d+ bytes, the chip has 2048$"
    with pytest.raises(CompileError, match=message):
        compile_file(maker.save(tmp_path), feeds, chip(2), CompressionPlan())


def wide_net(folder: Path) -> Path:
    """A depthwise convolution over tall windows: the rows under one row of outputs are large."""
    rng = np.random.default_rng(5)
    maker = ModelMaker()
    maker.input("x", (1, 16, 12, 24))
    maker.tensor("w", rng.normal(size=(16, 1, 3, 3)) * 0.4)
    maker.tensor("v", rng.normal(size=(8, 16, 1, 1)) * 0.3)
    attributes = {"pads": [2, 2, 2, 2], "dilations": [2, 2], "group": 16}
    maker.node("Conv", ["x", "w"], ["c"], name="depthwise", **attributes)
    maker.node("Conv", ["c", "v"], ["y"], name="mix")
    maker.output("y")
    return maker.save(folder)


def test_a_block_is_fetched_late_where_two_do_not_fit(tmp_path: Path) -> None:
    # under one row of outputs are 5 rows of 28 x 16 bytes: 2240, and two are more than 4096
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 1, 16, 12, 24)).astype(np.float32)}
    config = chip(4)
    compiled, _ = compile_file(wide_net(tmp_path), feeds, config, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, 2)
    outputs, _ = run_machine(FastMachine, compiled.program, config, steps)
    for got, want in zip(outputs, reference_outputs(compiled, steps), strict=True):
        np.testing.assert_array_equal(got["y"], want["y"])
    nodes = [n for n in spill_graph(compiled.integers, config).nodes if "depthwise" in n.name]
    fetched = [isinstance(node, FetchRows) for node in nodes if "/pad" not in node.name]
    assert not any(first and second for first, second in pairwise(fetched))


def test_the_least_space_is_what_lives_at_once(tmp_path: Path) -> None:
    feeds = {"x": np.ones((1, *IMAGE), np.float32)}
    compiled, _ = compile_file(image_net(tmp_path), feeds, chip(64), CompressionPlan())
    graph = compiled.integers
    least = LeastSpace(graph)
    placed = place_graph(graph, tile_graph(graph, chip(64)), chip(64))
    assert 0 < least.without(()) <= placed.abuf_bytes
    assert least.without(()) == 3 * 20 * 18 * 8  # the operands of the sum, and the sum
    names = [tensor.name for tensor in graph.tensors.values() if tensor.data is None]
    assert all(least.without((name,)) <= least.without(()) for name in names)
    assert least.without(graph.tensors.keys()) == 0


def rows_net(folder: Path) -> Path:
    """Norms, a mask, softmax and its logarithm over rows, a sum over rows: all of 60 x 40."""
    rng = np.random.default_rng(6)
    maker = ModelMaker(18)
    maker.input("x", (1, 60, 40))
    maker.tensor("gamma", rng.uniform(0.5, 2.0, 40))
    maker.tensor("beta", rng.normal(size=40))
    maker.tensor("kept", rng.random((60, 40)) > 0.3, np.bool_)
    maker.tensor("row", rng.random(40) > 0.3, np.bool_)
    maker.tensor("low", -1.0)
    maker.tensor("axes", [1], np.int64)
    maker.node("LayerNormalization", ["x", "gamma", "beta"], ["n"], name="norm")
    maker.node("Where", ["kept", "n", "low"], ["s"], name="select")
    maker.node("Where", ["row", "s", "x"], ["t"], name="select2")
    maker.node("Softmax", ["t"], ["p"], name="softmax")
    maker.node("LogSoftmax", ["t"], ["l"], name="log")
    maker.node("Add", ["p", "l"], ["y"], name="sum")
    maker.node("ReduceSum", ["t", "axes"], ["z"], name="reduce")
    maker.output("y")
    maker.output("z")
    return maker.save(folder)


@pytest.mark.parametrize("kilobytes", [64, 8, 6])
def test_blocks_of_nodes_on_rows(tmp_path: Path, kilobytes: int) -> None:
    """In 6 KB the reduction, which has no rule, is fetched whole: two dimensions as they were."""
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 1, 60, 40)).astype(np.float32)}
    config = chip(kilobytes)
    compiled, _ = compile_file(rows_net(tmp_path), feeds, config, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, 2)
    outputs, _ = run_machine(FastMachine, compiled.program, config, steps)
    for got, want in zip(outputs, reference_outputs(compiled, steps), strict=True):
        for name in ("y", "z"):
            np.testing.assert_array_equal(got[name], want[name])

    blocks = [n.name for n in spill_graph(compiled.integers, config).nodes if "#1" in n.name]

    assert bool(blocks) == (kilobytes < 64)
