"""Memory parts: the timing of one LPDDR channel as a file of rows, and the controller's choices.

A part file states what the device is (hw_configs/memory); `LpddrControl` is what a chip chooses:
channels, width, address mapping, window, refresh. Together they make the numbers that the memory
model runs on (docs/memory.md). Errors have the form of chip files, with the name of the row:

    bad.yaml:31: constraints.tRAS.clocks: must be at most tRC (97), not 98
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from azsim._resources import data_folder
from azsim.config._block import Block, Frozen, PowerOfTwo
from azsim.config._yaml import (
    Document,
    Path_,
    parse_document,
    printable,
    read_text,
    shown_value,
)
from azsim.config.memory_rules import check_part
from azsim.errors import ConfigError
from azsim_kernels.lpddr_params import (
    COMMAND_NAMES,
    FIELD_NAMES,
    PER_BANK,
    REFRESH_NAMES,
    SCOPE_NAMES,
    Constraint,
    LpddrParams,
)

Command = Literal["ACT", "PRE", "PREA", "RD", "WR", "REFA", "REFP"]
Field_ = Literal["row", "bank", "group", "column", "channel"]
Clocks = Annotated[int, Field(ge=1, le=100_000)]


def _each_once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(value)) != len(value):
        raise PydanticCustomError("part_value", "must name nothing twice")
    return value


def _every_field(value: tuple[Field_, ...]) -> tuple[Field_, ...]:
    if sorted(value) != sorted(FIELD_NAMES):
        raise PydanticCustomError("part_value", "must be an order of " + ", ".join(FIELD_NAMES))
    if value.index("row") > value.index("column"):
        raise PydanticCustomError("part_value", "must have row before column")
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


class MemoryPart(Frozen):
    """One channel of one device."""

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

    @model_validator(mode="after")
    def _rows_fit_together(self) -> MemoryPart:
        broken = check_part(self)
        if broken is not None:
            raise PydanticCustomError(
                "part_rule", "{text}", {"text": broken.text, "keys": [".".join(broken.keys)]}
            )
        return self

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


def part_names() -> list[str]:
    """Return the names of the parts that come with azsim, sorted."""
    return sorted(path.stem for path in (data_folder("hw_configs") / "memory").glob("*.yaml"))


def is_part_path(text: str) -> bool:
    """Say whether `text` is the path of a part file and not a name."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))


def is_shipped_part(part: MemoryPart) -> bool:
    """Say whether `part` is what its name stands for."""
    return part.name in part_names() and load_part(part.name) == part


def load_part(name_or_path: str | Path) -> MemoryPart:
    """Return the part `name_or_path`: a shipped part's name, or the path of a part file.

    Raises:
        ConfigError: one line with file, line, row and key, and what it must be.
    """
    if isinstance(name_or_path, Path) or is_part_path(name_or_path):
        path = Path(name_or_path)
        return parse_part(read_text(path), printable(path))
    names = part_names()
    if name_or_path not in names:
        close = difflib.get_close_matches(name_or_path, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ConfigError(
            f"memory part '{printable(name_or_path)}': must be one of {', '.join(names)}{hint}"
        )
    return _shipped_part(name_or_path)


@lru_cache(maxsize=16)  # a part takes longer to read than the rest of a chip
def _shipped_part(name: str) -> MemoryPart:
    path = data_folder("hw_configs") / "memory" / f"{name}.yaml"
    return parse_part(read_text(path), f"memory/{path.name}")


def parse_part(text: str, where: str) -> MemoryPart:
    """Return the part that YAML `text` describes; errors name the file `where`. See `load_part`."""
    document = parse_document(text, where)
    try:
        return MemoryPart.model_validate(document.tree)
    except ValidationError as error:
        details = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")
        raise ConfigError(document_message(details[0], document)) from None


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


def document_message(detail: Any, document: Document) -> str:
    """Return the line that refuses `document` for `detail`, an error of pydantic."""
    kind, ctx = detail["type"], detail.get("ctx", {})
    path: Path_ = tuple(detail["loc"])
    if kind == "part_rule":
        path = tuple(int(key) if key.isdecimal() else key for key in ctx["keys"][0].split("."))
    shown = ".".join(_shown_parts(path, document))
    if kind == "missing":
        line = _line(path[:-1], document)
        return f"{document.where}{line}: {shown}: must be present"
    return f"{document.where}{_line(path, document)}: {shown}: {_text(detail)}"


def _shown_parts(path: Path_, document: Document) -> Iterable[str]:
    """Yield the parts of a key path, a row of the table by its name where it has one."""
    for depth, part in enumerate(path):
        name = None
        if isinstance(part, int) and depth == 1 and path[0] == "constraints":
            rows = document.tree.get("constraints")
            row = rows[part] if isinstance(rows, list) and part < len(rows) else None
            name = row.get("name") if isinstance(row, dict) else None
        yield printable(name) if isinstance(name, str) else printable(part)


def _line(path: Path_, document: Document) -> str:
    """Return `:line` of the key at `path`, or of the nearest key above it that has one."""
    while path:
        if path in document.lines:
            return f":{document.lines[path]}"
        inside = [line for key, line in document.lines.items() if key[: len(path)] == path]
        if inside:
            return f":{min(inside)}"
        path = path[:-1]
    return ""


_MUST_BE = {
    "extra_forbidden": "unknown key",
    "int_type": "must be an integer",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "must have only letters, digits and underscores",
}


def _text(detail: Any) -> str:
    kind, ctx = detail["type"], detail.get("ctx", {})
    if kind == "part_rule":
        return str(detail["msg"])
    if kind == "extra_forbidden":
        return "unknown key"
    must = detail["msg"]
    if kind in _MUST_BE:
        must = _MUST_BE[kind].format(**ctx)
    elif kind == "literal_error":
        must = "must be " + str(ctx["expected"]).replace("'", "")
    return f"{must}, not {shown_value(detail['input'])}"
