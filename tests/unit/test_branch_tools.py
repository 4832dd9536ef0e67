"""Other commands on a model that chooses a branch in every step: compile, vectors, sweep,
compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import azsim

from azsim import api
from azsim.branch_run import prepare_branches
from azsim.compiler import CompressionPlan
from azsim.compress import Choices, study_formats
from azsim.config import load_chip
from azsim.frontend import Inputs
from azsim.frontend.branches import BranchedModel, read_either
from azsim.program import load_program
from azsim.session import Session
from azsim.sweep import Workers, run_sweep
from azsim.zoo import build_zoo, save_onnx

STEPS = 40
NO_STORE = "weight_store.capacity_kb=0"
PARTS = ("arbitrator", "then", "else")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_onnx(build_zoo("tiny_amnet", None, 8, 0.0, 1), tmp_path / "net.onnx")
    frames = (5 * np.random.default_rng(0).normal(size=(STEPS, 1, 1, 24))).astype(np.float32)
    np.savez(tmp_path / "x.npz", features=frames)
    np.savez(tmp_path / "few.npz", features=frames[:5])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def refused(*words: object) -> str:
    done = azsim(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    return done.err.removeprefix("azsim: ").rstrip("\n")


NEVER = "node 'pick' (If): branch 'then' is never taken in 5 steps; "


# -- compile --------------------------------------------------------------------------------------


def test_compile_writes_a_program_of_each_part(folder: Path) -> None:
    store = "weight_store.capacity_kb=32"
    done = azsim("compile", "net.onnx", "-i", "x.npz", "-o", "net.azp", "--set", store)
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in folder.glob("*.azp")) == [
        f"net.{name}.azp" for name in sorted(PARTS)
    ]
    inputs = Inputs({"features": np.load("x.npz")["features"]}, "")
    model = read_either("net.onnx")
    assert isinstance(model, BranchedModel)
    chip = load_chip("az1", [store])
    parts = prepare_branches(model, chip, inputs, None, CompressionPlan(), _silent).parts
    lines = done.out.splitlines()
    for name in PARTS:
        program = load_program(Path(f"net.{name}.azp"))
        np.testing.assert_array_equal(program.commands, parts[name].program.commands)
        np.testing.assert_array_equal(program.dram, parts[name].program.dram)
        assert any(
            line.startswith(f"net.{name}.azp: {len(program.commands)} commands,") for line in lines
        )
    sizes = [part.chip.weight_store.capacity_kb for part in parts.values()]
    assert lines[-1] == (
        "node 'pick' (If): the float model takes then 15, else 25 of 40 frames; weight store in KB:"
        f" arbitrator {sizes[0]}, then {sizes[1]}, else {sizes[2]}"
    )
    assert sum(sizes) <= 32
    assert azsim("disasm", "net.then.azp").out.count("\n") > len(
        load_program("net.then.azp").commands
    )


@pytest.mark.parametrize("capacity_kb", [0, 3, 12, 24, 28, 32, 256])
def test_weight_store_is_shared(folder: Path, capacity_kb: int) -> None:
    """What one branch does not need the other one has, and all fit together."""
    model = read_either("net.onnx")
    assert isinstance(model, BranchedModel)
    inputs = Inputs({"features": np.load("x.npz")["features"]}, "")
    chip = load_chip("az1", [f"weight_store.capacity_kb={capacity_kb}"])
    parts = prepare_branches(model, chip, inputs, None, CompressionPlan(), _silent).parts
    sizes = {name: part.chip.weight_store.capacity_kb for name, part in parts.items()}
    assert sum(sizes.values()) <= capacity_kb
    kept, whole = (
        {
            name: sum(getattr(layer, key) for layer in part.program.layers)
            for name, part in parts.items()
        }
        for key in ("resident_bytes", "stream_bytes")
    )
    assert all(kept[name] <= 1024 * sizes[name] for name in parts)
    if capacity_kb == 28:  # 3 for the arbitrator, 6 for the cheap branch: 19 are left
        assert sizes == {"arbitrator": 3, "then": 19, "else": 6}
        assert kept["else"] == whole["else"]
        assert 13 * 1024 < kept["then"] < whole["then"]
    if capacity_kb == 256:
        assert kept == whole


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-i", "few.npz", "-o", "net.azp"), f"{NEVER}--allow-unused-branch takes that"),
        (
            ("-i", "x.npz", "-o", "net.azp", "--frames-per-pass", "2"),
            "--frames-per-pass: must be 1 for a model with branches (If): each frame chooses its"
            " own, not 2",
        ),
        (
            ("-i", "x.npz", "-o", "none/net.azp"),
            "none/net.azp: cannot be written: No such file or directory",
        ),
        (
            ("-i", "x.npz", "-o", "net.azp", "--layer-bits", "no=8"),
            "layer 'no' must be one of the layers with weights",
        ),
    ],
)
def test_compile_refuses_in_one_line(folder: Path, words: tuple[str, ...], line: str) -> None:
    assert refused("compile", "net.onnx", *words) == line
    assert not list(folder.glob("*.azp"))


def test_programs_are_written_all_or_none(folder: Path) -> None:
    (folder / "net.else.azp").mkdir()
    line = refused("compile", "net.onnx", "-i", "x.npz", "-o", "net.azp")
    assert line == "net.else.azp: cannot be written: Is a directory"
    assert [path.name for path in folder.glob("*.azp")] == ["net.else.azp"]
    few = ("-i", "few.npz", "--allow-unused-branch")
    assert azsim("compile", "net.onnx", *few, "-o", "few.azp").code == 0


def test_vectors_come_from_the_program_of_a_part(folder: Path) -> None:
    assert refused("vectors", "net.onnx", "-o", "v") == (
        "net.onnx: has branches (If): compile it (azsim compile) and name the program of a part"
    )
    assert azsim("compile", "net.onnx", "-i", "x.npz", "-o", "net.azp").code == 0
    assert azsim("vectors", "net.then.azp", "-o", "v").code == 0


def test_tools_that_write_one_graph_refuse_it_in_one_line(folder: Path) -> None:
    line = (
        "net.onnx: node 'pick' (If): must be the model's only If, and is taken by azsim run,"
        " compile, sweep, search and formats only"
    )
    assert refused("compress-model", "net.onnx", "-i", "x.npz", "-o", "out.onnx") == line
    assert refused("diff", "net.onnx", "net.onnx") == line


def test_formats_of_all_parts(folder: Path) -> None:
    frames = Inputs({"features": np.load("x.npz")["features"]}, "")
    choices = Choices(profiles=("bitmap",), tiles=(4096, 16384), bits=(8, 4))
    rows = study_formats("net.onnx", load_chip("az1"), choices, "x.npz").rows
    assert [row.problem for row in rows] == [""] * 4
    record = api.run(
        "net.onnx", input=frames, overrides=["wbuf.slot_weights=4096"], bits=4, cache=False
    )
    row = next(row for row in rows if (row.tile, row.bits) == (4096, 4))
    assert row.stream_bytes == sum(layer.stream_bytes for layer in record.program.layers)
    assert row.cycles_per_frame == record.counters.cycles / STEPS
    assert record.branches is not None
    programs = [part.program for part in record.branches.parts.values()]
    assert row.decoder_cycles == sum(int(p.tiles["decode_cycles"].sum()) for p in programs) > 0


# -- many runs ------------------------------------------------------------------------------------

PLAN = """model: net.onnx
input: {}
set: {{weight_store.capacity_kb: 0}}
axes:
  bits: [8, 4]
