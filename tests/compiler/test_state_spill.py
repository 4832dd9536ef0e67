"""States that ABUF has no room for lie in DRAM, and every step gives the same integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from onnx_models import ModelMaker

from azsim.compiler import CompiledGraph, CompressionPlan
from azsim.compiler.spill.states import (
    fit_graph,
    movable_states,
    states_beyond,
    states_to_dram,
)
from azsim.config import ChipConfig, load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.engine.machine import Machine
from azsim.errors import CompileError
from azsim.graph.integer import FetchRows, Move, SpillRows
from azsim_kernels.clocked import ClockedMachine

STEPS, FRAMES, WIDTH = 5, 2, 16
Steps = list[dict[str, np.ndarray]]


def chip(kilobytes: int) -> ChipConfig:
    return load_chip("tiny", [f"abuf.capacity_kb={kilobytes}", "sequencer.semaphores=32"])


def cached_attention(long: int, short: int) -> ModelMaker:
    """Attention of 2 new rows over them and `long` rows before; `short` is a cache of its results,
    of which `older` is what it was a step ago."""
    rng = np.random.default_rng(2)
    maker = ModelMaker()
    maker.input("x", (FRAMES, WIDTH))
    for name in ("q", "k", "v"):
        maker.tensor(f"{name}_w", rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH))
        maker.node("MatMul", ["x", f"{name}_w"], [name])
    states = {"k_old": "k_kept", "v_old": "v_kept", "short": "short_kept", "older": "short_moved"}
    for name, rows in (("k_old", long), ("v_old", long), ("short", short), ("older", short)):
        maker.input(name, (rows, WIDTH))
    maker.tensor("axis", [0], np.int64)
    for name, rows in (("k", long), ("v", long)):
        maker.node("Concat", [f"{name}_old", name], [f"{name}_all"], axis=0)
        maker.tensor(f"{name}_end", [rows + FRAMES], np.int64)
        maker.tensor(f"{name}_start", [FRAMES], np.int64)
        bounds = [f"{name}_start", f"{name}_end", "axis"]
        maker.node("Slice", [f"{name}_all", *bounds], [f"{name}_kept"])
    maker.node("Transpose", ["k_all"], ["k_turned"], perm=(1, 0))
    maker.node("MatMul", ["q", "k_turned"], ["scores"])
    maker.node("Softmax", ["scores"], ["shares"], axis=-1)
    maker.node("MatMul", ["shares", "v_all"], ["mixed"])
    maker.node("Concat", ["mixed", "short"], ["short_all"], axis=0)
    maker.tensor("zero", [0], np.int64)
    maker.tensor("short_rows", [short], np.int64)
    maker.node("Slice", ["short_all", "zero", "short_rows", "axis"], ["short_kept"])
    maker.node("Add", ["short", "older"], ["both"])
    maker.node("ReduceMean", ["both"], ["mean"], axes=[0], keepdims=1)
    maker.node("Add", ["mixed", "mean"], ["y"])
    maker.output("y")
    maker.node("Identity", ["short"], ["short_moved"])
    for name in states.values():
        maker.output(name)
    maker.metadata["azsim.state"] = json.dumps(states)
    return maker


def compiled_at(folder: Path, kilobytes: int, long: int = 60) -> tuple[CompiledGraph, Steps]:
    path = cached_attention(long, 4).save(folder)
    rng = np.random.default_rng(4)
    feeds = {"x": rng.normal(size=(STEPS, FRAMES, WIDTH)).astype(np.float32)}
    compiled, _ = compile_file(path, feeds, chip(kilobytes), CompressionPlan())
    return compiled, integer_steps(compiled.program, feeds, STEPS)


def far_states(compiled: CompiledGraph) -> set[str]:
    return {region.name for region in compiled.program.states if region.memory == "dram"}


@pytest.mark.parametrize(("kilobytes", "far"), [(16, ()), (6, ("k_old",)), (4, ("k_old", "v_old"))])
@pytest.mark.parametrize("machine", ["fast", "clocked"])
def test_steps_give_the_same_integers(
    tmp_path: Path, kilobytes: int, far: tuple[str, ...], machine: str
) -> None:
    compiled, steps = compiled_at(tmp_path, kilobytes)
    make, count = (FastMachine, STEPS) if machine == "fast" else (ClockedMachine, 3)
    outputs, results = run_machine(make, compiled.program, chip(kilobytes), steps[:count])
    assert far_states(compiled) == set(far)
    assert all(result.status == 0 for result in results)
    for ours, wanted in zip(outputs, reference_outputs(compiled, steps), strict=False):
        np.testing.assert_array_equal(ours["y"], wanted["y"])


def test_each_state_is_fetched_before_its_place_is_written(tmp_path: Path) -> None:
    compiled, _ = compiled_at(tmp_path, 16)
    nodes = fit_graph(compiled.integers, chip(4)).nodes
    for state in ("k_old", "v_old"):
        fetches = [
            n for n, node in enumerate(nodes) if isinstance(node, FetchRows) and node.x == state
        ]
        stores = [
            n for n, node in enumerate(nodes) if isinstance(node, SpillRows) and node.y == state
        ]
        assert [len(fetches), len(stores)] == [1, 1]
        assert fetches < stores


def test_a_cache_is_fetched_straight_to_its_place(tmp_path: Path) -> None:
    """What a joined state costs: its bytes in, its bytes out; only the new rows are copied."""
    compiled, _ = compiled_at(tmp_path, 16)
    graph = states_to_dram(compiled.integers, ("k_old", "short"))
    reads = {n.x: (n.y, n.offset, n.count, n.near) for n in graph.nodes if isinstance(n, FetchRows)}
    assert reads["k_old"] == ("k_all", 0, 60 * WIDTH, 0)
    assert reads["short"] == ("short/in", 0, 4 * WIDTH, 0)  # read twice: by a join, and a sum
    assert "k_old/in" not in graph.tensors
    moves = {n.y: n for n in graph.nodes if isinstance(n, Move)}
    (piece,) = moves["k_all"].pieces
    assert (moves["k_all"].inputs, piece.shape) == (("k",), (FRAMES * WIDTH,))
    assert piece.target_offset == 60 * WIDTH
    assert len(moves["short_all"].pieces) == 2


def test_a_graph_whose_states_fit_stays_as_it_is(tmp_path: Path) -> None:
    compiled, _ = compiled_at(tmp_path, 16)
    assert fit_graph(compiled.integers, chip(16)) is compiled.integers


def test_only_states_with_values_of_their_own_may_move(tmp_path: Path) -> None:
    """`older` becomes what `short` was: it has no value that a node makes."""
    compiled, _ = compiled_at(tmp_path, 16)
    assert movable_states(compiled.integers) == ("k_old", "v_old", "short")
    assert states_beyond(compiled.integers, 4 * 960 + 4 * 64) == ()
    assert states_beyond(compiled.integers, 4 * 960 + 4 * 64 - 1) == ("k_old",)
    assert states_beyond(compiled.integers, 0) == ("k_old", "v_old", "short")


def test_what_does_not_fit_even_so_is_refused(tmp_path: Path) -> None:
    message = r"^ABUF: '[^']+' \(\d+ bytes\) needs \d+ bytes, the chip has 1024$"
    with pytest.raises(CompileError, match=message):
        compiled_at(tmp_path, 1)


def test_a_look_at_the_first_step_begins_with_empty_states(tmp_path: Path) -> None:
    compiled, steps = compiled_at(tmp_path, 4)
    (first, *_) = (state for state in compiled.program.states if state.memory == "dram")
    machine = Machine(compiled.program, chip(4))
    results = [machine.step(inputs)[1] for inputs in steps]
    older = (first.address, first.bytes - FRAMES * WIDTH)  # what only later steps fill
    assert machine.read_dram(*older).any()
    machine.weight_path(steps[0], results[0].free)
    assert not machine.read_dram(*older).any()


def test_fetch_and_store_are_layers_of_their_own(tmp_path: Path) -> None:
    near, far = (compiled_at(tmp_path, kilobytes)[0].program for kilobytes in (16, 4))
    names = [{layer.name for layer in program.layers} for program in (near, far)]
    states = ("k_old", "v_old")
    assert names[1] - names[0] == {f"{name}/{way}" for name in states for way in ("in", "out")}
