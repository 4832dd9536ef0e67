"""Why a step ended early, in one line that names commands by number, opcode and layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from azsim.program import Program
from azsim_kernels import isa, tile_errors

_MOST_WAITING = 6  # commands named in a deadlock; more would not help


def explain(program: Program, result: isa.StepResult) -> str:
    """Return the text of the error for a step whose status is not DONE."""
    where = f"program '{program.name}': cycle {result.cycles}: "
    if result.status == isa.DEADLOCK:
        return where + _deadlock(program, result)
    failed = command_name(program, result.error_command)
    return f"{where}{failed} {_CAUSES[result.status](program, result)}"


def command_name(program: Program, number: int) -> str:
    """Return `command 12 (TILE of layer 'lstm')`."""
    command = program.commands[number]
    opcode = isa.OPCODE_NAMES[int(command["opcode"])]
    layer = int(command["layer"])
    of_layer = f" of layer '{program.layers[layer].name}'" if layer >= 0 else ""
    return f"command {number} ({opcode}{of_layer})"


def _deadlock(program: Program, result: isa.StepResult) -> str:
    """Name the commands that run without an end, and the head of each queue that waits."""
    left = np.flatnonzero(result.free < 0)
    seen: set[tuple[int, int]] = set()
    parts = []
    for number in left.tolist():
        command = program.commands[number]
        engine = (int(command["engine"]), int(command["unit"]))
        if engine not in seen:
            seen.add(engine)
            parts.append(f"{command_name(program, number)} {_wait(program, result, number)}")
    more = f", and {len(parts) - _MOST_WAITING} more" if len(parts) > _MOST_WAITING else ""
    shown = ", ".join(parts[:_MOST_WAITING])
    return f"deadlock, {len(left)} commands cannot end: {shown}{more}"


def _wait(program: Program, result: isa.StepResult, number: int) -> str:
    command = program.commands[number]
    if result.start[number] >= 0:
        if command["opcode"] == isa.FETCH:
            return "waits for credits of its FIFO"
        return "waits for words of its FETCH"
    if result.dispatch[number] < 0:
        return "waits for a place in its queue"
    missing = [
        f"semaphore {semaphore} ({isa.SEMAPHORE_KIND_NAMES[program.semaphore_kinds[semaphore]]})"
        f" to be {need}, not {have}"
        for semaphore, need, have in _missing(program, result, number)
    ]
    return "waits for " + (" and ".join(missing) or "its turn")


def _missing(program: Program, result: isa.StepResult, number: int) -> list[tuple[int, int, int]]:
    """Return (semaphore, count needed, count there) of what a command lacks at the end."""
    counts = program.semaphore_initial.astype(np.int64)
    for other, command in enumerate(program.commands):
        for name, times, sign in (("wait", result.start, -1), ("signal", result.free, 1)):
            if times[other] >= 0:
                for k in range(int(command[f"n_{name}"])):
                    counts[command[name][k]] += sign * int(command[f"{name}_count"][k])
    needed: dict[int, int] = {}
    command = program.commands[number]
    for k in range(int(command["n_wait"])):
        semaphore = int(command["wait"][k])
        needed[semaphore] = needed.get(semaphore, 0) + int(command["wait_count"][k])
    return [(s, need, int(counts[s])) for s, need in needed.items() if counts[s] < need]


def _overflow(program: Program, result: isa.StepResult) -> str:
    return f"raises semaphore {result.error_code} above the chip's semaphore_max"


def _bad_tile(program: Program, result: isa.StepResult) -> str:
    code = result.error_code
    return f"got a bad tile: {tile_errors.NAMES[code]} ({tile_errors.MEANINGS[code]})"


def _bad_index(program: Program, result: isa.StepResult) -> str:
    rows = int(program.commands["arg"][result.error_command, 5])
    return f"must have indices in 0..{rows - 1}, index number {result.error_code} is not"


def _bad_operand(program: Program, result: isa.StepResult) -> str:
    return "has an operand outside its memory or out of range"


_CAUSES: dict[int, Callable[[Program, isa.StepResult], str]] = {
    isa.SEMAPHORE_OVERFLOW: _overflow,
    isa.BAD_TILE: _bad_tile,
    isa.BAD_INDEX: _bad_index,
    isa.BAD_OPERAND: _bad_operand,
}
