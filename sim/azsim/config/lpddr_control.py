"""The controller of an LPDDR part: what a chip chooses, and the numbers of the memory model.

A part file states what the device is; `LpddrControl` is what a chip chooses: channels, width,
address mapping, window, refresh. Together they make the numbers that the memory model runs on
(docs/memory.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from azsim.config._block import Block, PowerOfTwo
from azsim.config.memory_keys import ConstraintRow
from azsim.config.memory_part import MemoryPart, load_part
from azsim_kernels.lpddr_params import (
    COMMAND_NAMES,
    FIELD_NAMES,
    PER_BANK,
    REFRESH_NAMES,
    SCOPE_NAMES,
    Constraint,
    LpddrParams,
)

Field_ = Literal["row", "bank", "group", "column", "channel"]


def _every_field(value: tuple[Field_, ...]) -> tuple[Field_, ...]:
    if sorted(value) != sorted(FIELD_NAMES):
        raise PydanticCustomError("part_value", "must be an order of " + ", ".join(FIELD_NAMES))
    if value.index("row") > value.index("column"):
        raise PydanticCustomError("part_value", "must have row before column")
    return value


def _part_of(value: Any) -> Any:
    """Return the part that a name or the path of a file stands for; else `value` itself."""
    if isinstance(value, str):
        return load_part(value)
    if not isinstance(value, MemoryPart | dict):
        raise PydanticCustomError("chip_value", "must be the name or the path of a memory part")
    return value


def _fields_of(value: Any) -> Any:
    """Return the words of `row-bank-column-group-channel`; else `value` itself."""
    return tuple(value.split("-")) if isinstance(value, str) else value


class LpddrControl(Block):
    """What a chip chooses about its LPDDR: the section `memory.lpddr` of a chip file."""

    part: Annotated[MemoryPart, BeforeValidator(_part_of)] = Field(
        description="The device: name of a file in hw_configs/memory, or path of another one."
    )
    channels: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=8, description="Channels, each with its own commands."
    )
    devices_per_channel: Annotated[int, PowerOfTwo] = Field(
        ge=1, le=4, description="Devices side by side, taking every command together."
    )
    mapping: Annotated[
        tuple[Field_, ...],
        Field(strict=False),
        BeforeValidator(_fields_of),
        AfterValidator(_every_field),
    ] = Field(description="Fields of an address above the bytes of a burst, highest first.")
    bank_xor_row: bool = Field(
        description="Number of the bank exclusive-or the lowest bits of the row: spreads strides."
    )
    window_bursts: int = Field(
        ge=1, le=64, description="Bursts per channel among which the scheduler chooses."
    )
    bypass_limit: int = Field(
        ge=0, le=1024, description="Younger bursts served before the oldest one must be."
    )
    refresh: Literal["none", "all_bank", "per_bank"] = Field(
        description="Refresh policy; `none` is for comparisons."
    )
    refresh_batch: int = Field(
        ge=1, le=8, description="Refreshes owed at which traffic must wait; the standards allow 8."
    )
    host_outstanding: int = Field(ge=1, le=64, description="Requests in flight of the host port.")
    path_cycles: int = Field(
        ge=0,
        le=10_000,
        description="Core cycles from the end of a burst at the controller to its use on the chip.",
    )

    @property
    def burst_bytes(self) -> int:
        """Bytes of one burst of one channel."""
        return self.part.burst_bytes * self.devices_per_channel

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.part.channel_bytes * self.devices_per_channel * self.channels


def lpddr_params(control: LpddrControl, outstanding: Sequence[int]) -> LpddrParams:
    """Return the numbers of the memory model.

    outstanding  requests in flight of the ports W, A and, if there is one, host
    """
    part = control.part
    devices = control.devices_per_channel
    refresh = REFRESH_NAMES.index(control.refresh)
    intervals = part.refresh
    per_bank = refresh == PER_BANK
    return LpddrParams(
        clock_ps=part.clock_ps,
        channels=control.channels,
        groups=part.geometry.groups,
        banks_per_group=part.geometry.banks_per_group,
        rows=part.geometry.rows,
        columns=part.geometry.page_bytes // part.burst_bytes,
        burst_bytes=part.burst_bytes * devices,
        read_clocks=part.latency.read_clocks
        + part.latency.strobe_clocks
        + part.latency.burst_clocks,
        write_clocks=part.latency.write_clocks + part.latency.burst_clocks,
        refresh=refresh,
        refresh_interval_clocks=intervals.per_bank_interval_clocks
        if per_bank
        else intervals.all_bank_interval_clocks,
        refresh_batch=control.refresh_batch,
        window_bursts=control.window_bursts,
        bypass_limit=control.bypass_limit,
        order=control.mapping,
        bank_xor_row=control.bank_xor_row,
        outstanding=tuple(outstanding),
        constraints=tuple(_constraint(row) for row in part.constraints),
    )


def _constraint(row: ConstraintRow) -> Constraint:
    return Constraint(
        SCOPE_NAMES.index(row.scope),
        tuple(COMMAND_NAMES.index(name) for name in row.first),
        tuple(COMMAND_NAMES.index(name) for name in row.then),
        row.count,
        row.clocks,
    )
