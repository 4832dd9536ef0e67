"""Programs as text, one command a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from azsim.program.types import Program
from azsim_kernels import isa


def disassemble(program: Program) -> Iterator[str]:
    """Yield a heading and one line per command: number, engine, opcode, operands, semaphores,
    layer. `program` must be verified (`azsim.program.load_program` does)."""
    name, chip, config_hash = map(_shown, (program.name, program.chip, program.config_hash))
    yield f"# program {name} for chip {chip} ({config_hash})"
    kinds = [isa.SEMAPHORE_KIND_NAMES[int(kind)] for kind in program.semaphore_kinds]
    for number, (kind, initial) in enumerate(zip(kinds, program.semaphore_initial, strict=True)):
        yield f"# semaphore s{number}: {kind}, initially {int(initial)}"
    for number, command in enumerate(program.commands):
        yield f"{number:6d}  {command_text(command)}  ; {_layer_name(program, command)}"


def command_text(command: np.void | Any) -> str:
    """Return a command as 'engine OPCODE operand=value ... [wait s0x1 -> signal s2x1]'."""
    engine = isa.ENGINE_CLASS_NAMES[int(command["engine"])]
    if int(command["engine"]) in (isa.DMA_W, isa.DECODE):
        engine += str(int(command["unit"]))
    opcode = int(command["opcode"])
    names = isa.OPCODE_ARGS[opcode]
    operands = " ".join(f"{n}={int(v)}" for n, v in zip(names, command["arg"], strict=False))
    waits = _semaphores(command, "wait")
    signals = _semaphores(command, "signal")
    return f"{engine:8s} {isa.OPCODE_NAMES[opcode]:9s} {operands} [{waits} -> {signals}]"


def _semaphores(command: np.void | Any, field: str) -> str:
    count = int(command[f"n_{field}"])
    pairs = zip(command[field][:count], command[f"{field}_count"][:count], strict=True)
    return " ".join(f"s{int(number)}x{int(times)}" for number, times in pairs) or "-"


def _layer_name(program: Program, command: np.void | Any) -> str:
    layer = int(command["layer"])
    return _shown(program.layers[layer].name) if 0 <= layer < len(program.layers) else "-"


def _shown(name: str) -> str:
    """A name from a model file, kept on its line: what cannot be printed becomes '?'."""
    return "".join(c if c.isprintable() else "?" for c in name)