keep: [cycles, branches]
"""


def test_a_sweep_has_the_figures_of_single_runs(folder: Path) -> None:
    (folder / "plan.yaml").write_text(PLAN.format("x.npz"))
    result = run_sweep(folder / "plan.yaml", folder / "sweep", Workers(count=1))
    assert result.failed == 0
    frames = Inputs({"features": np.load("x.npz")["features"]}, "")
    for row, bits in zip(result.rows, (8, 4), strict=True):
        record = api.run(
            folder / "net.onnx", input=frames, bits=bits, overrides=[NO_STORE], cache=False
        )
        assert record.branches is not None
        assert row["cycles"] == record.counters.cycles
        for name in ("then", "else"):
            taken = record.branches.chosen.count(name)
            assert row[f"branches.branches.{name}.frames"] == taken
    assert result.rows[0]["cycles"] != result.rows[1]["cycles"]


def test_a_sweep_is_refused_before_its_first_point(folder: Path) -> None:
    text = PLAN.format("few.npz")
    (folder / "plan.yaml").write_text(text)
    assert refused("sweep", "plan.yaml", "-o", "sweep") == (
        f"plan.yaml:2: input: {NEVER}allow_unused_branch: true takes that"
    )


def test_runs_of_a_session_share_the_float_pass(folder: Path) -> None:
    stages: list[str] = []
    model, session = read_either("net.onnx"), Session()
    frames = Inputs({"features": np.load("x.npz")["features"]}, "")
    cycles = []
    for store in (0, 64):
        record = api.run(
            model, input=frames, overrides=[f"weight_store.capacity_kb={store}"], session=session,
            progress=lambda stage, done, total: stages.append(stage),
        )  # fmt: skip
        cycles.append(record.counters.cycles)
    assert stages.count("calibrating") == STEPS
    assert cycles[0] > cycles[1]
