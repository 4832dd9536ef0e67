"""Times of a trace: where each pass stands in the run, and moments in the viewer's unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.report.record import RunRecord
from azsim.report.trace.wish import NS_PER_CYCLE_MHZ
from azsim.units import PS_PER_US, cycles_to_ps

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TraceClock:
    """The viewer counts nanoseconds. `unit` ns: the last whole one before a clock edge; cycles: a
    nanosecond stands for one core cycle.
    """

    clock_mhz: int
    unit: str

    def at(self, cycle: int) -> int:
        """The moment of a core cycle of the run."""
        return cycle if self.unit == "cycles" else cycle * NS_PER_CYCLE_MHZ // self.clock_mhz

    def all_at(self, cycles: Ints) -> list[int]:
        """The moments of core cycles."""
        moments = cycles if self.unit == "cycles" else cycles * NS_PER_CYCLE_MHZ // self.clock_mhz
        return [int(moment) for moment in moments]

    def behind(self, cycle: int, times_ps: Ints) -> list[int]:
        """The moments that lie picoseconds behind the edge of core cycle `cycle`."""
        absolute = cycles_to_ps(cycle, self.clock_mhz) + times_ps
        if self.unit == "cycles":
            return [int(time_ps) * self.clock_mhz // PS_PER_US for time_ps in absolute]
        return [int(time_ps) * NS_PER_CYCLE_MHZ // PS_PER_US for time_ps in absolute]


@dataclass(frozen=True)
class PassTimes:
    """One pass of a run, in core cycles since the first frame's arrival: it starts when its last
    frame `newest` has arrived and the pass before is complete. `deadline`: when it must be.
    """

    number: int
    oldest: int
    newest: int
    start: int
    end: int
    deadline: int

    @property
    def name(self) -> str:
        """What the viewer shows."""
        frames = f"frame {self.oldest}"
        if self.newest > self.oldest:
            frames = f"frames {self.oldest} to {self.newest}"
        late = ", late" if self.end > self.deadline else ""
        return f"pass {self.number}: {frames}{late}"


def frame_cycle(record: RunRecord, frame: int) -> int:
    """The core cycle in which a frame arrives (the first one at 0)."""
    return round(frame * record.frame_ms * record.chip.core.clock_mhz * 1000)


def pass_times(record: RunRecord) -> list[PassTimes]:
    """Return all passes of a run."""
    together, free, passes = record.frames_per_pass, 0, []
    for number, cycles in enumerate(record.counters.step_cycles.tolist()):
        oldest = number * together
        newest = min(oldest + together, record.frames) - 1
        start = max(frame_cycle(record, newest), free)
        free = start + cycles
        deadline = frame_cycle(record, oldest + 2 * together - 1)
        passes.append(PassTimes(number, oldest, newest, start, free, deadline))
    return passes
