"""Program files: one .azp file, a zip of plain numpy arrays and one JSON text; nothing in it is
ever executed.

Equal programs give equal bytes: members have a fixed order and a fixed time and are not compressed.
That also bounds what a damaged or hostile file can ask of memory by its own size.
"""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from azsim._atomic import replaced_file
from azsim.errors import CompileError, ModelError
from azsim.program.records import read_records, read_text, read_whole
from azsim.program.types import TILE_DTYPE, LayerInfo, Port, Program, Region
from azsim.program.verify import COMMAND_SET_LIMITS, verify_program
from azsim_kernels.isa import COMMAND

FORMAT_VERSION = 1
_META = "meta.json"
_ARRAYS: dict[str, np.dtype[Any]] = {
    "commands": COMMAND,
    "tiles": TILE_DTYPE,
    "semaphore_kinds": np.dtype(np.int64),
    "semaphore_initial": np.dtype(np.int64),
    "dram": np.dtype(np.uint8),
    "store": np.dtype(np.uint8),
}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first time a zip can hold
_READABLE_BY_ALL = 0o644 << 16
_NPY_START_BYTES = 10  # magic, version and length of the header
# what zipfile, json and numpy raise on damaged files
_DAMAGE = (
    ValueError,
    OverflowError,
    LookupError,
    EOFError,
    RuntimeError,  # RecursionError too, and what zipfile says of encrypted members
    struct.error,
    zipfile.BadZipFile,
)


def save_program(program: Program, path: str | Path) -> None:
    """Write `program` to `path`: to a temporary file beside it, then renamed.

    Raises:
        ConfigError: the file cannot be written; `path` then is what it was before.
    """
    with replaced_file(Path(path)) as part:
        write_program(program, part)


def write_program(program: Program, path: Path) -> None:
    """Write `program` to the new file `path`. Raises OSError; a half-written file is left."""
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write(archive, _META, json.dumps(_meta(program)).encode())
        for name, dtype in _ARRAYS.items():
            array = np.ascontiguousarray(getattr(program, name), dtype)
            _write(archive, f"{name}.npy", _npy_header(dtype, len(array)), _bytes_of(array))


def _write(archive: zipfile.ZipFile, name: str, *pieces: bytes | memoryview) -> None:
    member = zipfile.ZipInfo(name, _EARLIEST)
    member.external_attr = _READABLE_BY_ALL
    member.create_system = 3  # the same byte on every system
    with archive.open(member, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    return array.view(np.uint8).reshape(-1).data


def _npy_header(dtype: np.dtype[Any], count: int) -> bytes:
    """Return what a .npy file of `count` elements begins with."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {**header, "shape": (count,)})
    return file.getvalue()


def _meta(program: Program) -> dict[str, Any]:
    return {
        "format": FORMAT_VERSION,
        "name": program.name,
        "chip": program.chip,
        "config_hash": program.config_hash,
        "dram_bytes": program.dram_bytes,
        "abuf_bytes": program.abuf_bytes,
        "layers": [asdict(layer) for layer in program.layers],
        "inputs": [asdict(port) for port in program.inputs],
        "outputs": [asdict(port) for port in program.outputs],
        "states": [asdict(region) for region in program.states],
        "regions": [asdict(region) for region in program.regions],
        "metadata": dict(sorted(program.metadata.items())),
    }


def load_program(path: str | Path) -> Program:
    """Read a program file. It is checked against the command set, not against a chip.

    Raises:
        ModelError: the file is not a program, is damaged, or was written by another version.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path}: must be a plain file")
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            program = _read(archive, path.stat().st_size)
        verify_program(program, COMMAND_SET_LIMITS)
        return program
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or 'damaged'}") from None
    except (*_DAMAGE, CompileError) as error:
        raise ModelError(
            f"{path}: must be a sound program file of azsim compile: {_reason(error)}"
        ) from None
    except _OtherFormatError as error:
        raise ModelError(
            f"{path}: program format must be {FORMAT_VERSION}, not {error}; compile it again"
        ) from None


class _OtherFormatError(Exception):
    """The file was written by another version."""


def _reason(error: Exception) -> str:
    """Return what is wrong; texts of Python's own modules would not help, our own do."""
    if isinstance(error, zipfile.BadZipFile):
        return "it is cut short, damaged or something else"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "its description must be a JSON object"
    if isinstance(error, CompileError) or type(error) is ValueError:
        return " ".join(str(error).split())
    return "its parts are damaged"


def _read(archive: zipfile.ZipFile, file_bytes: int) -> Program:
    members = archive.infolist()
    names = [_META, *(f"{name}.npy" for name in _ARRAYS)]
    if [member.filename for member in members] != names:
        raise ValueError("it must hold the parts of a program")
    sizes = [member.file_size for member in members]
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or sum(sizes) > file_bytes:
        raise ValueError("its parts must not be compressed")
    meta = _read_meta(archive.read(_META))
    arrays = {
        name: _read_array(bytearray(archive.read(f"{name}.npy")), name, dtype)
        for name, dtype in _ARRAYS.items()
    }
    return _program_from(meta, arrays)


def _read_meta(text: bytes) -> dict[str, Any]:
    meta = json.loads(text)
    if not isinstance(meta, dict):
        raise ValueError("its description must be a JSON object")
    if meta.get("format") != FORMAT_VERSION:
        raise _OtherFormatError(repr(meta.get("format"))[:20])
    return meta


def _read_array(raw: bytearray, name: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return the elements in a .npy file; its header must be the one that would be written."""
    start = _NPY_START_BYTES + int.from_bytes(raw[8:_NPY_START_BYTES], "little")
    count, rest = divmod(len(raw) - start, dtype.itemsize)
    if count < 0 or rest or raw[:start] != _npy_header(dtype, count):
        raise ValueError(f"array {name} must be a vector of the program's record type")
    return np.frombuffer(raw, dtype, count, start)  # of a bytearray: may be written to


def _program_from(meta: dict[str, Any], arrays: dict[str, Any]) -> Program:
    return Program(
        name=read_text(meta["name"], "name"),
        chip=read_text(meta["chip"], "chip"),
        config_hash=read_text(meta["config_hash"], "config_hash"),
        layers=tuple(read_records(LayerInfo, meta["layers"])),
        dram_bytes=read_whole(meta["dram_bytes"], "dram_bytes"),
        abuf_bytes=read_whole(meta["abuf_bytes"], "abuf_bytes"),
        inputs=tuple(read_records(Port, meta["inputs"])),
        outputs=tuple(read_records(Port, meta["outputs"])),
        states=tuple(read_records(Region, meta["states"])),
        regions=tuple(read_records(Region, meta["regions"])),
        metadata=dict(_metadata(meta["metadata"])),
        **arrays,
    )


def _metadata(found: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(found, dict):
        raise ValueError("metadata must be a JSON object")
    for key, value in found.items():
        yield key, read_text(value, "metadata")
