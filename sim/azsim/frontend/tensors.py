"""Tensors of a model file as arrays; every stated size is checked against what is there."""

from __future__ import annotations

import math
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from azsim.errors import ModelError
from azsim.frontend.model_parts import Place
from azsim.graph.text import quoted, shape_text

Array = npt.NDArray[np.generic]

MAX_MODEL_ELEMENTS = 1 << 29  # 2 GiB as float32
MAX_STORED_RANK = 32
MAX_EXTERNAL_REUSE = 4  # tensors may share external bytes, within reason

_KINDS = onnx.TensorProto
# element types that are read; bfloat16, float8, float4, 2-bit, text and complex are refused by name
DTYPES: dict[int, np.dtype[np.generic]] = {
    _KINDS.FLOAT: np.dtype("<f4"),
    _KINDS.DOUBLE: np.dtype("<f8"),
    _KINDS.FLOAT16: np.dtype("<f2"),
    _KINDS.INT8: np.dtype("i1"),
    _KINDS.INT16: np.dtype("<i2"),
    _KINDS.INT32: np.dtype("<i4"),
    _KINDS.INT64: np.dtype("<i8"),
    _KINDS.UINT8: np.dtype("u1"),
    _KINDS.UINT16: np.dtype("<u2"),
    _KINDS.UINT32: np.dtype("<u4"),
    _KINDS.UINT64: np.dtype("<u8"),
    _KINDS.BOOL: np.dtype("?"),
    _KINDS.INT4: np.dtype("i1"),  # as read; in the file two lie in a byte
    _KINDS.UINT4: np.dtype("u1"),
}
_PACKED = (_KINDS.INT4, _KINDS.UINT4)
_FIELDS: dict[int, str] = {
    _KINDS.FLOAT: "float_data",
    _KINDS.DOUBLE: "double_data",
    _KINDS.INT64: "int64_data",
    _KINDS.UINT32: "uint64_data",
    _KINDS.UINT64: "uint64_data",
}  # all others are in int32_data


def kind_name(kind: int) -> str:
    """Return the name ONNX gives an element type number."""
    known = _KINDS.DataType.items()
    return next((name for name, number in known if number == kind), str(kind)).lower()


