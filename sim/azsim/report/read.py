"""Reads a run back: the summary.json that azsim wrote to its folder, checked before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azsim.errors import ConfigError
from azsim.report.summary import WRITTEN_BY, Summary

SUMMARY = "summary.json"
LARGEST_SUMMARY_BYTES = 1 << 24  # some ten thousand layers
LARGEST_INTEGER = 1 << 63
DEEPEST = 16  # levels; a summary has four


def is_run(folder: Path) -> bool:
    """Tell whether `folder` holds a summary.json that azsim wrote. OSError if it cannot be read."""
    summary = folder / SUMMARY
    try:
        if not summary.is_file() or summary.stat().st_size > LARGEST_SUMMARY_BYTES:
            return False
        content = json.loads(summary.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("written_by") == WRITTEN_BY


def read_run(folder: Path) -> Summary:
    """Return the summary of the run in `folder`: numbers finite and below 2^63, few levels, and in
    `layers` an object with name and operator per layer.

    Raises:
        ConfigError: no run, a damaged file, or one that cannot be read.
    """
    path = folder / SUMMARY
    try:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: must be the folder of a run (azsim run --out)")
        if not path.is_file():
            raise ConfigError(f"{folder}: must be the folder of a run, with a {SUMMARY} in it")
        if path.stat().st_size > LARGEST_SUMMARY_BYTES:
            raise ConfigError(f"{path}: must be at most {LARGEST_SUMMARY_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror or error}") from None
    summary = _parsed(path, content)
    _check(path, summary)
    return summary


def _parsed(path: Path, content: bytes) -> Summary:
    try:
        summary = json.loads(content, parse_constant=_refuse, parse_int=_integer, parse_float=_real)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: must be JSON ({error.msg})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: must be text in UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: must have at most {DEEPEST} levels") from None
    except ValueError as error:  # of _refuse, _integer and _real
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(summary, dict) or summary.get("written_by") != WRITTEN_BY:
        raise ConfigError(f"{path}: must be the summary of a run of azsim")
    return summary


def _refuse(text: str) -> Any:
    raise ValueError(f"numbers must be finite, not {text}")


def _integer(text: str) -> int:
    if len(text) > len(str(LARGEST_INTEGER)) + 1 or abs(int(text)) >= LARGEST_INTEGER:
        raise ValueError("whole numbers must be below 2^63")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("numbers must be finite")
    return value


def _check(path: Path, summary: Summary) -> None:
    """Check what a comparison takes for granted."""
    if any(depth > DEEPEST for depth in _depths(summary)):
        raise ConfigError(f"{path}: must have at most {DEEPEST} levels")
    for key in ("model", "chip", "status"):
        if not isinstance(summary.get(key), str):
            raise ConfigError(f"{path}: '{key}' must be text")
    for key in ("frames", "cycles", "clock_mhz"):
        if type(summary.get(key)) is not int or summary[key] < 0:
            raise ConfigError(f"{path}: '{key}' must be a whole number, 0 or more")
    layers = summary.get("layers")
    if not isinstance(layers, list) or not all(_is_layer(layer) for layer in layers):
        raise ConfigError(f"{path}: 'layers' must be a list of layers with name and operator")


def _is_layer(layer: Any) -> bool:
    if not isinstance(layer, dict):
        return False
    flat = not any(isinstance(value, dict | list) for value in layer.values())
    return flat and all(isinstance(layer.get(key), str) for key in ("name", "operator"))


def _depths(value: Any) -> Iterator[int]:
    """Yield the level of every object and list; without recursion, so that no depth is too much."""
    waiting = [(value, 1)]
    while waiting:
        content, depth = waiting.pop()
        if isinstance(content, dict):
            content = list(content.values())
        if isinstance(content, list):
            yield depth
            waiting += [(inner, depth + 1) for inner in content]
