"""A caller's own arrays: .npy files of numbers, of any shape; every refusal is one line."""

from __future__ import annotations

import math
import os
import stat
import tokenize
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from azsim.codec.files import MAX_FILE_BYTES, read_rest
from azsim.errors import ModelError

_HEADER_CHARACTERS = 1000
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# what numpy's reader of headers raises on hostile text
_HEADER_FAULTS = (
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)


def load_numbers(path: Path) -> npt.NDArray[Any]:
    """Return the array of a .npy file: truth values, integers or finite floats, at most 1 GiB.

    The size that the header claims is compared with the file's before anything is read.

    Raises:
        ModelError: any other file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path}: must be a plain file")
        with path.open("rb") as file:
            return _read(file, path)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte inside the name
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be read: {reason}") from None


def _read(file: BinaryIO, path: Path) -> npt.NDArray[Any]:
    shape, fortran, dtype = _header(file, path)
    if dtype.kind not in "biuf":
        raise ModelError(f"{path}: must hold numbers, not {dtype}")
    if any(length < 0 for length in shape):
        raise ModelError(f"{path}: must be a .npy file with a legal header")
    want = math.prod(shape) * dtype.itemsize
    have = os.fstat(file.fileno()).st_size - file.tell()
    if want != have:
        raise ModelError(f"{path}: must have {want} bytes behind its header, not {have}")
    if have > MAX_FILE_BYTES:
        raise ModelError(f"{path}: must be at most {MAX_FILE_BYTES} bytes long")
    array = np.frombuffer(read_rest(file), dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(f"{path}: must hold finite numbers")
    return array


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, which are taken
            return _READERS[version](file, _HEADER_CHARACTERS)
    except (*_HEADER_FAULTS, KeyError):
        raise ModelError(f"{path}: must be a .npy file with a legal header") from None
