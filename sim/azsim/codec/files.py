"""Reading and writing files of weights; every refusal is one line with the file's name."""

from __future__ import annotations

import errno
import io
import os
import tokenize
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from azsim._atomic import replaced_file
from azsim.errors import ModelError

MAX_FILE_BYTES = 1 << 30
"""Larger files are refused unread."""

_HEADER_LIMIT = 10_000
"""Longest .npy header that is parsed, in characters (numpy's own default)."""


_HEADER_FAULTS = (
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)
"""What numpy's parser of .npy headers raises on hostile text."""


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to a temporary name beside `path` and rename it, so no half file is ever seen.

    Raises ConfigError if that cannot be done.
    """
    with replaced_file(path) as part:
        part.write_bytes(data)


def read_rest(file: BinaryIO) -> bytes:
    """Return what is left of an open file; OSError if that is more than MAX_FILE_BYTES."""
    size = os.fstat(file.fileno()).st_size
    data = file.read(MAX_FILE_BYTES + 1) if size <= MAX_FILE_BYTES else None  # a pipe has size 0
    if data is None or len(data) > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES} bytes")
    return data


def _npy_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return (shape, Fortran order, dtype) of an open .npy file."""
    try:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, which are taken
            if version == (1, 0):
                return np.lib.format.read_array_header_1_0(file, _HEADER_LIMIT)
            if version == (2, 0):
                return np.lib.format.read_array_header_2_0(file, _HEADER_LIMIT)
    except _HEADER_FAULTS as error:
        raise ModelError(f"{path}: must be a .npy file with a legal header") from error
    raise ModelError(f"{path}: .npy version must be 1.0 or 2.0, not {version[0]}.{version[1]}")


def _weights_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int]:
    """Return (rows, columns) of an array of `shape`; a vector is one row."""
    if len(shape) not in (1, 2) or 0 in shape:
        text = " x ".join(map(str, shape)) or "a scalar"
        raise ModelError(f"{path}: weights must be a matrix or a vector, not {text}")
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def load_weights_npy(path: str | Path) -> NDArray[np.int8]:
    """Return the int8 weights of a .npy file as (rows, columns); a vector is one row.

    The size the header claims is compared with the file's before anything is read. Raises
    ModelError for every file that is not such an array, whole and without trailing bytes.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _npy_header(file, path)
            if dtype != np.int8:
                raise ModelError(f"{path}: dtype must be int8, not {dtype}")
            rows, columns = _weights_shape(shape, path)
            present = os.fstat(file.fileno()).st_size - file.tell()
            if present != rows * columns:
                raise ModelError(
                    f"{path}: {rows} x {columns} weights must take {rows * columns} bytes, "
                    f"not {present}"
                )
            data = np.frombuffer(read_rest(file), np.int8)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return data.reshape((rows, columns), order="F" if fortran else "C")


def save_npy(path: str | Path, weights: NDArray[np.int8]) -> None:
    """Write `weights` to `path` as .npy."""
    buffer = io.BytesIO()
    np.save(buffer, weights, allow_pickle=False)
    replace_file(Path(path), buffer.getbuffer())
