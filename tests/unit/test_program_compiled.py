"""Programs of the compiler: there and back byte by byte, and one of them as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import azsim
from compiled import compile_file
from speech_models import FEATURES, speech_frames, speech_maker

from azsim.compiler import CompressionPlan, program_limits
from azsim.config import load_chip
from azsim.engine import simulate
from azsim.program import Program, load_program, save_program, verify_program

CHIPS = ("az1", "tiny", "dense", "az2")


def compiled(folder: Path, chip: str, bits: int = 5) -> Program:
    path = speech_maker().save(folder)
    plan = CompressionPlan(bits, 0.5)
    graph, _ = compile_file(path, {"x": speech_frames()}, load_chip(chip), plan)
    return graph.program


@pytest.mark.parametrize("chip", CHIPS)
def test_there_and_back(tmp_path: Path, chip: str) -> None:
    program = compiled(tmp_path, chip)
    save_program(program, tmp_path / "a.azp")
    loaded = load_program(tmp_path / "a.azp")
    save_program(loaded, tmp_path / "b.azp")
    assert (tmp_path / "a.azp").read_bytes() == (tmp_path / "b.azp").read_bytes()
    verify_program(loaded, program_limits(load_chip(chip)))
    assert (loaded.inputs, loaded.outputs) == (program.inputs, program.outputs)
    assert (loaded.layers, loaded.states) == (program.layers, program.states)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_loaded_program_runs_as_the_compiled_one(tmp_path: Path, chip: str) -> None:
    config, program = load_chip(chip), compiled(tmp_path, chip)
    save_program(program, tmp_path / "a.azp")
    loaded = load_program(tmp_path / "a.azp")
    rng = np.random.default_rng(4)
    steps = [{"x": rng.integers(-128, 128, (1, 1, FEATURES), dtype=np.int8)} for _ in range(3)]
    one, other = simulate(program, config, steps), simulate(loaded, config, steps)
    np.testing.assert_array_equal(one.outputs["y"], other.outputs["y"])
    np.testing.assert_array_equal(one.counters.step_cycles, other.counters.step_cycles)
    assert one.counters.stalls == other.counters.stalls


def test_compiling_twice_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.azp", "b.azp"):
        save_program(compiled(tmp_path, "az1"), tmp_path / name)
    assert (tmp_path / "a.azp").read_bytes() == (tmp_path / "b.azp").read_bytes()


def test_the_text_of_a_small_net(
    tmp_path: Path, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One LSTM and one dense layer on the chip tiny, as a file that people can read and diff.

    It is kept whole because the order of commands, addresses and semaphores is what the compiler
    decides: a change of any pass that moves a command shows here, and the commit that updates the
    file says why the program became another one.
    """
    monkeypatch.chdir(tmp_path)
    speech_maker(features=5, hidden=(3,), scores=2).save(tmp_path)
    np.savez("frames.npz", x=speech_frames(4, 5))
    words = ("compile", "model.onnx", "-i", "frames.npz", "--chip", "tiny", "-o", "net.azp")
    assert azsim(*words, "--bits", 4, "--sparsity", 0.25).code == 0
    done = azsim("disasm", "net.azp")
    assert (done.code, done.err) == (0, "")
    text = done.out.replace(load_chip("tiny").config_hash(), "CONFIG_HASH")  # of every key
    # the last bits of a scale may differ between machines whose float sums run in another order
    golden("disasm_small_net.txt", re.sub(r"multiplier=\d+", "multiplier=N", text))
