"""Real time of a run: what the chip is busy, and what it waits for the next frame."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.units import cycles_to_ps

PS_PER_MS = 1_000_000_000
PS_PER_S = 1000 * PS_PER_MS


@dataclass(frozen=True)
class RealTime:
    """`frames` of audio of `audio_ps` in all; the chip is busy for `busy_ps`.

    A run that does not keep up takes longer than its audio: then it is never idle.
    """

    frames: int
    audio_ps: int
    busy_ps: int

    @property
    def idle_ps(self) -> int:
        """Picoseconds between frames, of all frames together."""
        return max(0, self.audio_ps - self.busy_ps)

    @property
    def real_ps(self) -> int:
        """Picoseconds that pass from the first frame to the end."""
        return self.busy_ps + self.idle_ps

    @property
    def duty_cycle(self) -> float | None:
        """Share of real time in which the chip is busy; None if no time passed."""
        return self.busy_ps / self.real_ps if self.real_ps else None


def real_time(cycles: int, clock_mhz: int, frames: int, frame_ms: float) -> RealTime:
    """Return the times of `frames` frames, each of `frame_ms` audio, computed in `cycles`."""
    return RealTime(frames, round(frames * frame_ms * PS_PER_MS), cycles_to_ps(cycles, clock_mhz))
