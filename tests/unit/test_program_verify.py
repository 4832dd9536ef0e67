"""What a program from anywhere must be: each rule broken once, and wild operands never slip by."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program_cases import command, small_program, tile

from azsim.errors import CompileError
from azsim.program import LayerInfo, Port, Program, ProgramLimits, verify_program
from azsim.program.verify import COMMAND_SET_LIMITS
from azsim_kernels import isa

pytestmark = pytest.mark.small

LIMITS = ProgramLimits(
    units=2,
    semaphores=16,
    semaphore_max=255,
    dram_bytes=1 << 20,
    store_bytes=1024,
    abuf_bytes=4096,
    tile_slots=4,
    slot_weights=1024,
    lanes=4,
    accumulators_per_lane=64,
    program_commands=100,
)
WILD = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 1, 2, 1 << 31, 1 << 62, -1])


def port(**changes: Any) -> Port:
    fields: dict[str, Any] = {"address": 1024, "shape": (8,), "element": "int8"}
    return Port(**{"name": "x", **fields, "scale": 0.5, "zero_point": 0, **changes})


def only(*commands: np.ndarray) -> Program:
    return small_program(commands=np.concatenate(commands))


def test_the_program_made_by_hand_is_legal() -> None:
    verify_program(small_program(), LIMITS)
    verify_program(small_program(), COMMAND_SET_LIMITS)


F, L, S, G, P, R = isa.FETCH, isa.LOAD, isa.STORE, isa.GATHER, isa.PRODUCT, isa.RESCALE
BROKEN: list[tuple[Program, str]] = [
    (
        small_program(commands=np.tile(command(L, 0, 0, 8), 101)),
        "commands: needs 101, the chip has 100",
    ),
    (
        small_program(
            semaphore_kinds=np.zeros(17, np.int64), semaphore_initial=np.zeros(17, np.int64)
        ),
        "semaphores: needs 17, the chip has 16",
    ),
    (small_program(dram_bytes=1 << 21), "DRAM bytes: needs 2097152, the chip has 1048576"),
    (
        small_program(dram=np.zeros((1 << 20) + 1, np.uint8)),
        "DRAM image bytes: needs 1048577, the chip has 1048576",
    ),
    (small_program(dram_bytes=-5), "DRAM bytes: must be 0 or more, not -5"),
    (
        small_program(store=np.zeros(1025, np.uint8)),
        "weight store bytes: needs 1025, the chip has 1024",
    ),
    (small_program(abuf_bytes=4097), "ABUF bytes: needs 4097, the chip has 4096"),
    (
        small_program(semaphore_initial=np.zeros(1, np.int64)),
        "each semaphore must have a kind and a count",
    ),
    (
        small_program(semaphore_kinds=np.array([0, 3], np.int64)),
        "semaphore kinds must be 0, 1 or 2",
    ),
    (
        small_program(semaphore_initial=np.array([0, 256], np.int64)),
        "initial semaphore counts must be 0..255",
    ),
    (
        only(command(isa.PACK, 4, 0, 2, 2, 2, 1)),
        "command 0 (PACK): slot must be below 4",
    ),
    (
        only(command(isa.PACK, 0, 0, 33, 32, 32, 1)),
        "command 0 (PACK): rows x columns must fit a slot of 1024 weights",
    ),
    (
        only(command(isa.PACK, 0, 4096 - 63, 2, 32, 32, 1)),
        "command 0 (PACK): the matrix must be inside ABUF",
    ),
    (
        only(command(isa.PACK, 0, 0, 2, 32, -1, 1)),
        "command 0 (PACK): the matrix must be inside ABUF",
    ),
    (only(command(L, 0, 0, 8, opcode=26)), "command 0 (opcode 26): opcode must be below 26"),
    (
        only(command(L, 0, 0, 8, engine=3)),
        "command 0 (LOAD): engine must be the opcode's engine",
    ),
    (
        only(command(F, 0, 24, 0, unit=2)),
        "command 0 (FETCH): unit must be below 2 (0 for engines without units)",
    ),
    (
        only(command(L, 0, 0, 8, unit=1)),
        "command 0 (LOAD): unit must be below 2 (0 for engines without units)",
    ),
    (only(command(L, 0, 0, 8, layer=1)), "command 0 (LOAD): layer must be -1..0"),
    (only(command(L, 0, 0, 8, layer=-2)), "command 0 (LOAD): layer must be -1..0"),
    (only(command(L, 0, 0, 8, n_wait=5)), "command 0 (LOAD): must have at most 4 waits"),
    (only(command(L, 0, 0, 8, n_signal=9)), "command 0 (LOAD): must have at most 4 signals"),
    (
        only(command(L, 0, 0, 8, wait=[(2, 1)])),
        "command 0 (LOAD): wait semaphore must be below 2",
    ),
    (
        only(command(L, 0, 0, 8, signal=[(0, 1), (7, 1)])),
        "command 0 (LOAD): signal semaphore must be below 2",
    ),
    (
        only(command(F, 0, 24, 2)),
        "command 0 (FETCH): source must be 0 (DRAM) or 1 (weight store)",
    ),
    (only(command(F, 0, 12, 0)), "command 0 (FETCH): bytes must be 8..131064, in words"),
    (only(command(F, 4, 8, 0)), "command 0 (FETCH): address must be aligned to 8"),
    (only(command(F, 8, 16, 1)), "command 0 (FETCH): address must be inside its memory"),
    (only(command(S, 0, 0, 0)), "command 0 (STORE): bytes must be at least 1"),
    (
        only(command(S, 1040, 0, 1)),
        "command 0 (STORE): DRAM range must be inside 0..1040",
    ),
    (
        only(command(L, 0, 4090, 8)),
        "command 0 (LOAD): ABUF range must be inside 0..4096",
    ),
    (only(command(G, 0, 0, 0, 0, 1, 1)), "command 0 (GATHER): counts must be 1..2^31"),
    (only(command(G, 0, 0, 8, 0, 1, 1000)), "command 0 (GATHER): table must be inside DRAM"),
    (only(command(G, 0, 4090, 8, 0, 1, 1)), "command 0 (GATHER): result must be inside ABUF"),
    (only(command(G, 0, 0, 8, 2, 1, 1)), "command 0 (GATHER): indices must be inside ABUF"),
    (only(command(isa.TILE, 4, 1, 0)), "command 0 (TILE): slot must be below 4"),
    (only(command(isa.RAW, 0, 5, 0)), "command 0 (RAW): groups must be 1..4"),
    (only(command(isa.TILE, 0, 1, -1)), "command 0 (TILE): tile_index must be 0..2^32-1"),
    (only(command(P, 4, 1, 1, 0, 1)), "command 0 (PRODUCT): slot must be below 4"),
    (
        only(command(P, 0, 33, 32, 0, 1)),
        "command 0 (PRODUCT): rows x columns must fit a slot of 1024 weights",
    ),
    (
        only(command(P, 0, 1, 1, 0, 1, -1)),
        "command 0 (PRODUCT): activation stride must be 0..2^31",
    ),
    (
        only(command(P, 0, 1, 8, 4089, 1)),
        "command 0 (PRODUCT): activations must be inside ABUF",
    ),
    (
        only(command(P, 0, 8, 8, 0, 2, 8, 0, 63)),
        "command 0 (PRODUCT): accumulators must be below 64 per lane",
    ),
    (
        only(command(P, 0, 8, 8, 0, 1, 8, 0, 8, 1, 9)),
        "command 0 (PRODUCT): weight_bits must be 2..8",
    ),
    (only(command(R, 0, 0, 1)), "command 0 (RESCALE): rows and columns must be in range"),
    (
        only(command(R, 8, 63, 1)),
        "command 0 (RESCALE): accumulators must be in range",
    ),
    (
        only(command(R, 8, 0, 1, 0, 4030)),
        "command 0 (RESCALE): parameters must be inside ABUF, aligned to 4",
    ),
    (
        small_program(tiles=np.concatenate([tile(), tile(words=33)])),
        "tile 1: must lie in its memory image and fit a slot",
    ),
    (
        small_program(tiles=tile(weights=2048)),
        "tile 0: must lie in its memory image and fit a slot",
    ),
    (small_program(tiles=tile(source=2)), "tile 0: must lie in its memory image and fit a slot"),
    (small_program(tiles=tile(layer=1)), "tile 0: must lie in its memory image and fit a slot"),
    (
        small_program(tiles=tile(decode_cycles=-1)),
        "tile 0: must lie in its memory image and fit a slot",
    ),
    (
        small_program(inputs=(port(element="int64"),)),
        "port 'x' must be a non-empty int8/16/32 tensor",
    ),
    (
        small_program(inputs=(port(shape=(3, 0)),)),
        "port 'x' must be a non-empty int8/16/32 tensor",
    ),
    (small_program(inputs=(port(shape=(17,)),)), "port 'x' must lie inside DRAM"),
    # 2^64 elements: the product of the sizes is 0 in 64 bits
    (small_program(inputs=(port(shape=(1 << 32, 1 << 32)),)), "port 'x' must lie inside DRAM"),
    (small_program(inputs=(port(address=-8),)), "port 'x' must lie inside DRAM"),
    (
        small_program(outputs=(port(scale=0.0),)),
        "port 'x' must have a positive scale, not 0.0",
    ),
    (
        small_program(outputs=(port(scale=float("nan")),)),
        "port 'x' must have a positive scale, not nan",
    ),
    (
        small_program(outputs=(port(), port())),
        "ports must have names of their own",
    ),
]


@pytest.mark.parametrize(("program", "text"), BROKEN, ids=[text for _, text in BROKEN])
def test_each_rule_refuses(program: Program, text: str) -> None:
    with pytest.raises(CompileError, match=rf"^program 'by hand': {re.escape(text)}$"):
        verify_program(program, LIMITS)


@pytest.mark.parametrize(
    ("opcode", "place"),
    [*((isa.PRODUCT, place) for place in (1, 3, 5, 6, 7)), *((isa.RESCALE, p) for p in range(5))],
)
@pytest.mark.parametrize("value", [1 << 62, (1 << 63) - 1, 1 << 61])
def test_an_accumulator_whose_number_wraps_is_refused(opcode: int, place: int, value: int) -> None:
    """4 x 2^62 is 0 in 64 bits: a range test on the sum alone would let the command pass."""
    args = [0, 1, 1, 0, 5, 0, 0, 0, 1, 8] if opcode == isa.PRODUCT else [1, 0, 5, 0, 0]
    verify_program(only(command(opcode, *args)), LIMITS)
    args[place] = value
    with pytest.raises(CompileError, match=r"^program 'by hand': command 0 "):
        verify_program(only(command(opcode, *args)), LIMITS)


def covered(program: Program) -> list[tuple[str, int, int]]:
    """(memory, first byte, byte behind the last) of what commands address, in Python's integers."""
    ranges = []
    for one in program.commands:
        arg, opcode = [int(a) for a in one["arg"]], int(one["opcode"])
        if opcode == isa.FETCH:
            ranges.append(("store" if arg[2] else "dram", arg[0], arg[0] + arg[1]))
        elif opcode in (isa.LOAD, isa.STORE):
            ranges += [("dram", arg[0], arg[0] + arg[2]), ("abuf", arg[1], arg[1] + arg[2])]
        elif opcode == isa.GATHER:
            ranges.append(("dram", arg[0], arg[0] + arg[2] * arg[5]))
            ranges.append(("abuf", arg[1], arg[1] + arg[2] * arg[4]))
            ranges.append(("abuf", arg[3], arg[3] + 4 * arg[4]))
        elif opcode == isa.PRODUCT:
            ranges.append(("abuf", arg[3], arg[3] + (arg[4] - 1) * arg[5] + arg[2]))
            ranges.append(("slot", 0, arg[1] * arg[2]))
            ranges.append(("acc", arg[6], arg[6] + (arg[4] - 1) * arg[7] + (arg[1] - 1) // 4 + 1))
        elif opcode == isa.RESCALE:
            ranges.append(("abuf", arg[4], arg[4] + 9 * arg[0]))
            ranges.append(("acc", arg[1], arg[1] + (arg[2] - 1) * arg[3] + (arg[0] - 1) // 4 + 1))
    return ranges


@given(
    opcode=st.sampled_from([F, L, S, G, P, R]),
    near=st.lists(st.integers(0, 40), min_size=16, max_size=16),
    wild=st.dictionaries(st.integers(0, 15), WILD, max_size=3),
)
def test_what_passes_addresses_nothing_outside(
    opcode: int, near: list[int], wild: dict[int, int]
) -> None:
    args = [wild.get(place, value) for place, value in enumerate(near)]
    program = only(command(opcode, *args))
    try:
        verify_program(program, LIMITS)
    except CompileError:
        return
    sizes = {"dram": 1040, "store": 16, "abuf": 4096, "slot": 1024, "acc": 64}
    for memory, first, end in covered(program):
        assert 0 <= first < end <= sizes[memory]


def test_layers_are_counted_for_commands_and_tiles() -> None:
    more = small_program(layers=(LayerInfo("a", "Linear"), LayerInfo("b", "Linear")))
    program = replace(more, tiles=tile(layer=1), commands=command(L, 0, 0, 8, layer=1))
    verify_program(program, LIMITS)


def test_a_class_that_the_chip_is_without_is_refused() -> None:
    program = only(command(isa.LUT8, 0, 8, 512, 256))
    verify_program(program, LIMITS)
    message = (
        r"^program '.*': command 0 \(LUT8\): the chip must have vector\.ops\.lut8, and has not$"
    )
    with pytest.raises(CompileError, match=message):
        verify_program(program, replace(LIMITS, missing_classes=frozenset({"lut8", "norm"})))


def test_a_matrix_up_to_the_last_byte_of_abuf_may_be_packed() -> None:
    verify_program(only(command(isa.PACK, 3, 4096 - 64, 2, 32, 32, 1)), LIMITS)
    verify_program(only(command(isa.PACK, 0, 4095, 1, 1, -9, 1 << 62)), LIMITS)
