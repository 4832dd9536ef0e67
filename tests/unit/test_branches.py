"""A net that chooses its branch in every step: read, run, compared with ONNX Runtime and with the
integer reference; times of the parts against the clocked model; what cannot be taken."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from command import azsim
from compiled import run_machine
from onnx import TensorProto, helper, numpy_helper

from azsim.api import run
from azsim.branch_run import float_branches, prepare_branches
from azsim.compiler import CompressionPlan
from azsim.config import load_chip
from azsim.engine.branching import COMPARE_CYCLES, decision_cycles
from azsim.engine.fast_machine import FastMachine
from azsim.errors import ConfigError, ModelError
from azsim.frontend import Inputs
from azsim.frontend.branches import BranchedModel, read_branches
from azsim.program import Port
from azsim.report.files import check_out
from azsim.zoo import build_zoo, save_onnx
from azsim.zoo.branching import BranchSizes, amortized, bifocal
from azsim.zoo.model import NetMaker
from azsim_kernels.clocked import ClockedMachine

STEPS = 40
SIZES = BranchSizes(features=24, hidden=40, layers=2, arbitrator=16, small=24)
KINDS = {"amortized": amortized, "bifocal": bifocal}


def frames_of(steps: int = STEPS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (5 * rng.normal(size=(steps, 1, 1, SIZES.features))).astype(np.float32)


def message(kind: str) -> onnx.ModelProto:
    maker = NetMaker(kind, 8, 0.0, 1, 0)
    KINDS[kind](maker, SIZES)
    return maker.build("", {"azsim.frame_ms": "30"})


@pytest.fixture(scope="module", params=sorted(KINDS))
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("branches") / f"{request.param}.onnx"
    model = message(request.param)
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, path)
    return path


def branched(path: Path) -> BranchedModel:
    model = read_branches(path)
    assert model is not None
    return model


def onnxruntime_outputs(path: Path, frames: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """`encoded` of each step, states carried on, and the branch that was taken."""
    model = onnx.load(path)
    scores = [f"arbitrator.score{k}.y" for k in (0, 1)]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in scores
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    states = json.loads({p.key: p.value for p in model.metadata_props}["azsim.state"])
    feeds = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    rows, taken = [], []
    for frame in frames:
        feeds["features"] = frame
        made = dict(zip(names, session.run(None, feeds), strict=True))
        rows.append(made["encoded"])
        taken.append("then" if made[scores[1]] > made[scores[0]] else "else")
        feeds |= {source: made[result] for source, result in states.items()}
    return np.stack(rows), taken


def test_float_pass_is_that_of_onnxruntime(path: Path) -> None:
    frames = frames_of()
    wanted, taken = onnxruntime_outputs(path, frames)
    floats = float_branches(branched(path), Inputs({"features": frames}, ""), lambda *_: None)
    assert floats.chosen == tuple(taken)
    assert floats.outputs["encoded"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("chip", ["az1", "az2"])
def test_run_is_exact_and_takes_both_branches(path: Path, chip: str) -> None:
    inputs = Inputs({"features": frames_of()}, "noise")
    record = run(path, input=inputs, chip=chip, verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (STEPS, "")
    trace = record.branches
    assert trace is not None
    _, taken = onnxruntime_outputs(path, frames_of())
    assert sum(a == b for a, b in zip(trace.chosen, taken, strict=True)) == trace.float_agrees
    assert trace.float_agrees >= STEPS - 2  # 8 bits may move a close decision
    assert set(trace.chosen) == {"then", "else"}
    total = trace.arbitrator_cycles + trace.branch_cycles + trace.decision_cycles
    np.testing.assert_array_equal(total, record.counters.step_cycles)
    decibels = record.sqnr_db["encoded"]
    assert decibels is None or trace.float_agrees < STEPS or decibels > 25


def test_counters_of_the_parts_add_up(path: Path) -> None:
    inputs = Inputs({"features": frames_of()}, "noise")
    record = run(path, input=inputs, chip="az1", cache=False)
    counters, trace = record.counters, record.branches
    assert trace is not None
    assert sum(layer.span_cycles for layer in counters.layers) == counters.cycles
    for classes in counters.stalls.values():
        assert sum(classes.values()) == counters.cycles
    frames = [part.frames for part in trace.parts.values()]
    assert frames == [STEPS, trace.chosen.count("then"), trace.chosen.count("else")]
    moved = sum(part.counters.dram_bytes_read for part in trace.parts.values())
    assert counters.dram_bytes_read == moved > 0
    assert record.energy.per_frame_pj() is not None
    resident = sum(layer.resident_bytes for layer in record.program.layers)
    assert resident <= record.chip.weight_store.capacity_kb * 1024


def test_decision_is_priced_by_the_latency_of_the_memory() -> None:
    for chip, latency in (("az1", 60), ("az2", 96)):
        assert decision_cycles(load_chip(chip)) == latency + COMPARE_CYCLES


def test_time_of_each_part_is_that_of_the_clocked_model(path: Path) -> None:
    """One step of each of the three programs, cycle by cycle in plain Python."""
    model, chip = branched(path), load_chip("tiny", ["sequencer.semaphores=32"])
    inputs = Inputs({"features": frames_of(8)}, "noise")
    parts = prepare_branches(model, chip, inputs, None, CompressionPlan(), lambda *_: None).parts
    record = run(path, input=inputs, chip=chip, cache=False, allow_unused_branch=True)
    trace = record.branches
    assert trace is not None
    for name, part in parts.items():
        ports = part.program.inputs
        step = {p.name: np.full(p.shape, p.zero_point, p.element) for p in ports}
        scaled = np.rint(inputs.frames["features"][0] / _port(ports, "features").scale)
        step["features"] = np.clip(scaled, -128, 127).astype(np.int8)
        times = []
        for make in (ClockedMachine, FastMachine):
            outputs, results = run_machine(make, part.program, part.chip, [step])
            times.append((results[0].cycles, [outputs[0][p.name] for p in part.program.outputs]))
        assert times[0][0] == times[1][0]
        for ours, others in zip(times[0][1], times[1][1], strict=True):
            np.testing.assert_array_equal(ours, others)
        if name == "arbitrator":
            assert trace.arbitrator_cycles[0] == times[0][0]
        if name == trace.chosen[0]:
            assert trace.branch_cycles[0] == times[0][0]


def _port(ports: tuple[Port, ...], name: str) -> Port:
    return next(port for port in ports if port.name == name)


def test_a_planted_slip_in_the_choice_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine takes the other branch in one step: verification names the step."""
    from azsim import branch_run

    true_chooser, count = branch_run._chooser, {"made": 0}

    def chooser(*arguments: object) -> Callable[..., str]:
        choose = true_chooser(*arguments)  # type: ignore[arg-type]
        count["made"] += 1
        if count["made"] > 1:  # that of the verification
            return choose
        calls = {"step": -1}

        def slipping(made: object) -> str:
            calls["step"] += 1
            right = choose(made)  # type: ignore[arg-type]
            return right if calls["step"] != 7 else {"then": "else", "else": "then"}[right]

        return slipping

    monkeypatch.setattr(branch_run, "_chooser", chooser)
    inputs = Inputs({"features": frames_of()}, "noise")
    record = run(path, input=inputs, chip="az1", verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact < STEPS
    assert record.verification.first_difference == "step 7, output 'branch'"


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_onnx(build_zoo("tiny_amnet", None, 8, 0.0, 1), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", features=frames_of())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_reports_tell_the_branch_of_each_frame(folder: Path) -> None:
    done = azsim("run", "net.onnx", "-i", "x.npz", "--verify", "-o", "out")
    assert done.code == 0
    assert "bit-exact 40/40" in done.out
    with (folder / "out" / "BRANCH_REPORT.csv").open() as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((folder / "out" / "summary.json").read_text())
    figures = summary["branches"]
    assert [int(row["frame"]) for row in rows] == list(range(STEPS))
    assert sum(int(row["cycles"]) for row in rows) == summary["cycles"]
    for name, branch in figures["branches"].items():
        own = [row for row in rows if row["branch"] == name]
        assert len(own) == branch["frames"] > 0
        mean = sum(int(row["cycles"]) for row in own) / len(own)
        assert branch["cycles_per_frame"] == pytest.approx(mean)
        part = json.loads((folder / "out" / name / "summary.json").read_text())
        assert part["frames"] == branch["frames"]
    changes = [a["branch"] != b["branch"] for a, b in pairwise(rows)]
    assert figures["switches"] == sum(changes)
    assert (folder / "out" / "branches.png").stat().st_size > 5000
    check_out(Path("out"))  # the next run may replace it


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("--frames", "5"),
            "node 'pick' (If): branch 'then' is never taken in 5 steps; --allow-unused-branch"
            " takes that",
        ),
        (
            ("--frames-per-pass", "2"),
            "--frames-per-pass: must be 1 for a model with branches (If): each frame chooses its"
            " own, not 2",
        ),
        (
            ("--host-traffic", "music"),
            "--host-traffic: must be left out for a model with branches (If): its parts share no"
            " time of the memory",
        ),
        (("--frames", "0"), "--frames: must be 1 or more, not 0"),
        (("--layer-bits", "none=8"), "layer 'none' must be one of the layers with weights"),
    ],
)
def test_refused_in_one_line(folder: Path, arguments: tuple[str, ...], text: str) -> None:
    done = azsim("run", "net.onnx", "-i", "x.npz", "-o", "out", *arguments)
    assert (done.code, done.err) == (2, f"azsim: {text}\n")
    assert not (folder / "out").exists()