class TensorReader:
    """Reads the tensors of the model in file `path`, within fixed bounds: a small file that states
    large tensors, or the same external bytes many times, is refused. External data lie in the
    file's folder; `places` says by name where in the file itself data are that were not parsed."""

    def __init__(self, path: Path, places: Mapping[str, Place]) -> None:
        self._path, self._places = path, places
        self._folder = path.parent
        self._elements_left = MAX_MODEL_ELEMENTS
        self._bytes_left: dict[Path, int] = {}  # by external file

    def read(self, tensor: onnx.TensorProto, name: str) -> Array:
        """Return the tensor's elements in its own type, or raise ModelError naming it.

        The sizes are compared before anything is allocated, so no more memory is used than the
        file (or the external data file) holds.
        """
        what = f"tensor {quoted(name)}"
        if tensor.data_type not in DTYPES:
            kind = kind_name(tensor.data_type)
            raise ModelError(f"{what} must be float32, float16, float64 or integer, not {kind}")
        shape = tuple(tensor.dims)
        if any(size < 0 for size in shape) or len(shape) > MAX_STORED_RANK:
            raise ModelError(
                f"{what} must have up to {MAX_STORED_RANK} dimensions of 0 or more,"
                f" not {shape_text(shape)}"
            )
        if math.prod(shape) > self._elements_left:
            raise ModelError(
                f"{what}: all tensors together must hold at most {MAX_MODEL_ELEMENTS} elements"
            )
        self._elements_left -= math.prod(shape)
        if tensor.HasField("segment"):
            raise ModelError(f"{what} must be stored in one piece, not in segments")
        if tensor.data_location == _KINDS.EXTERNAL:
            return self._read_external(tensor, what).reshape(shape)
        if name in self._places:
            return self._read_place(tensor, what, self._places[name]).reshape(shape)
        return _read_inside(tensor, what).reshape(shape)

    def _read_place(self, tensor: onnx.TensorProto, what: str, place: Place) -> Array:
        dtype, count = DTYPES[tensor.data_type], math.prod(tensor.dims)
        packed = tensor.data_type in _PACKED
        wanted = -(-count // 2) if packed else count * dtype.itemsize
        _check_count(what, place.size, wanted, "bytes")
        try:
            stored = np.fromfile(self._path, np.uint8, count=place.size, offset=place.offset)
        except OSError as error:
            raise ModelError(f"{what}: cannot read: {error.strerror}") from None
        _check_count(what, stored.size, wanted, "bytes")  # the file was changed meanwhile
        return _unpacked(stored, count, dtype) if packed else stored.view(dtype)

    def _read_external(self, tensor: onnx.TensorProto, what: str) -> Array:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = _external_path(what, entries.get("location", ""), self._folder)
        dtype, count = DTYPES[tensor.data_type], math.prod(tensor.dims)
        offset = _number(what, entries, "offset") or 0
        length = _number(what, entries, "length")
        packed = tensor.data_type in _PACKED
        wanted = -(-count // 2) if packed else count * dtype.itemsize
        if length is not None:
            _check_count(what, length, wanted, "bytes")
        there = path.stat().st_size
        if offset + wanted > there:
            raise ModelError(
                f"{what}: external file {quoted(path.name)} must hold {wanted} bytes"
                f" from byte {offset} on, but ends at {there}"
            )
        self._bytes_left.setdefault(path, MAX_EXTERNAL_REUSE * there)
        if wanted > self._bytes_left[path]:
            raise ModelError(
                f"{what}: external file {quoted(path.name)} must not be used more than"
                f" {MAX_EXTERNAL_REUSE} times over"
            )
        self._bytes_left[path] -= wanted
        try:
            if packed:
                content = np.fromfile(path, dtype=np.uint8, count=wanted, offset=offset)
                return _unpacked(content, count, dtype)
            return np.fromfile(path, dtype=dtype, count=count, offset=offset)
        except OSError as error:
            raise ModelError(f"{what}: cannot read {quoted(path.name)}: {error.strerror}") from None


def _read_inside(tensor: onnx.TensorProto, what: str) -> Array:
    dtype, count = DTYPES[tensor.data_type], math.prod(tensor.dims)
    if tensor.data_type in _PACKED:
        return _unpacked(_packed_bytes(tensor, what, -(-count // 2)), count, dtype)
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        _check_count(what, len(raw), count * dtype.itemsize, "bytes")
        return np.frombuffer(raw, dtype=dtype)
    name = _FIELDS.get(tensor.data_type, "int32_data")
    field = getattr(tensor, name)
    _check_count(what, len(field), count, "elements")
    if tensor.data_type == _KINDS.FLOAT16:  # stored as the bits of each number
        return np.array(field, dtype=np.int32).astype(np.uint16).view(np.float16)
    wide = {"int32_data": np.int32, "uint64_data": np.uint64}
    stored = np.array(field, dtype=wide.get(name, dtype))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        _check_range(what, stored, int(limits.min), int(limits.max), kind_name(tensor.data_type))
    return stored.astype(dtype, copy=False)


def _packed_bytes(tensor: onnx.TensorProto, what: str, count: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of a 4-bit tensor, two elements in each."""
    if tensor.HasField("raw_data"):
        _check_count(what, len(tensor.raw_data), count, "bytes")
        return np.frombuffer(tensor.raw_data, dtype=np.uint8)
    _check_count(what, len(tensor.int32_data), count, "bytes")
    stored = np.array(tensor.int32_data, dtype=np.int32)
    _check_range(what, stored, -128, 255, "bytes")
    return stored.astype(np.uint8)


def _unpacked(content: npt.NDArray[np.uint8], count: int, dtype: np.dtype[np.generic]) -> Array:
    """Return `count` 4-bit elements, the first of each byte in its low half, sign-extended if
    `dtype` is signed. An odd last half byte is padding."""
    halves = np.empty(2 * content.size, dtype=np.uint8)
    halves[0::2], halves[1::2] = content & 15, content >> 4
    elements = halves[:count]
    return (elements.view(np.int8) ^ 8) - np.int8(8) if dtype == np.int8 else elements


def _check_range(what: str, stored: npt.NDArray[Any], low: int, high: int, kind: str) -> None:
    wrong = stored[(stored < low) | (stored > high)]
    if wrong.size:
        raise ModelError(f"{what} must hold {kind} of {low} to {high}, not {int(wrong[0])}")


def _check_count(what: str, got: int, want: int, unit: str) -> None:
    if got != want:
        raise ModelError(f"{what} must hold {want} {unit} as its shape says, not {got}")


def _number(what: str, entries: dict[str, str], key: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ModelError(f"{what}: external {key} must be a number, not {quoted(text)}")
    return int(text)


def _external_path(what: str, location: str, folder: Path) -> Path:
    """Return the data file after making sure that it is a plain file below the model's folder."""
    where = f"{what}: external file {quoted(location)}"
    parts = Path(location).parts
    if not parts or Path(location).is_absolute() or ".." in parts or "\\" in location:
        raise ModelError(f"{where} must be a path below the model's folder")
    try:
        real = (folder / location).resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{where} must be readable: {type(error).__name__}") from None
    if not real.is_relative_to(folder.resolve()):
        raise ModelError(f"{where} must not lead outside the model's folder")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{where} must be a plain file")
    return real
