"""Input frames of a run, from a .npz file of arrays or a .wav recording."""

from __future__ import annotations

import ast
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.frontend.audio import HOP_MS, MEL_BANKS, WINDOW_MS, log_mel, read_wav, stack_frames
from azsim.frontend.model_file import FRAME_PROPERTY, frame_ms_of
from azsim.graph import Graph, Quantization, Value
from azsim.graph.shapes import element_count
from azsim.graph.text import one_line, quoted, shape_text

Array = npt.NDArray[np.generic]

MAX_INPUT_ELEMENTS = 1 << 28  # of one input over all steps: 1 GiB as float32
_MAX_HEADER_CHARACTERS = 1000
_READ_BYTES = 1 << 20
# what zipfile and the unpackers behind it raise on damaged archives
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    RuntimeError,  # NotImplementedError (a method we lack) and encrypted members
    ValueError,
)


@dataclass(frozen=True)
class Inputs:
    """Frames of a run: for each graph input an array (steps, *shape), float32 or int64 (index).

    `source_text` says in a few words where they come from.
    """

    frames: dict[str, Array]
    source_text: str

    @property
    def steps(self) -> int:
        """Number of steps."""
        return min((len(array) for array in self.frames.values()), default=0)


def read_frame_ms(graph: Graph) -> float | None:
    """Return the time one step stands for (property `azsim.frame_ms`), None if it is not given."""
    return frame_ms_of(graph.metadata)