def test_an_unused_branch_can_be_allowed(folder: Path) -> None:
    done = azsim("run", "net.onnx", "-i", "x.npz", "--frames", "5", "--allow-unused-branch")
    assert done.code == 0


# -- models that cannot be taken ------------------------------------------------------------------

Change = Callable[[onnx.GraphProto], None]


def _chosen(graph: onnx.GraphProto) -> onnx.NodeProto:
    return next(node for node in graph.node if node.op_type == "If")


def _maker(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    return next(node for node in graph.node if name in node.output)


def _constant_condition(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    _chosen(graph).input[0] = "always"


def _constant_scores(graph: onnx.GraphProto) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    node = next(n for n in graph.node if n.op_type == "Greater")
    node.input[:] = ["one", "two"]


def _of_constants(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ones((1, 1), np.float32), "one"))
    node = next(n for n in graph.node if n.op_type == "Greater")
    made = helper.make_node("Add", ["one", "one"], ["two"], name="sum")
    graph.node.insert(0, made)
    node.input[:] = ["two", "one"]


def _of_an_input(graph: onnx.GraphProto) -> None:
    next(n for n in graph.node if n.op_type == "Greater").input[0] = "features"


def _wide(graph: onnx.GraphProto) -> None:
    next(n for n in graph.node if n.op_type == "Greater").input[0] = "arbitrator.dense.y"


def _by_tanh(graph: onnx.GraphProto) -> None:
    next(n for n in graph.node if n.op_type == "Greater").op_type = "Tanh"


def _in_a_ring(graph: onnx.GraphProto) -> None:
    node = _maker(graph, _chosen(graph).input[0])
    node.input[0] = node.output[0]


def _half(graph: onnx.GraphProto) -> None:
    node = _chosen(graph)
    del node.attribute[next(k for k, a in enumerate(node.attribute) if a.name == "else_branch")]


def _short(graph: onnx.GraphProto) -> None:
    node = _chosen(graph)
    del next(a.g for a in node.attribute if a.name == "then_branch").output[-1]


def _without_input(graph: onnx.GraphProto) -> None:
    del _chosen(graph).input[:]


PICK = "node 'pick' (If): "


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            _constant_condition,
            "condition must depend on an input, it is always true: branch 'else' is never taken",
        ),
        (
            _constant_scores,
            "condition must depend on an input, it is always false: branch 'then' is never taken",
        ),
        (_of_constants, "condition must depend on an input, it is always the same"),
        (_of_an_input, "'features' must be one number"),
        (_wide, "'arbitrator.dense.y' must be one number"),
        (
            _by_tanh,
            "condition 'arbitrator.greater.y' must be made by Greater, GreaterOrEqual, Less,"
            " LessOrEqual, Equal, And, Or, Xor, Where, Slice, Split, Gather, GatherElements, Not or"
            " Cast to bool, not by Tanh",
        ),
        (_in_a_ring, "condition 'arbitrator.choice.y' must be computed"),
        (_half, "must have one attribute else_branch"),
        (_short, "branch 'then' must have 5 outputs, not 4"),
        (_without_input, "must have one input, not 0"),
    ],
)
def test_models_that_cannot_be_taken(tmp_path: Path, change: Change, text: str) -> None:
    model = message("amortized")
    change(model.graph)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as refusal:
        read_branches(tmp_path / "m.onnx")
    assert str(refusal.value) == f"{tmp_path}/m.onnx: {PICK}{text}"


