"""What one pass did, event by event, as far as it was recorded: the raw matter of a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim_kernels.lpddr_params import ACT, REFA, REFP

Ints = npt.NDArray[np.int64]

SAMPLED = (
    "dma_w_in_flight", "dma_a_in_flight", "dma_w_bytes", "dma_a_read_bytes", "dma_a_write_bytes",
    "store_bytes", "host_read_bytes", "host_write_bytes",
)  # fmt: skip
"""Columns of `StepRecording.samples` behind the cycle; after them the reserved words of each FIFO.
Bytes count from the start of the pass."""

# Bytes of a trace file: two packets of a slice, with arguments and flow; two packets; a packet; two
# with arguments. A command moves two counters as well.
COMMAND_BYTES, SPAN_BYTES, SAMPLE_BYTES, ROW_BYTES = 160, 48, 24, 76


@dataclass(frozen=True)
class StepRecording:
    """One pass in cycles from its start; all arrays int64.

    dispatch, start, free  (commands,) cycles of each command
    products               (commands,) products that each PRODUCT did
    spans                  (n, 4) engine, stall class, first cycle, end: each cycle of an engine is
                           in one span, those of class idle are left out; by engine, then time
    samples                (m, 1 + 8 + units) cycle and state at its start: `SAMPLED`, FIFO words
    memory_commands        (k, 6) LPDDR: memory clock since the first pass began, channel, command,
                           bank (-1: all), row, port; in the order they were sent on each channel
    memory_cycle           core cycles of the memory's time before this pass
    cut                    cycle from which nothing is recorded, -1: the whole pass is
    """

    dispatch: Ints
    start: Ints
    free: Ints
    products: Ints
    spans: Ints
    samples: Ints
    memory_commands: Ints
    memory_cycle: int
    cut: int

    @property
    def cycles(self) -> int:
        """Length of the pass."""
        return int(self.free.max(initial=0))

    @property
    def trace_bytes(self) -> int:
        """About how many bytes of a trace the recording makes; rather too many."""
        return (
            len(self.start) * COMMAND_BYTES
            + len(self.spans) * SPAN_BYTES
            + self.samples.size * SAMPLE_BYTES
            + opened_rows(self.memory_commands) * ROW_BYTES
        )


def opened_rows(memory_commands: Ints) -> int:
    """Return how many rows were opened and refreshes made, of commands as in `StepRecording`."""
    return int(np.isin(memory_commands[:, 2], (ACT, REFA, REFP)).sum())


@dataclass(frozen=True)
class RecordPlan:
    """Which passes are recorded: those of `first <= pass < end`, or so many, evenly chosen, that
    they make about `max_bytes` of a trace; one pass alone is cut there.
    """

    first: int
    end: int
    max_bytes: int


@dataclass(frozen=True)
class Recordings:
    """The passes recorded, by number, in order; equal ones are one object."""

    plan: RecordPlan
    passes: tuple[tuple[int, StepRecording], ...]