def load_inputs(path: str | Path, graph: Graph, steps: int | None) -> Inputs:
    """Read the frames for `graph` from a .npz or .wav file: the first `steps`, or all (None).

    .npz: one array per graph input of shape (d0, d1, ...), as (steps, d0, d1, ...) or
    (steps * d0, d1, ...), under the input's name; where the graph has one input, a single array may
    have any name. For an input of int8 or uint8 an integer array is taken as the model's integers,
    a float array as the numbers they stand for. .wav: see `azsim.frontend.audio`; k = elements of
    the input / 64 frames of 10 ms are stacked per step. Raises ModelError of one line naming the
    file, the array and what must be.
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".wav": _read_recording}
    try:
        if steps is not None and steps < 1:
            raise ModelError(f"number of steps must be 1 or more, not {steps}")
        if path.suffix.lower() not in readers:
            raise ModelError(f"must be a .npz or .wav file, not {quoted(path.suffix)}")
        _check_plain_file(path)
        frames = readers[path.suffix.lower()](path, graph, steps)
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None
    count = min(len(array) for array in frames.values())
    return Inputs(frames, f"{path.name}, {count} steps")


def _check_plain_file(path: Path) -> None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError("must be a plain file")
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ModelError("cannot be read: not a file name") from None


def _check_steps(have: int, wanted: int | None) -> int:
    if wanted is not None and wanted > have:
        raise ModelError(f"must hold {wanted} steps, but holds {have}")
    return have if wanted is None else wanted


# -- recordings ---------------------------------------------------------------------------------


def _read_recording(path: Path, graph: Graph, steps: int | None) -> dict[str, Array]:
    if len(graph.inputs) != 1 or graph.values[graph.inputs[0]].is_index:
        raise ModelError(
            f"a recording needs a graph with one float input, not {len(graph.inputs)} inputs"
        )
    value = graph.values[graph.inputs[0]]
    if value.size % MEL_BANKS:
        raise ModelError(
            f"a recording gives {MEL_BANKS} features per {HOP_MS} ms, input {quoted(value.name)} of"
            f" shape {shape_text(value.shape)} must hold a multiple of {MEL_BANKS}"
        )
    per_step = value.size // MEL_BANKS
    frame_ms = read_frame_ms(graph)
    if frame_ms not in (None, per_step * HOP_MS):
        raise ModelError(
            f"a recording gives input {quoted(value.name)} each {per_step * HOP_MS} ms, but"
            f" property '{FRAME_PROPERTY}' is {frame_ms:g}"
        )
    features = stack_frames(log_mel(read_wav(path)), per_step)
    if not len(features):
        shortest_ms = WINDOW_MS + (per_step - 1) * HOP_MS
        raise ModelError(f"recording must last {shortest_ms} ms or more for one step")
    count = _check_steps(len(features), steps)
    return {value.name: features[:count].reshape(count, *value.shape)}


# -- arrays -------------------------------------------------------------------------------------


@contextmanager
def _damage_refused(path: Path) -> Iterator[None]:
    """Turn whatever a damaged archive raises into one line."""
    try:
        yield
    except _DAMAGE as error:
        raise ModelError(f"must be a sound .npz file ({type(error).__name__})") from None
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or 'damaged'}") from None


def _read_npz(path: Path, graph: Graph, steps: int | None) -> dict[str, Array]:
    if not graph.inputs:
        raise ModelError("graph has no inputs to be given")
    with _damage_refused(path), zipfile.ZipFile(path) as archive:
        members = _match_members(archive, graph)
        headers = {}
        for name, member in members.items():
            with archive.open(member) as file:
                headers[name] = _read_header(file, graph.values[name])
        counts = {name: header.steps for name, header in headers.items()}
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{quoted(name)} {count}" for name, count in counts.items())
            raise ModelError(f"all inputs must have the same number of steps, not {shown}")
        count = _check_steps(min(counts.values()), steps)
        frames = {}
        for name, member in members.items():
            with archive.open(member) as file:
                _read_header(file, graph.values[name])
                frames[name] = _read_array(file, headers[name], graph.values[name], count)
    return frames


def _match_members(archive: zipfile.ZipFile, graph: Graph) -> dict[str, zipfile.ZipInfo]:
    """Return graph input -> archive member."""
    infos = archive.infolist()
    if len({info.filename for info in infos}) != len(infos):
        raise ModelError("array names must be unique")
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    if len(graph.inputs) == 1 and len(members) == 1:
        return {graph.inputs[0]: next(iter(members.values()))}
    if set(members) != set(graph.inputs):
        raise ModelError(
            f"arrays must be named {_names(graph.inputs)}, not {_names(tuple(members))}"
        )
    return {name: members[name] for name in graph.inputs}


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(quoted(name) for name in sorted(names)[:8])
    return f"{shown}, ..." if len(names) > 8 else shown or "nothing"


@dataclass(frozen=True)
class _Header:
    steps: int
    dtype: np.dtype[np.generic]


def _parse_header(file: IO[bytes]) -> tuple[str, bool, tuple[int, ...]]:
    """Return (element type, Fortran order, shape) of a .npy file; raises ValueError if damaged.

    Only version 1.0 is taken, which numpy writes for plain arrays; a later one may state a header
    of 4 GiB. numpy's own parser also takes what Python 2 wrote and fails in many ways.
    """
    start = file.read(10)
    if len(start) < 10 or start[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("not version 1.0")
    text = file.read(int.from_bytes(start[8:], "little")).decode("latin1")
    if len(text) > _MAX_HEADER_CHARACTERS:
        raise ValueError("header too long")
    found = ast.literal_eval(text.strip())
    if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
        raise ValueError("not a header")
    shape = found["shape"]
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("not a shape")
    return str(found["descr"]), bool(found["fortran_order"]), shape


def _read_header(file: IO[bytes], value: Value) -> _Header:
    """Return what the array's header says, checked against the graph input; `file` is then at the
    first element."""
    what = f"array {quoted(value.name)}"
    try:
        kind, fortran, shape = _parse_header(file)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ModelError(f"{what} must be a sound .npy array of version 1.0") from None
    pattern = "[<>|=]?[iu][1248]" if value.is_index else "[<>|=]?f[248]"
    if value.quantization is not None:
        pattern = "[<>|=]?([iu][1248]|f[248])"
    if value.is_truth:
        pattern = "[<>|=]?(b1|f[248])"
    if not re.fullmatch(pattern, kind):
        wanted = "integer" if value.is_index else "float32 (or float16, float64)"
        if value.is_truth:
            wanted = "bool (or float32 of 0 and 1)"
        if value.quantization is not None:
            wanted = f"{value.quantization.element} or float32"
        raise ModelError(f"{what} must be {wanted}, not {quoted(kind)}")
    if fortran and len(shape) > 1:
        raise ModelError(f"{what} must be stored in C order, not in Fortran order")
    return _Header(_count_steps(what, shape, value.shape), np.dtype(kind))


def _count_steps(what: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """Return the number of steps in an array of `shape`; both layouts hold the same bytes."""
    steps = -1
    if len(shape) == len(wanted) + 1 and shape[1:] == wanted:
        steps = shape[0]
    elif wanted and len(shape) == len(wanted) and shape[1:] == wanted[1:]:
        steps = shape[0] // wanted[0] if shape[0] % wanted[0] == 0 else -1
    if steps < 0:
        tail = "".join(f", {size}" for size in wanted)
        raise ModelError(f"{what} must have shape (steps{tail}), not {shape_text(shape)}")
    if steps == 0:
        raise ModelError(f"{what} must hold one or more steps, not none")
    return steps


def _read_array(file: IO[bytes], header: _Header, value: Value, steps: int) -> Array:
    """Return the first `steps` frames; reads (and unpacks) no more than they take."""
    what = f"array {quoted(value.name)}"
    count = steps * element_count(value.shape)
    if count > MAX_INPUT_ELEMENTS:
        raise ModelError(f"{what} must hold at most {MAX_INPUT_ELEMENTS} elements, not {count}")
    raw = bytearray()
    while len(raw) < count * header.dtype.itemsize:
        piece = file.read(min(_READ_BYTES, count * header.dtype.itemsize - len(raw)))
        if not piece:
            raise ModelError(f"{what} must hold {steps} steps as its header says; it is cut short")
        raw += piece
    stored = np.frombuffer(raw, dtype=header.dtype)
    if value.quantization is not None and header.dtype.kind in "iu":
        return _numbers(what, stored, value.quantization).reshape(steps, *value.shape)
    with np.errstate(over="ignore"):  # too large for float32 is refused just below
        array = stored.astype(np.int64 if value.is_index else np.float32, copy=False)
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise ModelError(f"{what} must be finite, not NaN or infinite")
    if value.is_truth and not bool(np.isin(array, (0.0, 1.0)).all()):
        raise ModelError(f"{what} must hold 0 and 1 only")
    return array.reshape(steps, *value.shape)


def _numbers(what: str, integers: Array, grid: Quantization) -> Array:
    """Return the numbers that the model's own integers stand for."""
    low, high = grid.limits
    for extreme in (int(integers.min()), int(integers.max())):
        if not low <= extreme <= high:
            raise ModelError(
                f"{what} must hold {grid.element}, integers of {low} to {high}, not {extreme}"
            )
    steps = integers.astype(np.float32) - np.float32(grid.zero_point)
    return steps * np.float32(grid.scale)
