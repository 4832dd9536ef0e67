"""A program made by hand for tests: every field filled, valid for the command set, no compiler."""

from __future__ import annotations

from typing import Any

import numpy as np

from azsim.program import TILE_DTYPE, LayerInfo, Port, Program, Region
from azsim_kernels import isa

CHIP_HASH = "0123456789abcdef"


def command(opcode: int, /, *args: int, **fields: Any) -> np.ndarray:
    """One command; `wait` and `signal` are lists of (semaphore, count)."""
    record = np.zeros(1, isa.COMMAND)
    record["opcode"], record["engine"] = opcode, isa.OPCODE_ENGINE[opcode]
    record["arg"][0, : len(args)] = args
    for name in ("wait", "signal"):
        pairs = fields.pop(name, [])
        record[f"n_{name}"] = len(pairs)
        for place, (semaphore, count) in enumerate(pairs):
            record[name][0, place], record[f"{name}_count"][0, place] = semaphore, count
    for name, value in fields.items():
        record[name] = value
    return record


def tile(**fields: int) -> np.ndarray:
    """One tile of 3 words at the start of DRAM."""
    record = np.zeros(1, TILE_DTYPE)
    usual = {"words": 3, "weights": 256, "rows": 8, "columns": 8, "decode_cycles": 12}
    for name, value in {**usual, **fields}.items():
        record[name] = value
    return record


def small_program(**changes: Any) -> Program:
    """One layer's traffic: load, fetch, decode, multiply, rescale, store."""
    commands = [
        command(isa.LOAD, 1024, 0, 8, signal=[(1, 1)]),
        command(isa.FETCH, 0, 24, 0, unit=1),
        command(isa.TILE, 0, 1, 0, unit=1, wait=[(0, 1)], signal=[(1, 1)]),
        command(isa.PRODUCT, 0, 8, 8, 0, 1, 8, 0, 8, 1, 8, 0, 1, wait=[(1, 2)], signal=[(0, 1)]),
        command(isa.RESCALE, 8, 0, 1, 8, 64, 16, 8, 0, 0, 0, 0, 0),
        command(isa.STORE, 1032, 16, 8, layer=-1),
    ]
    fields: dict[str, Any] = {
        "name": "by hand",
        "chip": "tiny",
        "config_hash": CHIP_HASH,
        "commands": np.concatenate(commands),
        "semaphore_kinds": np.array([isa.SPACE, isa.DATA], np.int64),
        "semaphore_initial": np.array([2, 0], np.int64),
        "tiles": tile(),
        "layers": (LayerInfo("dense", "Linear", 8, 8, 1, 8, 64, 60, 24, 20),),
        "dram": np.arange(256, dtype=np.uint8),
        "store": np.arange(16, dtype=np.uint8),
        "dram_bytes": 1040,
        "abuf_bytes": 136,
        "inputs": (Port("x", 1024, (1, 8), "int8", 0.5, -3),),
        "outputs": (Port("y", 1032, (2, 4), "int8", 1 / 3, 4),),
        "states": (Region("abuf", "h", 24, 8),),
        "regions": (Region("dram", "stream", 0, 24),),
        "metadata": {"azsim.seed": "1", "azsim.frame_ms": "30"},
    }
    return Program(**{**fields, **changes})