@pytest.mark.parametrize("negated", [False, True])
def test_a_choice_by_argmax(tmp_path: Path, negated: bool) -> None:
    """ArgMax of the scores, cast to bool, with Not: the frames as by Greater, or the others."""
    model = message("amortized")
    plain = run_of(model, tmp_path / "plain.onnx")
    graph = model.graph
    node = next(n for n in graph.node if n.op_type == "Greater")
    node.op_type, node.name = "ArgMax", "best"
    node.input[:] = ["arbitrator.dense.y"]
    node.attribute.extend([helper.make_attribute("axis", 1), helper.make_attribute("keepdims", 1)])
    squeeze = next(n for n in graph.node if n.name == "arbitrator.choice")
    squeeze.output[0] = "number"
    at = list(graph.node).index(squeeze) + 1
    graph.node.insert(at, helper.make_node("Cast", ["number"], ["cast"], to=TensorProto.BOOL))
    if negated:
        graph.node.insert(at + 1, helper.make_node("Not", ["cast"], ["not"]))
    _chosen(graph).input[0] = "not" if negated else "cast"
    other = run_of(model, tmp_path / "argmax.onnx")
    flipped = {"then": "else", "else": "then"}
    assert other == (tuple(flipped[name] for name in plain) if negated else plain) or negated
    assert other[0] == (flipped[plain[0]] if negated else plain[0])


def run_of(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    path.write_bytes(model.SerializeToString())
    inputs = Inputs({"features": frames_of()}, "noise")
    record = run(path, input=inputs, chip="az1", verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == STEPS
    assert record.branches is not None
    return record.branches.chosen


def test_python_refuses_like_the_command(tmp_path: Path) -> None:
    save_onnx(message("amortized"), tmp_path / "m.onnx")
    inputs = Inputs({"features": frames_of(3)}, "noise")
    with pytest.raises(ConfigError) as refusal:
        run(tmp_path / "m.onnx", input=inputs, chip="az1", cache=False)
    assert str(refusal.value) == (
        f"{PICK}branch 'then' is never taken in 3 steps; --allow-unused-branch takes that"
    )
