"""What any program must be before it may run: each command in range of the chip it names.

Programs come from files, so nothing is taken on trust: after this check no command can address
outside a memory. Alignment and lengths of vector operands are checked once more where they are
used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.errors import CompileError
from azsim.program.types import Port, Program
from azsim_kernels import isa

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ProgramLimits:
    """What a chip offers a program (bytes, counts)."""

    units: int
    semaphores: int
    semaphore_max: int
    dram_bytes: int
    store_bytes: int
    abuf_bytes: int
    tile_slots: int
    slot_weights: int
    lanes: int
    accumulators_per_lane: int
    program_commands: int
    missing_classes: frozenset[str] = frozenset()  # vector classes that the chip is without


# The widest chip that the command set can speak of: what holds for a program of any chip. Sizes
# end at 2^40, so that no sum of two of them leaves 64 bits.
COMMAND_SET_LIMITS = ProgramLimits(
    units=256,
    semaphores=256,
    semaphore_max=1 << 31,
    dram_bytes=1 << 40,
    store_bytes=1 << 40,
    abuf_bytes=1 << 40,
    tile_slots=1 << 31,
    slot_weights=1 << 31,
    lanes=1 << 16,
    accumulators_per_lane=1 << 31,
    program_commands=1 << 31,
)


def verify_program(program: Program, limits: ProgramLimits) -> None:
    """Check every command, tile and port of `program`.

    Raises:
        CompileError: the first broken rule, with the number of the command, in one line.
    """
    _verify_sizes(program, limits)
    _verify_heads(program, limits)
    _verify_semaphores(program, limits)
    _verify_classes(program, limits)
    for rule in RULES:
        for opcodes, wrong, text in rule(program, limits):
            _refuse(program, np.isin(program.commands["opcode"], opcodes) & wrong, text)
    _verify_tiles(program, limits)
    _verify_ports(program)


def _refuse(program: Program, wrong: Mask, text: str) -> None:
    if wrong.any():
        number = int(np.argmax(wrong))
        opcode = int(program.commands["opcode"][number])
        name = isa.OPCODE_NAMES[opcode] if opcode < len(isa.OPCODE_NAMES) else f"opcode {opcode}"
        raise CompileError(f"program '{program.name}': command {number} ({name}): {text}")


def _verify_sizes(program: Program, limits: ProgramLimits) -> None:
    rows = [
        ("commands", len(program.commands), limits.program_commands),
        ("semaphores", len(program.semaphore_kinds), limits.semaphores),
        ("DRAM bytes", program.dram_bytes, limits.dram_bytes),
        ("DRAM image bytes", len(program.dram), limits.dram_bytes),
        ("weight store bytes", len(program.store), limits.store_bytes),
        ("ABUF bytes", program.abuf_bytes, limits.abuf_bytes),
    ]
    for what, need, have in rows:
        if need < 0:
            raise CompileError(f"program '{program.name}': {what}: must be 0 or more, not {need}")
        if need > have:
            raise CompileError(
                f"program '{program.name}': {what}: needs {need}, the chip has {have}"
            )
    if len(program.semaphore_kinds) != len(program.semaphore_initial):
        raise CompileError(f"program '{program.name}': each semaphore must have a kind and a count")


def _verify_heads(program: Program, limits: ProgramLimits) -> None:
    commands = program.commands
    opcode = commands["opcode"].astype(np.int64)
    known = opcode < len(isa.OPCODE_NAMES)
    _refuse(program, ~known, f"opcode must be below {len(isa.OPCODE_NAMES)}")
    engine = np.array(isa.OPCODE_ENGINE)[opcode]
    _refuse(program, commands["engine"] != engine, "engine must be the opcode's engine")
    has_unit = np.isin(engine, (isa.DMA_W, isa.DECODE))
    wrong = np.where(has_unit, commands["unit"] >= limits.units, commands["unit"] != 0)
    _refuse(program, wrong, f"unit must be below {limits.units} (0 for engines without units)")
    layer = commands["layer"]
    wrong = (layer < -1) | (layer >= len(program.layers))
    _refuse(program, wrong, f"layer must be -1..{len(program.layers) - 1}")


def _verify_classes(program: Program, limits: ProgramLimits) -> None:
    for opcode, number in isa.OPCODE_VECTOR_CLASS.items():
        name = isa.VECTOR_CLASSES[number]
        if name in limits.missing_classes:
            text = f"the chip must have vector.ops.{name}, and has not"
            _refuse(program, program.commands["opcode"] == opcode, text)


def _verify_semaphores(program: Program, limits: ProgramLimits) -> None:
    commands, count = program.commands, len(program.semaphore_kinds)
    for field, most in (("wait", isa.MAX_WAITS), ("signal", isa.MAX_SIGNALS)):
        _refuse(program, commands[f"n_{field}"] > most, f"must have at most {most} {field}s")
        for place in range(most):
            used = commands[f"n_{field}"] > place
            wrong = used & (commands[field][:, place] >= count)
            _refuse(program, wrong, f"{field} semaphore must be below {count}")
    if np.any((program.semaphore_kinds < 0) | (program.semaphore_kinds > isa.ORDER)):
        raise CompileError(f"program '{program.name}': semaphore kinds must be 0, 1 or 2")
    initial = program.semaphore_initial
    if np.any((initial < 0) | (initial > limits.semaphore_max)):
        raise CompileError(
            f"program '{program.name}': initial semaphore counts must be 0..{limits.semaphore_max}"
        )


Rules = list[tuple[tuple[int, ...], Any, str]]


def _outside(start: Any, size: Any, end: int) -> Any:
    """Mask of ranges [start, start + size) not inside [0, end); safe for any int64."""
    return (start < 0) | (size < 0) | (start > end) | (size > end) | (start + size > end)


def _fetch_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg = program.commands["arg"]
    source, size = arg[:, 2], arg[:, 1]
    end = np.where(source == 0, program.dram_bytes, len(program.store))
    return [
        ((isa.FETCH,), (source < 0) | (source > 1), "source must be 0 (DRAM) or 1 (weight store)"),
        (
            (isa.FETCH,),
            (size < 8) | (size % 8 != 0) | (size > 8 * 16383),
            "bytes must be 8..131064, in words",
        ),
        (
            (isa.FETCH,),
            (arg[:, 0] % 8 != 0) | _outside(arg[:, 0], size, 1 << 62),
            "address must be aligned to 8",
        ),
        ((isa.FETCH,), arg[:, 0] + size > end, "address must be inside its memory"),
    ]


def _dma_a_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg, dram, abuf = program.commands["arg"], program.dram_bytes, limits.abuf_bytes
    moves, gather = (isa.LOAD, isa.STORE), (isa.GATHER,)
    big = (arg[:, 2] > 1 << 31) | (arg[:, 4] > 1 << 31) | (arg[:, 5] > 1 << 31)
    few = (arg[:, 2] < 1) | (arg[:, 4] < 1) | (arg[:, 5] < 1)
    table = np.where(big, 0, arg[:, 2] * arg[:, 5])
    result = np.where(big, 0, arg[:, 2] * arg[:, 4])
    odd = arg[:, 3] % 4 != 0
    return [
        (moves, arg[:, 2] < 1, "bytes must be at least 1"),
        (moves, _outside(arg[:, 0], arg[:, 2], dram), f"DRAM range must be inside 0..{dram}"),
        (moves, _outside(arg[:, 1], arg[:, 2], abuf), f"ABUF range must be inside 0..{abuf}"),
        (gather, few | big, "counts must be 1..2^31"),
        (gather, _outside(arg[:, 0], table, dram), "table must be inside DRAM"),
        (gather, _outside(arg[:, 1], result, abuf), "result must be inside ABUF"),
        (gather, odd | _outside(arg[:, 3], 4 * arg[:, 4], abuf), "indices must be inside ABUF"),
    ]


def _decode_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg, codes = program.commands["arg"], (isa.TILE, isa.RAW)
    most = limits.slot_weights // 256
    return [
        (
            codes,
            (arg[:, 0] < 0) | (arg[:, 0] >= limits.tile_slots),
            f"slot must be below {limits.tile_slots}",
        ),
        (codes, (arg[:, 1] < 1) | (arg[:, 1] > most), f"groups must be 1..{most}"),
        (codes, (arg[:, 2] < 0) | (arg[:, 2] >= 1 << 32), "tile_index must be 0..2^32-1"),
    ]


def _top_accumulator(base: Any, columns: Any, stride: Any, rows: Any, limits: ProgramLimits) -> Any:
    """Return the highest accumulator of a command; one that no lane has if base or stride is wild.

    `columns` and `rows` must be 1..2^20, so that nothing leaves 64 bits.
    """
    wild = (base < 0) | (stride < 0) | (base > 1 << 31) | (stride > 1 << 31)
    top = np.where(wild, 0, base) + (columns - 1) * np.where(wild, 0, stride)
    return np.where(wild, limits.accumulators_per_lane, top + (rows - 1) // limits.lanes)


def _product_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg, code = program.commands["arg"], (isa.PRODUCT,)
    slot, rows, columns, address, m, stride = (arg[:, k] for k in range(6))
    small = (
        (rows >= 1)
        & (columns >= 1)
        & (rows <= 65536)
        & (columns <= 65536)
        & (m >= 1)
        & (m <= 65536)
    )
    last = np.where(small, (m - 1) * stride + columns, 1)
    top = _top_accumulator(arg[:, 6], np.where(small, m, 1), arg[:, 7], np.where(small, rows, 1),
                           limits)  # fmt: skip
    fits = rows * np.where(small, columns, 1) <= limits.slot_weights
    return [
        (code, (slot < 0) | (slot >= limits.tile_slots), f"slot must be below {limits.tile_slots}"),
        (code, ~small | ~fits, f"rows x columns must fit a slot of {limits.slot_weights} weights"),
        (code, (stride < 0) | (stride > 1 << 31), "activation stride must be 0..2^31"),
        (code, _outside(address, last, limits.abuf_bytes), "activations must be inside ABUF"),
        (code, top >= limits.accumulators_per_lane,
         f"accumulators must be below {limits.accumulators_per_lane} per lane"),
        (code, (arg[:, 9] < 2) | (arg[:, 9] > 8), "weight_bits must be 2..8"),
    ]  # fmt: skip


def _rescale_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg, code = program.commands["arg"], (isa.RESCALE,)
    rows, base, m, stride, parameters = (arg[:, k] for k in range(5))
    small = (
        (rows >= 1)
        & (rows <= 1 << 20)
        & (m >= 1)
        & (m <= 65536)
        & (stride >= 0)
        & (stride <= 65536)
    )
    columns = np.where(small, m, 1)
    top = _top_accumulator(base, columns, stride, np.where(small, rows, 1), limits)
    return [
        (code, ~small, "rows and columns must be in range"),
        (code, top >= limits.accumulators_per_lane, "accumulators must be in range"),
        (code, (parameters % 4 != 0) | _outside(parameters, 9 * rows, limits.abuf_bytes),
         "parameters must be inside ABUF, aligned to 4"),
    ]  # fmt: skip


def _pack_rules(program: Program, limits: ProgramLimits) -> Rules:
    arg, code = program.commands["arg"], (isa.PACK,)
    slot, rows, columns = arg[:, 0], arg[:, 2], arg[:, 3]
    small = (rows >= 1) & (columns >= 1) & (rows <= 65536) & (columns <= 65536)
    fits = small & (np.where(small, rows, 0) * np.where(small, columns, 0) <= limits.slot_weights)
    last = np.zeros(len(arg), np.int64)
    wild = np.zeros(len(arg), np.bool_)
    for count, stride in ((rows, arg[:, 4]), (columns, arg[:, 5])):
        used = small & (count > 1)
        outside = used & ((stride < 0) | (stride > limits.abuf_bytes))
        wild |= outside
        last += np.where(used & ~outside, (count - 1) * np.where(used & ~outside, stride, 0), 0)
    source = wild | _outside(arg[:, 1], last + 1, limits.abuf_bytes)
    return [
        (code, (slot < 0) | (slot >= limits.tile_slots), f"slot must be below {limits.tile_slots}"),
        (code, ~fits, f"rows x columns must fit a slot of {limits.slot_weights} weights"),
        (code, source, "the matrix must be inside ABUF"),
    ]


RULES = (
    _fetch_rules,
    _dma_a_rules,
    _decode_rules,
    _product_rules,
    _rescale_rules,
    _pack_rules,
)


def _verify_tiles(program: Program, limits: ProgramLimits) -> None:
    tiles = program.tiles
    end = np.where(tiles["source"] == 0, len(program.dram), len(program.store))
    size = 8 * tiles["words"].astype(np.int64)
    wrong = _outside(tiles["address"], size, 1 << 62) | (tiles["address"] + size > end)
    wrong |= (tiles["weights"] < 256) | (tiles["weights"] > limits.slot_weights)
    wrong |= (tiles["source"] < 0) | (tiles["source"] > 1) | (tiles["decode_cycles"] < 0)
    wrong |= (tiles["layer"] < -1) | (tiles["layer"] >= len(program.layers))
    if wrong.any():
        raise CompileError(
            f"program '{program.name}': tile {int(np.argmax(wrong))}:"
            " must lie in its memory image and fit a slot"
        )


def _verify_ports(program: Program) -> None:
    for ports in (program.inputs, program.outputs):
        for port in ports:
            _verify_port(program, port)
        if len({port.name for port in ports}) != len(ports):
            raise CompileError(f"program '{program.name}': ports must have names of their own")


def _verify_port(program: Program, port: Port) -> None:
    where = f"program '{program.name}': port '{port.name}'"
    if port.element not in ("int8", "int16", "int32") or min(port.shape, default=1) < 1:
        raise CompileError(f"{where} must be a non-empty int8/16/32 tensor")
    if port.address < 0 or port.address + port.bytes > program.dram_bytes:
        raise CompileError(f"{where} must lie inside DRAM")
    if not (math.isfinite(port.scale) and port.scale > 0):
        raise CompileError(f"{where} must have a positive scale, not {port.scale}")
