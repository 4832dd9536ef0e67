"""Weight matrices in .npy files: what is taken, and one line for everything that is not."""

from __future__ import annotations

import io
import re
import stat
from pathlib import Path

import numpy as np
import pytest

from azsim.codec.files import load_weights_npy, replace_file, save_npy
from azsim.errors import ConfigError, ModelError

pytestmark = pytest.mark.small


def refuse(path: Path, message: str) -> None:
    """Check that the file is refused with exactly this message after its name."""
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {re.escape(message)}$"):
        load_weights_npy(path)


def npy(array: np.ndarray) -> bytes:
    """Return the bytes of `array` as .npy."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_matrix_vector_and_fortran_order(tmp_path: Path) -> None:
    weights = np.arange(-6, 6).astype(np.int8).reshape(3, 4)
    path = tmp_path / "W.npy"
    save_npy(path, weights)
    np.testing.assert_array_equal(load_weights_npy(path), weights)
    np.testing.assert_array_equal(np.load(path), weights)
    save_npy(path, np.asfortranarray(weights))
    np.testing.assert_array_equal(load_weights_npy(path), weights)
    save_npy(path, weights.ravel())
    np.testing.assert_array_equal(load_weights_npy(path), weights.reshape(1, 12))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2)), "dtype must be int8, not float64"),
        (np.zeros((2, 2), np.uint8), "dtype must be int8, not uint8"),
        (np.zeros((2, 2, 2), np.int8), "weights must be a matrix or a vector, not 2 x 2 x 2"),
        (np.int8(3), "weights must be a matrix or a vector, not a scalar"),
        (np.zeros((0, 2), np.int8), "weights must be a matrix or a vector, not 0 x 2"),
    ],
)
def test_other_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "W.npy"
    path.write_bytes(npy(array))
    refuse(path, message)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "W.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refuse(path, "dtype must be int8, not object")


def test_cut_and_longer_files(tmp_path: Path) -> None:
    data = npy(np.zeros((3, 4), np.int8))
    path = tmp_path / "W.npy"
    path.write_bytes(data[:-1])
    refuse(path, "3 x 4 weights must take 12 bytes, not 11")
    path.write_bytes(data + b"\0")
    refuse(path, "3 x 4 weights must take 12 bytes, not 13")
    for size in (0, 5, 8, 40):
        path.write_bytes(data[:size])
        refuse(path, "must be a .npy file with a legal header")


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '|i1', 'fortran_order': False, 'shape': (-1, 2), }",
        "{'descr': '|i1', 'fortran_order': False, 'shape': 'x', }",
        "{'descr': '|i1', 'fortran_order': False, 'shape': (1,), 'more': 1, }",
        "{'descr': ('|i1', 'x'), 'fortran_order': False, 'shape': (1,), }",
        "(" * 2000,
        "__import__('os').abort()",
    ],
)
def test_hostile_headers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "W.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: [^\n]+$"):
        load_weights_npy(path)


def test_huge_claim_is_not_allocated(tmp_path: Path) -> None:
    text = "{'descr': '|i1', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"
    path = tmp_path / "W.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    refuse(
        path,
        "1000000000 x 1000000000 weights must take 1000000000000000000 bytes, not 0",
    )


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    text = "{'descr': '|i1', 'fortran_order': False, 'shape': (1048576, 1048576), }"
    path = tmp_path / "W.npy"
    with path.open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        file.truncate(10 + len(text) + (1 << 40))  # takes no space on disk
    refuse(path, "cannot be read: larger than 1073741824 bytes")


def test_other_versions_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "W.npy"
    path.write_bytes(b"\x93NUMPY\x03\x00" + bytes(20))
    refuse(path, ".npy version must be 1.0 or 2.0, not 3.0")
    refuse(tmp_path / "none.npy", "cannot be read: No such file or directory")
    refuse(tmp_path, "cannot be read: Is a directory")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(
        ConfigError, match=rf"^{re.escape(str(folder))}: cannot be written: Is a directory$"
    ):
        replace_file(folder, b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "out"]
