"""What the LPDDR model is told: commands, scopes, constraint rows and sizes (docs/memory.md).

Plain data, shared by the fast kernels and the clocked model.
"""

from __future__ import annotations

from typing import NamedTuple

# Commands of the memory. PREA and REFA concern every bank of the channel, the others one bank.
ACT, PRE, PREA, READ, WRITE, REFA, REFP = range(7)
COMMAND_NAMES = ("ACT", "PRE", "PREA", "RD", "WR", "REFA", "REFP")

# Where a constraint holds: between commands to one bank, one bank group, one channel.
BANK, GROUP, CHANNEL = range(3)
SCOPE_NAMES = ("bank", "group", "channel")

# Refresh policies.
NO_REFRESH, ALL_BANK, PER_BANK = range(3)
REFRESH_NAMES = ("none", "all_bank", "per_bank")

# Fields of an address above the bytes of a burst.
FIELD_NAMES = ("row", "bank", "group", "column", "channel")

# Ports, in the order in which they are asked.
PORT_W, PORT_A, PORT_HOST = range(3)
PORT_NAMES = ("w", "a", "host")

# Counts of a channel, in this order: commands, clocks with an open row, bursts by what they found
# of their row, bursts by port and direction.
CHANNEL_COUNTS = (
    *COMMAND_NAMES,
    "open_clocks",
    "row_hits",
    "row_misses",
    "row_conflicts",
    *(f"{port}_reads" for port in PORT_NAMES),
    *(f"{port}_writes" for port in PORT_NAMES),
)

# Answers of a request.
TAKEN, PORT_FULL, BAD_REQUEST = range(3)


class Constraint(NamedTuple):
    """After the `depth`-th last of the commands `first`, one of `then` must wait `clocks`.

    Both commands concern the same bank, group or channel, as `scope` says. With `depth` 1 it is the
    distance of two commands, with `depth` 4 a window of four (tFAW).
    """

    scope: int
    first: tuple[int, ...]
    then: tuple[int, ...]
    depth: int
    clocks: int


class LpddrParams(NamedTuple):
    """Everything that times the memory. Clocks are those of the memory."""

    clock_ps: int
    channels: int
    groups: int
    banks_per_group: int
    rows: int
    columns: int  # bursts in a row of a bank
    burst_bytes: int
    read_clocks: int  # from RD to the end of its data
    write_clocks: int  # from WR to the end of its data
    refresh: int
    refresh_interval_clocks: int
    refresh_batch: int
    window_bursts: int
    bypass_limit: int
    order: tuple[str, ...]  # FIELD_NAMES, from the most significant to the least
    bank_xor_row: bool
    outstanding: tuple[int, ...]  # requests in flight, per port
    constraints: tuple[Constraint, ...]

    @property
    def banks(self) -> int:
        """Banks of a channel."""
        return self.groups * self.banks_per_group

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.channels * self.banks * self.rows * self.columns * self.burst_bytes


class LpddrMemory(NamedTuple):
    """The memory as a chip sees it: behind a clock crossing and a path."""

    params: LpddrParams
    core_mhz: int
    path_cycles: int  # core cycles from a completion to the cycle in which the chip sees it


class HostPattern(NamedTuple):
    """Traffic of the rest of the device (section 10 of docs/memory.md)."""

    period_ns: int
    requests: int  # due at the start of each period
    request_bytes: int
    address: int
    places: int  # requests that fit in the address range
    is_random: bool  # places at random; else one after the other, round and round
    read_share_percent: int
    priority: int  # among patterns, the largest first


HOST_PASSES = 8  # a pattern that was passed over so often goes before all priorities


class LpddrCommand(NamedTuple):
    """One command of the trace; `bank`, `row` and `port` are -1 where there is none."""

    clock: int
    channel: int
    command: int
    bank: int
    row: int
    port: int


class LpddrCompletion(NamedTuple):
    """A request whose last burst ends at `clock`."""

    clock: int
    port: int
    ticket: int
