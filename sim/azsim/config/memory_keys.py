"""The keys of a memory part file: the timing of one LPDDR channel as rows (docs/memory.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from azsim.config._block import Frozen, PowerOfTwo

Command = Literal["ACT", "PRE", "PREA", "RD", "WR", "REFA", "REFP"]
Clocks = Annotated[int, Field(ge=1, le=100_000)]


def _each_once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(value)) != len(value):
        raise PydanticCustomError("part_value", "must name nothing twice")
    return value


def _one_printable_line(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("part_value", "must be one line of printable text")
    return value


Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_printable_line)]
# Lists in the file, tuples in the model: strict mode would take tuples only.
Commands = Annotated[
    tuple[Command, ...],
    Field(min_length=1, max_length=7, strict=False),
    AfterValidator(_each_once),
]


class Geometry(Frozen):
    """Banks, rows and width of one channel of one device."""

    width_bits: Annotated[int, PowerOfTwo] = Field(ge=8, le=64, description="Data lines.")
    burst_length: Annotated[int, PowerOfTwo] = Field(
        ge=2, le=64, description="Transfers of one burst on each data line."
    )
    groups: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=8, description="Bank groups; 1 if the device has none."
    )
    banks_per_group: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=16, description="Banks in each group."
    )
    page_bytes: Annotated[int, PowerOfTwo] = Field(
        ge=64, le=65_536, description="Bytes of an open row."
    )
    rows: Annotated[int, PowerOfTwo] = Field(ge=64, le=1_048_576, description="Rows of a bank.")


class Latency(Frozen):
    """From a column command to its data, in memory clocks."""

    read_clocks: Clocks = Field(description="From RD to the first data at the device (RL).")
    strobe_clocks: int = Field(
        ge=0, le=1000, description="From there to the first data at the controller (tDQSCK)."
    )
    write_clocks: Clocks = Field(description="From WR to its first data (WL).")
    burst_clocks: Clocks = Field(description="Clocks in which the data of a burst are moved.")


class RefreshIntervals(Frozen):
    """How often a refresh is due."""

    all_bank_interval_clocks: int = Field(
        ge=2, le=10_000_000, description="Clocks from one all-bank refresh to the next (tREFI)."
    )
    per_bank_interval_clocks: int = Field(
        ge=2, le=10_000_000, description="Clocks from one per-bank refresh to the next."
    )


class ConstraintRow(Frozen):
    """After the `count`-th last `first`, a command of `then` waits `clocks`."""

    name: str = Field(
        min_length=1,
        max_length=32,
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="Name of the constraint, as in the standard where it has one.",
    )
    scope: Literal["bank", "group", "channel"] = Field(
        description="Both commands concern the same bank, bank group or channel."
    )
    first: Commands = Field(description="The earlier command is one of these.")
    then: Commands = Field(description="The later command is one of these.")
    count: int = Field(ge=1, le=16, description="Which of the earlier commands, from the last.")
    clocks: Clocks = Field(description="Memory clocks between the two.")
    source: Line = Field(description="Where the number stands.")


class PartKeys(Frozen):
    """One channel of one device, its rows not yet compared with one another."""

    name: str = Field(
        min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$", description="Identifier of the part."
    )
    description: Line = Field(description="What the part is, in one line.")
    standard: Literal["LPDDR4", "LPDDR5"] = Field(description="The family.")
    source: Line = Field(description="Where the numbers were taken from.")
    clock_ps: int = Field(
        ge=100, le=100_000, description="Clock period in picoseconds; all clocks are of this clock."
    )
    geometry: Geometry
    latency: Latency
    refresh: RefreshIntervals
    constraints: Annotated[
        tuple[ConstraintRow, ...], Field(min_length=1, max_length=64, strict=False)
    ] = Field(description="The timing constraints, one row each.")

    @property
    def burst_bytes(self) -> int:
        """Bytes of one burst of one device."""
        return self.geometry.width_bits * self.geometry.burst_length // 8

    @property
    def channel_bytes(self) -> int:
        """Bytes of one channel of one device."""
        g = self.geometry
        return g.groups * g.banks_per_group * g.rows * g.page_bytes

    @property
    def least_clocks_per_burst(self) -> int:
        """Clocks from one RD of a channel to the next if nothing else is in the way (tCCD)."""
        return max(
            row.clocks
            for row in self.constraints
            if row.scope == "channel" and row.count == 1 and {"RD"} <= {*row.first} & {*row.then}
        )
