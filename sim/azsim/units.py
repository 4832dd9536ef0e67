"""Units and the integer arithmetic that goes with them.

Every quantity in azsim carries its unit at the end of its name. Sizes are binary (1 KB = 1024
bytes), rates of the outside world are decimal (1 GB/s = 10^9 bytes per second), clocks are whole
MHz. Timing is integer: core cycles on the chip, picoseconds where two clocks meet. The functions
that return a float are for reports only.
"""

from __future__ import annotations

BYTES_PER_KB = 1024
BYTES_PER_MB = 1024 * 1024
BITS_PER_BYTE = 8
PS_PER_US = 1_000_000


def ceil_div(value: int, divisor: int) -> int:
    """Return `value / divisor` rounded towards plus infinity; `divisor` must be positive."""
    if divisor <= 0:
        raise ValueError(f"divisor must be positive, not {divisor}")
    return -(-value // divisor)


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not below `value`."""
    return ceil_div(value, step) * step


def round_down(value: int, step: int) -> int:
    """Return the largest multiple of `step` that is not above `value`."""
    if step <= 0:
        raise ValueError(f"step must be positive, not {step}")
    return value // step * step


def is_power_of_two(value: int) -> bool:
    """Tell whether `value` is 1, 2, 4, 8, ..."""
    return value > 0 and value & (value - 1) == 0


def cycles_to_ps(cycles: int, clock_mhz: int) -> int:
    """Return the time of clock edge `cycles` in picoseconds, rounded up to a whole picosecond."""
    return ceil_div(cycles * PS_PER_US, clock_mhz)


def ps_to_cycles(time_ps: int, clock_mhz: int) -> int:
    """Return the first clock edge (in cycles) that is not before `time_ps`."""
    return ceil_div(time_ps * clock_mhz, PS_PER_US)


def cycles_to_ms(cycles: int, clock_mhz: int) -> float:
    """Return `cycles` in milliseconds, for reports."""
    return cycles / (clock_mhz * 1000)


def bytes_to_kb(size_bytes: int) -> float:
    """Return `size_bytes` in KB of 1024 bytes, for reports."""
    return size_bytes / BYTES_PER_KB
