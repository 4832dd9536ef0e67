"""What the user wants of a trace, checked before the simulation begins."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from azsim._atomic import output_place
from azsim.counters.recording import RecordPlan
from azsim.errors import ConfigError

TIME_UNITS = ("ns", "cycles")
NS_PER_CYCLE_MHZ = 1000
"""At this clock a cycle is one nanosecond, the viewer's unit; a faster one has no whole ones."""
MAX_BYTES = 48_000_000
FRAME_BYTES = 300
"""A frame and its pass, recorded or not."""
MAX_FRAMES = 100_000
"""Frames that are shown at all."""


@dataclass(frozen=True)
class TraceWish:
    """`window`: frames START <= frame < END, None: sampled over the whole run. `unit`: what one
    nanosecond of the viewer is.
    """

    path: Path
    window: tuple[int, int] | None = None
    unit: str = "ns"

    def check(self, clock_mhz: int) -> None:
        """Raise ConfigError if the trace could not be written."""
        if self.unit not in TIME_UNITS:
            raise ConfigError(f"--trace-time: must be {' or '.join(TIME_UNITS)}, not '{self.unit}'")
        if self.unit == "ns" and clock_mhz > NS_PER_CYCLE_MHZ:
            raise ConfigError(
                f"--trace-time: must be cycles above {NS_PER_CYCLE_MHZ} MHz (a cycle of "
                f"{clock_mhz} MHz is less than the viewer's nanosecond), not ns"
            )
        if self.window is not None and not 0 <= self.window[0] < self.window[1]:
            raise ConfigError(
                f"--trace-window: must begin before it ends, not {self.window[0]}:{self.window[1]}"
            )
        output_place(self.path)
        if importlib.util.find_spec("perfetto") is None:
            raise ConfigError("--trace: needs a further package: pip install 'azsim[trace]'")

    def plan(self, frames: int, frames_per_pass: int) -> RecordPlan:
        """Return which passes of a run are recorded.

        Raises:
            ConfigError: the window begins after the run.
        """
        passes = -(-frames // frames_per_pass)
        left = MAX_BYTES - FRAME_BYTES * min(frames, MAX_FRAMES)
        if self.window is None:
            return RecordPlan(0, passes, left)
        first, end = self.window
        if first >= frames:
            raise ConfigError(
                f"--trace-window: must begin in the run's {frames} frames (0 to {frames - 1}), "
                f"not at {first}"
            )
        last = (min(end, frames) - 1) // frames_per_pass
        return RecordPlan(first // frames_per_pass, last + 1, left)


def parse_window(text: str) -> tuple[int, int]:
    """Return (start, end) of `START:END`, or raise ConfigError."""
    match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text)
    if match is None:
        raise ConfigError(f"--trace-window: must be START:END in frames, such as 0:4, not {text!r}")
    return int(match[1]), int(match[2])
