"""Program files: one .azp file, a zip of plain numpy arrays and one JSON text; nothing in it is
ever executed."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from azsim.errors import ModelError
from azsim.program.types import TILE_DTYPE, LayerInfo, Port, Program, Region
from azsim_kernels.isa import COMMAND

FORMAT_VERSION = 1
_ARRAYS: dict[str, np.dtype[Any]] = {
    "commands": COMMAND,
    "tiles": TILE_DTYPE,
    "semaphore_kinds": np.dtype(np.int64),
    "semaphore_initial": np.dtype(np.int64),
    "dram": np.dtype(np.uint8),
    "store": np.dtype(np.uint8),
}


def save_program(program: Program, path: str | Path) -> None:
    """Write `program` to `path`: to a temporary file beside it, then renamed."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            arrays = {name: getattr(program, name) for name in _ARRAYS}
            np.savez(file, meta=_meta_bytes(program), **arrays)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _meta_bytes(program: Program) -> np.ndarray[Any, Any]:
    meta = {
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
        "metadata": program.metadata,
    }
    return np.frombuffer(json.dumps(meta).encode(), np.uint8)


def load_program(path: str | Path) -> Program:
    """Read a program file.

    Raises:
        ModelError: the file is not a program, is damaged, or was written by another version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: _read_array(archive, name, dtype) for name, dtype in _ARRAYS.items()}
            meta = json.loads(bytes(archive["meta"]))
        if meta["format"] != FORMAT_VERSION:
            raise ModelError(
                f"{path}: program format must be {FORMAT_VERSION}, not {meta['format']};"
                " compile it again"
            )
        return _program_from(meta, arrays)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (KeyError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path}: must be a program file of azsim compile ({text})") from None


def _read_array(archive: Any, name: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = archive[name]
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"array {name} must be a vector of the program's record type")
    return array


def _program_from(meta: dict[str, Any], arrays: dict[str, Any]) -> Program:
    return Program(
        name=str(meta["name"]),
        chip=str(meta["chip"]),
        config_hash=str(meta["config_hash"]),
        layers=tuple(LayerInfo(**layer) for layer in meta["layers"]),
        dram_bytes=int(meta["dram_bytes"]),
        abuf_bytes=int(meta["abuf_bytes"]),
        inputs=tuple(_port(port) for port in meta["inputs"]),
        outputs=tuple(_port(port) for port in meta["outputs"]),
        states=tuple(Region(**region) for region in meta["states"]),
        regions=tuple(Region(**region) for region in meta["regions"]),
        metadata={str(key): str(value) for key, value in meta["metadata"].items()},
        **arrays,
    )


def _port(fields: dict[str, Any]) -> Port:
    return Port(**{**fields, "shape": tuple(int(d) for d in fields["shape"])})
