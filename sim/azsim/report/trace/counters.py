"""Counters of a trace: occupancy and bandwidth over time, in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from azsim.counters.recording import SAMPLED, StepRecording
from azsim.program import Program
from azsim.report.intervals import StepIntervals
from azsim.report.record import RunRecord
from azsim.report.trace.clock import TraceClock
from azsim.report.trace.packets import PacketWriter
from azsim.report.trace.played import Turn
from azsim.report.trace.steps import changes, open_at, slot_intervals
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]
Curve = tuple[str, Ints, npt.NDArray[np.generic]]  # name, cycles in the pass, values from then on

_RATES = {
    "DRAM read by DMA-W": "dma_w_bytes",
    "DRAM read by DMA-A": "dma_a_read_bytes",
    "DRAM written by DMA-A": "dma_a_write_bytes",
    "weight store read": "store_bytes",
    "DRAM read by the host": "host_read_bytes",
    "DRAM written by the host": "host_write_bytes",
}
_IN_FLIGHT = {"bursts of DMA-W in flight": "dma_w_in_flight",
              "bursts of DMA-A in flight": "dma_a_in_flight"}  # fmt: skip
_FILLS = np.array([isa.TILE, isa.RAW, isa.PACK])
_RATE, _BURSTS, _WORDS, _SLOTS, _QUEUE, _PRODUCTS = (
    "MB/s", "bursts", "words", "slots", "commands", "products/cycle",
)  # fmt: skip


class CounterTracks:
    """Defines the counters below `parent`; `write` fills them for one pass."""

    def __init__(self, writer: PacketWriter, parent: int, record: RunRecord) -> None:
        self._writer, self._record = writer, record
        units = record.chip.decoder.units
        names = {name: _RATE for name in _RATES if record.host_traffic or "host" not in name}
        names |= dict.fromkeys(_IN_FLIGHT, _BURSTS)
        names |= {f"FIFO {unit}: reserved words": _WORDS for unit in range(units)}
        names |= {"tile slots in use": _SLOTS, "MAC products": _PRODUCTS}
        names |= {f"queue of {engine}": _QUEUE for engine in isa.engine_names(units)}
        self._tracks = {name: writer.track(name, parent, unit) for name, unit in names.items()}

    def write(self, clock: TraceClock, turn: Turn, steps: StepIntervals) -> None:
        """Write the counters of a program's turn; all are 0 at its end."""
        times, recording = turn.times, turn.recording
        end = recording.cut if recording.cut >= 0 else recording.cycles
        for name, cycles, values in self._curves(turn, steps):
            if name not in self._tracks:
                continue
            kept = changes(cycles, values) & (cycles < end)
            moments = clock.all_at(times.start + cycles[kept])
            for moment, value in zip(moments, values[kept].tolist(), strict=True):
                self._writer.count(moment, self._tracks[name], value)
            self._writer.count(clock.at(times.start + end), self._tracks[name], 0)

    def _curves(self, turn: Turn, steps: StepIntervals) -> Iterator[Curve]:
        recording = turn.recording
        samples = recording.samples
        cycles, mhz = samples[:, 0], self._record.chip.core.clock_mhz
        lengths = np.maximum(np.diff(cycles), 1)
        for name, column in _RATES.items():
            moved = np.diff(samples[:, 1 + SAMPLED.index(column)])
            yield name, cycles[:-1], moved * mhz // lengths
        for name, column in _IN_FLIGHT.items():
            yield name, cycles, samples[:, 1 + SAMPLED.index(column)]
        for unit in range(self._record.chip.decoder.units):
            yield f"FIFO {unit}: reserved words", cycles, samples[:, 1 + len(SAMPLED) + unit]
        yield "tile slots in use", *_slots(turn.played.program, steps)
        yield "MAC products", *_products(recording, steps)
        for engine, name in enumerate(steps.names):
            mine = steps.command[steps.engine == engine]
            yield f"queue of {name}", *open_at(recording.dispatch[mine], recording.start[mine])


def _slots(program: Program, steps: StepIntervals) -> tuple[Ints, Ints]:
    uses = np.isin(steps.opcode, [*_FILLS, isa.PRODUCT])
    slot = program.commands["arg"][steps.command[uses], 0].astype(np.int64)
    held = slot_intervals(steps.opcode[uses], slot, steps.start[uses], steps.free[uses], _FILLS)
    return open_at(held[:, 0], held[:, 1])


def _products(
    recording: StepRecording, steps: StepIntervals
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Products per cycle while each PRODUCT runs, 0 between them."""
    mine = steps.opcode == isa.PRODUCT
    start, free = steps.start[mine], steps.free[mine]
    rate = recording.products[steps.command[mine]] / np.maximum(free - start, 1)
    pause = free < np.append(start[1:], -1)  # another one that starts at once has its own value
    pause[-1:] = True
    cycles = np.concatenate([start, free[pause]])
    order = np.argsort(cycles, kind="stable")
    return cycles[order], np.concatenate([rate, np.zeros(np.count_nonzero(pause))])[order]
