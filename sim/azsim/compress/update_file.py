"""Update files: the changed pieces of a model, and the image that they make with the old one.

Little-endian. A header of 64 bytes, a record of 16 bytes per changed piece, then the pieces'
bytes in the same order. docs/compression.md has every field.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim._atomic import replaced_file
from azsim.compress.pieces import Images, Key, Kind, Pieces, put_together
from azsim.compress.update import (
    HEADER_BYTES,
    RECORD_BYTES,
    Progress,
    Update,
    compile_pieces,
    unwatched,
)
from azsim.config import ChipConfig
from azsim.errors import AzsimError, ModelError
from azsim.frontend import read_onnx
from azsim.graph.text import one_line
from azsim.program import Program

MAGIC = b"AZSIMUPD"
VERSION = 1
MAX_BYTES = 1 << 31
_HEADER = struct.Struct("<8sIIQII16s")  # then zeros, then the CRC of everything else
_RECORD = struct.Struct("<BxHIII")
_CHECK = struct.Struct("<I")
_CHECK_AT = HEADER_BYTES - _CHECK.size
_PAD = bytes(_CHECK_AT - _HEADER.size)


def update_content(update: Update, chip: ChipConfig) -> bytes:
    """Return the bytes of an update file; as many as `update.update_bytes` says."""
    before, after = update.programs
    records = [
        _RECORD.pack(key.kind, key.matrix, key.number, len(content), zlib.crc32(content))
        for key, content in update.changes.items()
    ]
    payload = b"".join(update.changes.values())
    head = _HEADER.pack(
        MAGIC, VERSION, len(records), len(payload), _program_check(before), _program_check(after),
        chip.config_hash().encode(),
    )  # fmt: skip
    rest = b"".join(records) + payload
    check = zlib.crc32(rest, zlib.crc32(head + _PAD))
    return head + _PAD + _CHECK.pack(check) + rest


def save_update(update: Update, chip: ChipConfig, path: Path) -> None:
    """Write an update file, whole or not at all. Raises ConfigError if it cannot be written."""
    with replaced_file(path) as part:
        part.write_bytes(update_content(update, chip))


def _program_check(program: Program) -> int:
    return images_check(Images(program.dram, program.store, program.commands))


def images_check(images: Images) -> int:
    """CRC of all images, one behind the other."""
    check = 0
    for array in (images.dram, images.store, images.commands):
        check = zlib.crc32(np.ascontiguousarray(array).tobytes(), check)
    return check


# -- use ------------------------------------------------------------------------------------------


def apply_update(
    old: str | Path,
    update: str | Path,
    chip: ChipConfig,
    input: str | Path | None = None,
    dims: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Images:
    """Return what `chip` holds after an update of model `old`: the images of the new model.

    Args:
        input: as the update was made with: frames that set scales which `old` does not hold.
        dims: sizes of the dimensions that `old` leaves open.

    Raises:
        ModelError: a file that is no update, is damaged, or was made for another model or chip.
    """
    path = Path(update)
    try:
        check_old, check_new, chip_key, changes = _read(path)
        if chip_key != chip.config_hash().encode():
            raise ModelError(f"must be made for this chip, '{chip.name}' as it is set")
        before = compile_pieces(read_onnx(old, dims), chip, input, progress or unwatched)
        if _program_check(before.program) != check_old:
            raise ModelError(f"must be made for the old model {old} and the same calibration")
        pieces = {**before.pieces, **changes}
        images = _made({key: piece for key, piece in pieces.items() if piece}, chip)
        if images_check(images) != check_new:
            raise ModelError("must make the new model; its check sum differs")
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(f"{old}:") else f"{path}: {text}") from None
    return images


def _made(pieces: Pieces, chip: ChipConfig) -> Images:
    try:
        return put_together(pieces, chip)
    except AzsimError as error:
        raise ModelError(one_line(f"must make a program: {error}")) from None


def _read(path: Path) -> tuple[int, int, bytes, dict[Key, bytes]]:
    """Check sums of the old and the new model, the chip's key, and the changed pieces."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("must be a plain file")
        if status.st_size > MAX_BYTES:
            raise ModelError(f"must be at most {MAX_BYTES} bytes, not {status.st_size}")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    if len(content) < HEADER_BYTES or not content.startswith(MAGIC):
        raise ModelError("must be an update file of azsim diff")
    head = _HEADER.unpack_from(content)
    _, version, count, payload, check_old, check_new, chip_key = head
    if version != VERSION:
        raise ModelError(f"update format must be {VERSION}, not {version}")
    if len(content) != HEADER_BYTES + count * RECORD_BYTES + payload:
        raise ModelError("must have the bytes its header states; it is cut short or damaged")
    (check,) = _CHECK.unpack_from(content, _CHECK_AT)
    if zlib.crc32(memoryview(content)[HEADER_BYTES:], zlib.crc32(content[:_CHECK_AT])) != check:
        raise ModelError("check sum must be that of its bytes; it is damaged")
    return check_old, check_new, chip_key, _changes(content, count)


def _changes(content: bytes, count: int) -> dict[Key, bytes]:
    found: dict[Key, bytes] = {}
    at = HEADER_BYTES + count * RECORD_BYTES
    for number in range(count):
        kind, matrix, index, size, check = _RECORD.unpack_from(
            content, HEADER_BYTES + number * RECORD_BYTES
        )
        piece = content[at : at + size]
        if kind >= len(Kind) or len(piece) != size or zlib.crc32(piece) != check:
            raise ModelError(f"record {number} must be of a sound piece")
        key = Key(Kind(kind), matrix, index)
        if key in found:
            raise ModelError(f"record {number} must be of a piece of its own")
        found[key] = piece
        at += size
    if at != len(content):
        raise ModelError("records must be of all its bytes")
    return found


def save_images(images: Images, path: Path) -> None:
    """Write the images as arrays dram, store and commands of an .npz file, whole or not at all."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "dram": images.dram, "store": images.store, "commands": images.commands,
    }  # fmt: skip
    with replaced_file(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
