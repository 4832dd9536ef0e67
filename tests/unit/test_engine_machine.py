"""`azsim.engine.Machine`: named inputs and outputs, and errors that name the command."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from azsim.config import ChipConfig, load_chip
from azsim.engine import Machine
from azsim.errors import ModelError, SimulationError
from azsim.program import Port, Program
from azsim_kernels import isa
from azsim_kernels.reference.bitmap import encode_bitmap_tile
from unit.program_cases import command, small_program

X = np.array([[1, -2, 3, -4, 5, -6, 7, -8]], np.int8)
WEIGHTS = np.arange(64, dtype=np.int8).reshape(8, 8) - 30


@pytest.fixture(scope="module")
def tiny() -> ChipConfig:
    """The chip of the program."""
    return load_chip("tiny")


def program(chip: ChipConfig, **changes: Any) -> Program:
    """y = W x: load x, fetch and multiply, rescale by one, store as int32."""
    words = np.zeros(33, np.uint64)
    padded = np.zeros(256, np.int8)
    padded[:64] = WEIGHTS.reshape(-1)
    stream = words[: encode_bitmap_tile(padded, 0, words)].view(np.uint8)
    scales = np.zeros(72, np.uint8)
    scales[:32].view(np.int32)[:] = 1 << 30
    scales[64:] = 30
    dram = np.concatenate([stream, np.zeros(-stream.size % 8, np.uint8), scales])
    at = dram.size - scales.size
    x, y = 2048, 2056
    commands = [
        command(isa.LOAD, x, 0, 8, signal=[(0, 1)]),
        command(isa.LOAD, at, 64, 72, signal=[(0, 1)]),
        command(isa.FETCH, 0, stream.size, 0),
        command(isa.TILE, 0, 1, 0, signal=[(0, 1)]),
        command(isa.PRODUCT, 0, 8, 8, 0, 1, 8, 0, 8, 1, 8, 0, 1, wait=[(0, 3)], signal=[(1, 1)]),
        command(
            isa.RESCALE, 8, 0, 1, 8, 64, 256, 32, isa.INT32, 0, 0, 0, 0,
            wait=[(1, 1)], signal=[(2, 1)],
        ),
        command(isa.STORE, y, 256, 32, wait=[(2, 1)], layer=-1),
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "chip": chip.name,
        "config_hash": chip.config_hash(),
        "commands": np.concatenate(commands),
        "semaphore_kinds": np.array([isa.DATA, isa.DATA, isa.SPACE], np.int64),
        "semaphore_initial": np.zeros(3, np.int64),
        "dram": dram,
        "dram_bytes": 2088,
        "abuf_bytes": 288,
        "inputs": (Port("x", x, (1, 8), "int8", 0.5, 0),),
        "outputs": (Port("y", y, (2, 4), "int32", 1.0, 0),),
    }
    return small_program(**{**fields, **changes})


def change(chip: ChipConfig, number: int, **fields: Any) -> Program:
    """The program with some fields of one command changed; `arg_3` is operand 3."""
    one = program(chip)
    for name, value in fields.items():
        if name.startswith("arg_"):
            one.commands["arg"][number, int(name[4:])] = value
        else:
            one.commands[name][number] = value
    return one


def failure(one: Program, chip: ChipConfig) -> str:
    """The text of the error of a step."""
    with pytest.raises(SimulationError) as caught:
        Machine(one, chip).step({"x": X})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_step_computes_the_outputs(tiny: ChipConfig) -> None:
    machine = Machine(program(tiny), tiny)
    for x in (X, -X, X):
        outputs, result = machine.step({"x": x})
        want = WEIGHTS.astype(np.int64) @ x.astype(np.int64).reshape(-1)
        assert outputs["y"].dtype == np.int32
        assert np.array_equal(outputs["y"], want.reshape(2, 4))
        assert result.status == isa.DONE
    assert machine.read_abuf(0, 8).view(np.int8).tolist() == X.reshape(-1).tolist()
    assert machine.read_dram(2048, 8).view(np.int8).tolist() == X.reshape(-1).tolist()


def test_times_only_give_no_outputs_and_the_same_cycles(tiny: ChipConfig) -> None:
    _, full = Machine(program(tiny), tiny).step({"x": X})
    outputs, timing = Machine(program(tiny), tiny, timing_only=True).step({"x": X})
    assert outputs == {}
    for name, a, b in zip(full._fields, full, timing, strict=True):
        assert np.array_equal(a, b), name


def test_damaged_weights_are_refused_by_name(tiny: ChipConfig) -> None:
    machine = Machine(program(tiny), tiny)
    machine.step({"x": X})
    machine.write_dram(9, machine.read_dram(9, 1) ^ np.uint8(16))
    text = (
        r"^program 'by hand': cycle \d+: command 3 \(TILE of layer 'dense'\) got a bad tile: "
        r"BAD_CRC \(checksum mismatch\)$"
    )
    with pytest.raises(SimulationError, match=text):
        machine.step({"x": X})


def test_an_overflow_names_command_and_semaphore(tiny: ChipConfig) -> None:
    one = change(tiny, 0, signal_count=[16, 0, 0, 0])
    assert re.fullmatch(
        r"program 'by hand': cycle \d+: command 0 \(LOAD of layer 'dense'\) raises semaphore 0 "
        r"above the chip's semaphore_max",
        failure(one, tiny),
    )


def test_a_bad_operand_names_the_command(tiny: ChipConfig) -> None:
    text = failure(change(tiny, 6, arg_1=tiny.abuf.capacity_kb * 1024), tiny)
    assert re.fullmatch(
        r"program 'by hand': cycle \d+: command 6 \(STORE\) has an operand outside its memory or "
        r"out of range",
        text,
    )


def test_a_bad_index_names_rows_and_place(tiny: ChipConfig) -> None:
    one = change(tiny, 1, opcode=isa.GATHER, arg=[0, 512, 8, 0, 2, 3] + [0] * 10)
    text = failure(one, tiny)
    assert re.fullmatch(
        r"program 'by hand': cycle \d+: command 1 \(GATHER of layer 'dense'\) must have indices "
        r"in 0\.\.2, index number 0 is not",
        text,
    )


def test_a_deadlock_lists_who_waits_for_what(tiny: ChipConfig) -> None:
    text = failure(change(tiny, 4, wait_count=[4, 0, 0, 0]), tiny)
    assert re.fullmatch(
        r"program 'by hand': cycle \d+: deadlock, 3 commands cannot end: "
        r"command 4 \(PRODUCT of layer 'dense'\) waits for semaphore 0 \(data\) to be 4, not 3, "
        r"command 5 \(RESCALE of layer 'dense'\) waits for semaphore 1 \(data\) to be 1, not 0, "
        r"command 6 \(STORE\) waits for semaphore 2 \(space\) to be 1, not 0",
        text,
    )


def test_a_decoder_without_words_is_a_deadlock_too(tiny: ChipConfig) -> None:
    one = program(tiny)
    text = failure(program(tiny, commands=np.delete(one.commands, 2)), tiny)
    assert "command 2 (TILE of layer 'dense') waits for words of its FETCH" in text


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({}, "program 'by hand': inputs must be x, not none"),
        ({"x": X, "z": X}, "program 'by hand': inputs must be x, not x, z"),
        ({"x": X[0]}, "input 'x': must be integers of shape (1, 8), not int8 of shape (8,)"),
        (
            {"x": X.astype(np.float32)},
            "input 'x': must be integers of shape (1, 8), not float32 of shape (1, 8)",
        ),
        (
            {"x": np.full((1, 8), 200)},
            "input 'x': must be in -128..127, not 200..200",
        ),
    ],
)
def test_wrong_inputs_are_refused(
    tiny: ChipConfig, inputs: dict[str, np.ndarray], text: str
) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(text)}$"):
        Machine(program(tiny), tiny).step(inputs)


def test_indices_must_be_rows(tiny: ChipConfig) -> None:
    port = Port("x", 2048, (1, 8), "int8", 1.0, 0, index_rows=5)
    machine = Machine(program(tiny, inputs=(port,)), tiny)
    with pytest.raises(ModelError, match=r"^input 'x': must be in 0\.\.4, not -8\.\.7$"):
        machine.step({"x": X})


def test_a_program_of_another_chip_is_refused(tiny: ChipConfig) -> None:
    other = load_chip("tiny", ["core.clock_mhz=101"])
    text = (
        f"^program 'by hand': must run on the chip it was compiled for "
        f"\\(tiny, {tiny.config_hash()}\\), not tiny, {other.config_hash()}$"
    )
    with pytest.raises(SimulationError, match=text):
        Machine(program(tiny), other)


def test_reads_and_writes_stay_inside(tiny: ChipConfig) -> None:
    machine = Machine(program(tiny), tiny)
    with pytest.raises(
        SimulationError, match=r"^DRAM read of 2 bytes at 2087: must be inside 0\.\.2087$"
    ):
        machine.read_dram(2087, 2)
    with pytest.raises(
        SimulationError, match=r"^ABUF read of 1 bytes at -1: must be inside 0\.\.16383$"
    ):
        machine.read_abuf(-1, 1)
    with pytest.raises(
        SimulationError, match=r"^DRAM write of bytes 2088\.\.2088: must be inside 0\.\.2087$"
    ):
        machine.write_dram(2088, np.zeros(1, np.uint8))
