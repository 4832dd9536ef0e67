"""A model file without its large weights: they are read one by one, straight into their arrays.

The parser of the onnx package would hold every weight once more, beside the array made of it. Here
the outermost layers of the file (protobuf's wire format, protobuf.dev/programming-guides/encoding)
are walked, and the `raw_data` of large initializers is left out of what the parser gets. A file in
which anything is unusual goes to the parser whole: it decides what is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

LARGE_BYTES = 1 << 16  # of one tensor
MAX_FIELDS = 100_000  # walked at most; a file with more goes to the parser whole
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # field numbers in onnx.proto


@dataclass(frozen=True)
class Place:
    """Bytes of the file."""

    offset: int
    size: int


class _UnusualError(Exception):
    """Something that the parser shall judge."""


@dataclass(frozen=True)
class _Field:
    number: int
    wire: int
    at: int  # of its tag
    begin: int  # of its content
    end: int


class _File:
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self.size = descriptor, size
        self._fields_left = MAX_FIELDS

    def read(self, begin: int, end: int) -> bytes:
        content = os.pread(self._descriptor, end - begin, begin)
        if len(content) != end - begin:
            raise _UnusualError
        return content

    def fields(self, begin: int, end: int) -> Iterator[_Field]:
        """Yield the fields of the message in bytes begin..end."""
        at = begin
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise _UnusualError
            field = self._field(at, end)
            if field.end > end:
                raise _UnusualError
            yield field
            at = field.end

    def _field(self, at: int, end: int) -> _Field:
        head = self.read(at, min(end, at + 20))
        tag, used = _varint(head, 0)
        wire = tag & 7
        if wire == _VARINT:
            _, behind = _varint(head, used)
            return _Field(tag >> 3, wire, at, at + used, at + behind)
        if wire == _BYTES:
            size, used = _varint(head, used)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise _UnusualError
        return _Field(tag >> 3, wire, at, at + used, at + used + size)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = 0
    for place in range(at, min(at + 10, len(content))):
        value |= (content[place] & 127) << (7 * (place - at))
        if content[place] < 128:
            return value, place + 1
    raise _UnusualError


def _as_varint(value: int) -> bytes:
    content = bytearray()
    while value >= 128:
        content.append(value & 127 | 128)
        value >>= 7
    return bytes([*content, value])


def without_large_weights(descriptor: int, size: int) -> tuple[bytes, dict[int, Place]] | None:
    """Return the content of an open file without the bytes of its large initializers, and where
    those are, by the number of the initializer; None if the file must be parsed whole.
    """
    file = _File(descriptor, size)
    parts: list[bytes] = []
    places: dict[int, Place] = {}
    count = 0
    try:
        for field in file.fields(0, size):
            if (field.number, field.wire) != (_GRAPH, _BYTES):
                parts.append(file.read(field.at, field.end))
                continue
            graph, count = _graph(file, field, places, count)
            parts += [bytes([_GRAPH << 3 | _BYTES]), _as_varint(len(graph)), graph]
    except _UnusualError:
        return None
    return b"".join(parts), places


def _graph(file: _File, graph: _Field, places: dict[int, Place], count: int) -> tuple[bytes, int]:
    """Return a graph without its large weights, and how many initializers there are up to here."""
    parts: list[bytes] = []
    for field in file.fields(graph.begin, graph.end):
        if (field.number, field.wire) != (_INITIALIZER, _BYTES):
            parts.append(file.read(field.at, field.end))
            continue
        raw = _large_data(file, field)
        if raw is None:
            parts.append(file.read(field.at, field.end))
        else:
            tensor = file.read(field.begin, raw.at) + file.read(raw.end, field.end)
            parts += [bytes([_INITIALIZER << 3 | _BYTES]), _as_varint(len(tensor)), tensor]
            places[count] = Place(raw.begin, raw.end - raw.begin)
        count += 1
    return b"".join(parts), count


def _large_data(file: _File, tensor: _Field) -> _Field | None:
    """Return the data of a tensor if they are large and all in one field."""
    if tensor.end - tensor.begin < LARGE_BYTES:
        return None
    found = [f for f in file.fields(tensor.begin, tensor.end) if f.number == _RAW_DATA]
    fits = len(found) == 1 and found[0].wire == _BYTES
    return found[0] if fits and found[0].end - found[0].begin >= LARGE_BYTES else None
