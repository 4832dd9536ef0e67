"""The commands of a run's first step as intervals: who worked when, on which layer and tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.program import Program
from azsim.report.record import RunRecord
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Commands = npt.NDArray[Any]
NO_TILE = -1


@dataclass(frozen=True)
class StepIntervals:
    """Commands that ran to their end in the first step, in program order; arrays (commands,).

    `command`: its number in the program; `engine`: number of its engine, named `names[engine]`;
    `layer`: row of the layer table, one past its end for none; `tile`: see `tile_numbers`. It ran
    in cycles `start <= t < free`.
    """

    names: tuple[str, ...]
    command: Ints
    engine: Ints
    opcode: Ints
    layer: Ints
    tile: Ints
    start: Ints
    free: Ints

    @property
    def cycles(self) -> int:
        """Length of the step in cycles; 1 if nothing ran."""
        return max(int(self.free.max(initial=0)), 1)

    def chosen(self, mask: npt.NDArray[np.bool_]) -> StepIntervals:
        """Return the commands where `mask` is true."""
        parts = (
            self.command, self.engine, self.opcode, self.layer, self.tile, self.start, self.free,
        )  # fmt: skip
        return StepIntervals(self.names, *(part[mask] for part in parts))


def step_intervals(record: RunRecord) -> StepIntervals:
    """Return the intervals of the first step of `record`; none if no step ran."""
    trace, units = record.counters.trace, record.chip.decoder.units
    return command_intervals(record.program, units, trace.start, trace.free)


def command_intervals(program: Program, units: int, start: Ints, free: Ints) -> StepIntervals:
    """Return the intervals of a step on a chip with `units` decoders, given when its commands
    started and were free, int64 (commands,) or (0,): below 0 for those that did not run.
    """
    commands = program.commands[: len(start)]
    everything = StepIntervals(
        tuple(isa.engine_names(units)),
        np.arange(len(commands)),
        _engine_numbers(commands, units),
        commands["opcode"].astype(np.int64),
        commands["layer"].astype(np.int64) % (len(program.layers) + 1),
        tile_numbers(commands),
        start,
        free,
    )
    return everything.chosen((start >= 0) & (free >= 0))


def _engine_numbers(commands: Commands, units: int) -> Ints:
    kinds, unit = commands["engine"].astype(np.int64), commands["unit"].astype(np.int64)
    first = np.array([isa.engine_number(kind, 0, units) for kind in range(isa.VECTOR + 1)])
    per_unit = (kinds == isa.DMA_W) | (kinds == isa.DECODE)
    numbers: Ints = first[kinds] + np.where(per_unit, unit, 0)
    return numbers


def tile_numbers(commands: Commands) -> Ints:
    """Number the tiles as their TILE commands stand; a tile's FETCH and PRODUCT get its number.

    The n-th FETCH of a channel feeds the n-th TILE, RAW or TABLE of its decoder; a PRODUCT uses
    what was put into its slot last. All other commands get NO_TILE.
    """
    numbers = np.full(len(commands), NO_TILE, np.int64)
    opcode, unit = commands["opcode"], commands["unit"]
    decodes = np.isin(opcode, (isa.TILE, isa.RAW, isa.TABLE))
    tiles = decodes & (opcode != isa.TABLE)
    numbers[tiles] = np.arange(np.count_nonzero(tiles))
    for channel in np.unique(unit[tiles]):
        takes = np.flatnonzero(decodes & (unit == channel))
        gives = np.flatnonzero((opcode == isa.FETCH) & (unit == channel))[: len(takes)]
        numbers[gives] = numbers[takes[: len(gives)]]
    holds: dict[int, int] = {}
    for command in np.flatnonzero(tiles | (opcode == isa.PRODUCT)):
        slot = int(commands["arg"][command, 0])
        if opcode[command] == isa.PRODUCT:
            numbers[command] = holds.get(slot, NO_TILE)
        else:
            holds[slot] = int(numbers[command])
    return numbers


def first_tiles_end(steps: StepIntervals, tiles: int) -> int:
    """End of the last PRODUCT of the first `tiles` tiles; the whole step if there is none."""
    early = (steps.tile != NO_TILE) & (steps.tile < tiles)
    return int(steps.free[early].max(initial=0)) or steps.cycles


def spread(steps: StepIntervals, amount: Floats, edges: Floats) -> Floats:
    """Spread each command's `amount` evenly over its interval; return the sums between `edges`.

    The running total is a sum of ramps: exact at the kinks, straight in between.
    """
    if not len(steps.start):
        return np.zeros(len(edges) - 1)
    length = np.maximum(steps.free - steps.start, 1)
    kinks = np.concatenate([steps.start, steps.start + length])
    order = np.argsort(kinks, kind="stable")
    slopes = np.concatenate([amount / length, -amount / length])[order]
    at = kinks[order]
    total = np.concatenate([[0.0], np.cumsum(np.cumsum(slopes)[:-1] * np.diff(at))])
    between: Floats = np.maximum(np.diff(np.interp(edges, at, total)), 0.0)
    return between


def unit_use(record: RunRecord, steps: StepIntervals, edges: Floats) -> dict[str, Floats]:
    """Share (0..1) of its capacity that each shared unit used between each two `edges`.

    DRAM bus: bytes of each transfer, spread evenly over its command, against the peak rate.
    Decoders: cycles that the tiles need by the decoder law, spread over their commands, against all
    units. MAC array: time in which a PRODUCT ran.
    """
    units = record.chip.decoder.units
    peak_bytes, per_cycles = record.chip.memory_peak
    commands = record.program.commands[steps.command]
    running = (steps.opcode == isa.PRODUCT) * (steps.free - steps.start)
    amounts = {
        "DRAM bus": _dram_bytes(commands) * (per_cycles / peak_bytes),
        "decoders": _decode_cycles(record.program, steps) / units,
        "MAC array": running.astype(np.float64),
    }
    width = np.diff(edges)
    return {n: np.minimum(spread(steps, a, edges) / width, 1.0) for n, a in amounts.items()}


def _dram_bytes(commands: Commands) -> Floats:
    """Bytes that each command moves over the memory bus (not rounded to whole accesses)."""
    opcode, arg = commands["opcode"], commands["arg"]
    sizes = np.zeros(len(commands))
    fetch = (opcode == isa.FETCH) & (arg[:, isa.FETCH_ARGS.index("source")] == 0)
    sizes[fetch] = arg[fetch, isa.FETCH_ARGS.index("bytes")]
    copies = (opcode == isa.LOAD) | (opcode == isa.STORE)
    sizes[copies] = arg[copies, isa.LOAD_ARGS.index("bytes")]
    gather = opcode == isa.GATHER
    rows = arg[gather, isa.GATHER_ARGS.index("indices")].astype(np.float64)
    sizes[gather] = rows * arg[gather, isa.GATHER_ARGS.index("row_bytes")]
    return sizes


def _decode_cycles(program: Program, steps: StepIntervals) -> Floats:
    """Cycles by the decoder law of each TILE or RAW, known by the address of its FETCH."""
    law = {(int(t["source"]), int(t["address"])): int(t["decode_cycles"]) for t in program.tiles}
    numbers = tile_numbers(program.commands)
    of_tile = np.zeros(int(numbers.max(initial=NO_TILE)) + 2)  # the last place takes NO_TILE
    for command in np.flatnonzero((program.commands["opcode"] == isa.FETCH) & (numbers >= 0)):
        address, _, source = map(int, program.commands["arg"][command, :3])
        of_tile[numbers[command]] = law.get((source, address), 0)
    cycles: Floats = np.where(np.isin(steps.opcode, (isa.TILE, isa.RAW)), of_tile[steps.tile], 0.0)
    return cycles
