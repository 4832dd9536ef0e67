"""outputs.npz: what the simulated chip computed, as integers and as real numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim._atomic import replaced_file
from azsim.program import Port
from azsim.report.record import RunRecord

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time a zip can hold: equal runs give equal bytes
_READABLE_BY_ALL = 0o644 << 16
_CHUNK_ELEMENTS = 1 << 20
_KEY_CHARACTERS = 10_000
SUFFIXES = ("", "_int", "_scale", "_zero_point")


def save_outputs(record: RunRecord, path: Path) -> None:
    """Write the outputs of `record` to `path`, an uncompressed .npz; see docs/reports.md.

    Per output: NAME float32 (steps, *shape), NAME_int, NAME_scale float64 () and NAME_zero_point
    int64 (); NAME = (NAME_int - NAME_zero_point) * NAME_scale.

    Raises:
        ConfigError: the file cannot be written.
    """
    ports = [port for port in record.program.outputs if port.name in record.integers]
    keys = _keys([port.name for port in ports])
    with (
        replaced_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for port, names in zip(ports, keys, strict=True):
            arrays = _arrays(port, record.integers[port.name])
            for key, array in zip(names, arrays, strict=True):
                _write(archive, key, array)


def _keys(names: list[str]) -> list[list[str]]:
    """Keys of each output: its name with each suffix; a key already taken gets '_' behind it."""
    taken: set[str] = set()
    keys: dict[tuple[str, str], str] = {}
    for suffix in SUFFIXES:  # plain names first: they are what people ask for
        for name in names:
            key = _storable(name) + suffix
            while {key, f"{key}.npy", key.removesuffix(".npy")} & taken:
                key += "_"
            taken.add(key)
            keys[name, suffix] = key
    return [[keys[name, suffix] for suffix in SUFFIXES] for name in names]


def _storable(name: str) -> str:
    """Return `name` as a zip can hold it: without NUL, in valid UTF-8, shorter than 64 KiB."""
    text = name[:_KEY_CHARACTERS].replace("\0", "_")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _arrays(port: Port, integers: npt.NDArray[np.integer[Any]]) -> Iterator[npt.NDArray[Any]]:
    yield dequantized(port, integers)
    yield integers
    yield np.array(port.scale, np.float64)
    yield np.array(port.zero_point, np.int64)


def dequantized(port: Port, integers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
    """Return (integers - zero_point) * scale, computed in float64 and rounded once to float32."""
    real = np.empty(integers.shape, np.float32)
    flat, source = real.reshape(-1), integers.reshape(-1)
    for begin in range(0, flat.size, _CHUNK_ELEMENTS):  # no float64 copy of a long run
        part = slice(begin, begin + _CHUNK_ELEMENTS)
        flat[part] = (source[part].astype(np.float64) - port.zero_point) * port.scale
    return real


def _write(archive: zipfile.ZipFile, key: str, array: npt.NDArray[Any]) -> None:
    member = zipfile.ZipInfo(f"{key}.npy", _EARLIEST)
    member.external_attr = _READABLE_BY_ALL
    member.create_system = 3  # the same byte on every system
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array).reshape(array.shape))
