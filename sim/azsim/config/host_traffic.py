"""Traffic of the rest of the device: a pattern per file, checked against the chip that it meets.

bad.yaml:9: burst_bytes: must be a multiple of request_bytes (64), not 100
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from azsim._resources import data_folder
from azsim.config._block import Frozen, PowerOfTwo
from azsim.config._yaml import Document, parse_document, printable, read_text
from azsim.config.chip import ChipConfig
from azsim.config.document_errors import document_message
from azsim.config.memory_keys import Line
from azsim.config.memory_part import is_part_path
from azsim.errors import ConfigError
from azsim_kernels.lpddr_params import HostPattern


class TrafficPattern(Frozen):
    """At the start of each period, requests for `burst_bytes` in all become due."""

    name: str = Field(
        min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$", description="Identifier."
    )
    description: Line = Field(description="What it stands for, in one line.")
    source: Line = Field(description="Where the numbers come from.")
    period_ns: int = Field(ge=1, le=1_000_000_000, description="Time from burst to burst.")
    burst_bytes: int = Field(ge=1, le=1 << 30, description="Bytes that become due together.")
    request_bytes: Annotated[int, PowerOfTwo] = Field(
        ge=8, le=4096, description="Bytes of one request."
    )
    address: int = Field(ge=0, le=1 << 40, description="First byte of the range.")
    range_bytes: int = Field(ge=1, le=1 << 40, description="Bytes of the range.")
    order: Literal["sequential", "random"] = Field(
        description="Requests go through the range round and round, or anywhere in it."
    )
    read_share_percent: int = Field(ge=0, le=100, description="Reads; the others are writes.")
    priority: int = Field(ge=0, le=100, description="Among patterns, the largest goes first.")

    @model_validator(mode="after")
    def _whole_requests(self) -> TrafficPattern:
        for key in ("burst_bytes", "address", "range_bytes"):
            value = getattr(self, key)
            if value % self.request_bytes:
                text = f"must be a multiple of request_bytes ({self.request_bytes}), not {value}"
                raise PydanticCustomError("part_rule", "{text}", {"text": text, "keys": [key]})
        return self

    def kernel_pattern(self) -> HostPattern:
        """Return the pattern as the memory model takes it."""
        return HostPattern(
            period_ns=self.period_ns,
            requests=self.burst_bytes // self.request_bytes,
            request_bytes=self.request_bytes,
            address=self.address,
            places=self.range_bytes // self.request_bytes,
            is_random=self.order == "random",
            read_share_percent=self.read_share_percent,
            priority=self.priority,
        )


@dataclass(frozen=True)
class _Read:
    pattern: TrafficPattern
    document: Document

    def refuse(self, key: str, text: str) -> ConfigError:
        line = self.document.lines[(key,)]
        return ConfigError(f"{self.document.where}:{line}: {key}: {text}")


def traffic_names() -> list[str]:
    """Return the names of the patterns that come with azsim, sorted."""
    return sorted(path.stem for path in (data_folder("hw_configs") / "traffic").glob("*.yaml"))


def load_traffic(
    names_or_paths: Sequence[str | Path], chip: ChipConfig
) -> tuple[TrafficPattern, ...]:
    """Return the patterns of `names_or_paths` (shipped names, or paths of files), fit for `chip`.

    Raises:
        ConfigError: one line with file, line and key; the chip has no LPDDR memory; the address
            range does not lie in its memory; all patterns together exceed its peak rate.
    """
    if names_or_paths and (chip.memory.model != "lpddr" or chip.memory.lpddr is None):
        raise ConfigError(
            f"host traffic: chip {chip.name} must have memory.model=lpddr, not {chip.memory.model}"
        )
    read = [_read(name) for name in names_or_paths]
    bytes_before = 0.0
    for entry in read:
        _check_place(entry, chip)
        bytes_before = _check_rate(entry, chip, bytes_before)
    return tuple(entry.pattern for entry in read)


def _read(name_or_path: str | Path) -> _Read:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or is_part_path(text):
        path, where = Path(name_or_path), printable(text)
    else:
        names = traffic_names()
        if text not in names:
            close = difflib.get_close_matches(text, names, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ConfigError(
                f"host traffic '{printable(text)}': must be one of {', '.join(names)}, "
                f"or the path of a .yaml file{hint}"
            )
        path, where = data_folder("hw_configs") / "traffic" / f"{text}.yaml", f"{text}.yaml"
    document = parse_document(read_text(path), where)
    try:
        return _Read(TrafficPattern.model_validate(document.tree), document)
    except ValidationError as error:
        details: list[Any] = sorted(error.errors(), key=lambda d: d["type"] != "extra_forbidden")
        raise ConfigError(document_message(details[0], document)) from None


def _check_place(entry: _Read, chip: ChipConfig) -> None:
    assert chip.memory.lpddr is not None
    pattern, capacity = entry.pattern, chip.memory.lpddr.capacity_bytes
    if pattern.request_bytes < chip.memory.access_bytes:
        raise entry.refuse(
            "request_bytes",
            f"must be at least one burst of the memory ({chip.memory.access_bytes} bytes), "
            f"not {pattern.request_bytes}",
        )
    if pattern.address + pattern.range_bytes > capacity:
        last = pattern.address + pattern.range_bytes - 1
        raise entry.refuse(
            "address",
            f"range must lie in the memory (bytes 0..{capacity - 1}), "
            f"not {pattern.address}..{last}",
        )


def _check_rate(entry: _Read, chip: ChipConfig, others: float) -> float:
    """Refuse more than the peak; return the rate of all so far in GB/s, `others` before it."""
    moved, cycles = chip.memory_peak
    peak = moved * chip.core.clock_mhz / cycles / 1000
    rate = entry.pattern.burst_bytes / entry.pattern.period_ns
    if others + rate <= peak:
        return others + rate
    more = f", with {others:.3f} GB/s of the patterns before it" if others else ""
    raise entry.refuse(
        "burst_bytes",
        f"must be at most what the memory moves ({peak:.3f} GB/s){more}, "
        f"not {entry.pattern.burst_bytes} bytes per {entry.pattern.period_ns} ns ({rate:.3f} GB/s)",
    )
