"""Containers: tensors there and back, random access, and files that lie."""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim import codec
from azsim.errors import ConfigError, StreamError
from azsim_kernels.crc import CRC_START, crc32c


def sparse(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Return int8 weights of which half are zero."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-16, 16, (rows, columns)) * (rng.random((rows, columns)) < 0.5)
    return weights.astype(np.int8)


def refuse(data: bytes, message: str) -> None:
    """Check that the container's bytes are refused with exactly this message."""
    with pytest.raises(StreamError, match=f"^{re.escape(message)}$"):
        codec.Stream.from_bytes(data, "W.azw")


@settings(max_examples=30)
@given(st.data())
@pytest.mark.small
def test_any_shape_and_cut_comes_back(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 40))
    weights = sparse(rows, columns, data.draw(st.integers(0, 99)))
    if data.draw(st.booleans()):
        shape = (data.draw(st.integers(1, 24)), data.draw(st.integers(1, 48)))
        order = data.draw(st.sampled_from(["row", "column"]))
        stream = codec.encode_tensor(weights, tile_shape=shape, tile_order=order)
    else:
        stream = codec.encode_tensor(weights, tile=data.draw(st.sampled_from([256, 512, 65536])))
    again = codec.Stream.from_bytes(stream.to_bytes())
    assert again.grid == stream.grid
    assert again.tile_count == stream.grid.tile_count
    np.testing.assert_array_equal(codec.decode_tensor(again), weights)


@pytest.mark.small
def test_header_bytes_by_hand() -> None:
    stream = codec.encode_tensor(np.zeros((3, 200), np.int8), tile_shape=(2, 200))
    data = stream.to_bytes()
    assert data[:4] == b"AZW1"
    assert struct.unpack("<9I", data[4:40]) == (1, 3, 200, 2, 200, 0, 0, 0, 2)
    assert struct.unpack("<3I", data[40:52]) == (0, 1, 2)
    crc_fields = data[56 + 4 : 56 + 8] + data[64 + 4 : 64 + 8]
    crc = crc32c(np.frombuffer(data[:52] + crc_fields, np.uint8), CRC_START)
    assert struct.unpack("<I", data[52:56]) == (crc,)
    assert len(data) == 56 + 2 * 8


@pytest.mark.small
def test_any_tile_alone() -> None:
    weights = sparse(20, 100)
    for order, letter in (("row", "C"), ("column", "F")):
        stream = codec.encode_tensor(weights, tile_shape=(8, 64), tile_order=order)
        box = weights[8:16, 64:100]  # tile 3: second row of tiles, second column
        alone = codec.decode_tile_at(stream, 3)
        np.testing.assert_array_equal(alone[: box.size], box.ravel(order=letter))
        assert alone.size == 512
        assert not alone[box.size :].any()
    flat = codec.encode_tensor(weights, tile=256)
    np.testing.assert_array_equal(codec.decode_tile_at(flat, 2), weights.ravel()[512:768])


@pytest.mark.small
def test_encode_tiles_equals_the_tensor() -> None:
    weights = sparse(8, 256)
    words, offsets = codec.encode_tiles(list(weights))
    stream = codec.encode_tensor(weights, tile=256)
    np.testing.assert_array_equal(words, stream.words)
    np.testing.assert_array_equal(offsets, stream.offsets)
    no_words, no_offsets = codec.encode_tiles([])
    assert (no_words.size, no_offsets.tolist()) == (0, [0])
    with pytest.raises(
        ConfigError,
        match=r"^tile 1: must be int8 of a multiple of 256 up to 65536 weights, not 255 of int8$",
    ):
        codec.encode_tiles([weights[0], weights[0, :255]])


@pytest.mark.small
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tile": 100},
            "W: tile must be a multiple of 256 from 256 to 65536 weights, not 100",
        ),
        (
            {"tile": 65792},
            "W: tile must be a multiple of 256 from 256 to 65536 weights, not 65792",
        ),
        ({"tile": 0}, "W: tile must be a multiple of 256 from 256 to 65536 weights, not 0"),
        ({"tile_shape": (0, 9)}, "W: tile shape must hold 1 to 65536 weights, not 0 x 9"),
        (
            {"tile_shape": (257, 256)},
            "W: tile shape must hold 1 to 65536 weights, not 257 x 256",
        ),
        ({"profile": "zip"}, "W: profile must be one of bitmap, ans, not zip"),
        ({"tile_order": "flat"}, "W: tile order must be row or column, not flat"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        codec.encode_tensor(sparse(2, 8), name="W", **options)  # type: ignore[arg-type]


@pytest.mark.small
def test_weights_that_cannot_be() -> None:
    with pytest.raises(
        ConfigError, match=r"^W: weights must be a matrix of int8, not 2-D of float64$"
    ):
        codec.encode_tensor(np.zeros((2, 2)), name="W")  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError,
        match=r"^W: matrix must have at least one and at most 4294967296 weights, not 0 x 3$",
    ):
        codec.encode_tensor(np.zeros((0, 3), np.int8), name="W")


def container() -> bytearray:
    """Return a container of 3 tiles: head of 60 bytes, padded to 64."""
    return bytearray(codec.encode_tensor(sparse(6, 128), tile=256).to_bytes())


def put(data: bytearray, field: int, value: int) -> bytes:
    """Return the bytes with u32 number `field` (of the whole file) replaced."""
    struct.pack_into("<I", data, 4 * field, value)
    return bytes(data)


@pytest.mark.small
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (0, 0, "must start with AZW1 and a header of 40 bytes"),
        (1, 2, "version must be 1, not 2"),
        (2, 0, "matrix must have at least one and at most 4294967296 weights, not 0 x 128"),
        (
            2,
            0xFFFFFFFF,
            "matrix must have at least one and at most 4294967296 weights, not 4294967295 x 128",
        ),
        (2, 7, "tile count must be 4, not 3"),
        (4, 2, "tile must be a multiple of 256 from 256 to 65536 weights, not 512"),
        (5, 0, "tile must be a multiple of 256 from 256 to 65536 weights, not 0"),
        (6, 3, "tile order must be below 3, not 3"),
        (7, 2, "profile must be below 2, not 2"),
        (8, 1, "table count must be at most 0, not 1"),
        (9, 0xFFFFFFFF, "tile count must be 3, not 4294967295"),
        (10, 1, "tile 0: must start at word 0, not 1"),
        (11, 0, "tile 0: must have 1 to 16383 words, not 0"),
        (12, 1, "tile 1: must have 1 to 16383 words, not -13"),
        (13, 0xFFFFFFFF, "must be 34359738424 bytes long, not 416"),
    ],
)
def test_lying_fields(field: int, value: int, message: str) -> None:
    data = container()
    refuse(put(data, field, value), f"W.azw: {message}")


@pytest.mark.small
def test_many_tiles_claimed_by_a_short_file() -> None:
    data = container()
    for field, value in ((2, 65536), (3, 65536), (5, 256), (9, 1 << 24)):
        put(data, field, value)
    refuse(
        bytes(data),
        "W.azw: a container of 16777216 tiles must have at least 67108912 bytes, not 416",
    )


@pytest.mark.small
def test_nonzero_padding_and_checksum() -> None:
    data = container()
    assert len(data) == 416
    data[56] ^= 1  # the checksum itself
    with pytest.raises(StreamError, match=r"^W.azw: header checksum must be [0-9a-f]{8}, not "):
        codec.Stream.from_bytes(bytes(data), "W.azw")
    data = container()
    data[61] = 1
    refuse(bytes(data), "W.azw: bytes before the payload must be zero")


@pytest.mark.small
def test_every_cut_is_refused() -> None:
    data = bytes(container())
    for size in range(0, len(data), 7):
        with pytest.raises(StreamError):
            codec.Stream.from_bytes(data[:size], "W.azw")
    refuse(data + b"\0", "W.azw: must be 416 bytes long, not 417")


@pytest.mark.small
def test_every_damaged_byte_names_its_tile() -> None:
    good = bytes(container())
    stream = codec.Stream.from_bytes(good)
    for place in range(64, len(good)):
        data = bytearray(good)
        data[place] ^= 0x40
        word = (place - 64) // 8
        tile = int(np.searchsorted(stream.offsets, word, side="right")) - 1
        with pytest.raises(StreamError, match=rf"^W\.azw: tile {tile}: [A-Z_]+ \([^()]+\)$"):
            codec.decode_tensor(codec.Stream.from_bytes(bytes(data), "W.azw"))


@pytest.mark.small
def test_swapped_and_foreign_tiles() -> None:
    stream = codec.encode_tensor(np.full((2, 256), 3, np.int8), tile=256)
    words = stream.words.reshape(2, -1)[::-1].ravel().copy()
    swapped = codec.Stream(stream.grid, "bitmap", words, stream.offsets, stream.table_offsets, "W")
    with pytest.raises(StreamError, match=r"^W: tile 0: BAD_CRC \(checksum mismatch\)$"):
        codec.decode_tensor(swapped)
    mine = bytearray(stream.to_bytes())
    other = codec.encode_tensor(np.full((2, 256), 2, np.int8), tile=256).to_bytes()
    assert len(mine) == len(other)
    mine[-(stream.words.size * 4) :] = other[-(stream.words.size * 4) :]  # tile 1 of the other
    with pytest.raises(StreamError, match=r"^W: header checksum must be [0-9a-f]{8}, not "):
        codec.Stream.from_bytes(bytes(mine), "W")


@settings(max_examples=200)
@given(st.data())
@pytest.mark.small
def test_random_damage_never_crashes(data: st.DataObject) -> None:
    damaged = container()
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.sampled_from([len(damaged), 50, 300]))]
    weights = codec.decode_tensor(codec.encode_tensor(sparse(6, 128), tile=256))
    with contextlib.suppress(StreamError):
        found = codec.decode_tensor(codec.Stream.from_bytes(bytes(damaged)))
        np.testing.assert_array_equal(found, weights)


def test_a_small_file_may_not_fill_memory() -> None:
    """8,200 EMPTY tiles in 100 KB stand for half a thousand million weights."""
    stream = codec.encode_tensor(np.zeros((1, 65536), np.int8), tile=65536)
    grid = codec.TileGrid(8200, 65536, 1, 65536, "flat")
    words = np.repeat(stream.words, 8200)
    large = codec.Stream(grid, "bitmap", words, np.arange(8201), np.zeros(1, np.int64), "W")
    with pytest.raises(
        StreamError, match=r"^W: must hold at most 268435456 weights, not 537395200$"
    ):
        codec.decode_tensor(codec.Stream.from_bytes(large.to_bytes(), "W"))


def test_files(tmp_path: Path) -> None:
    weights = sparse(40, 300)
    path = tmp_path / "W.azw"
    codec.save_stream(codec.encode_tensor(weights), path)
    assert [p.name for p in tmp_path.iterdir()] == ["W.azw"]
    stream = codec.load_stream(path)
    assert stream.name == str(path)
    np.testing.assert_array_equal(codec.decode_tensor(stream), weights)
    missing = re.escape(f"{tmp_path / 'no'}: cannot be read: No such file or directory")
    with pytest.raises(StreamError, match=f"^{missing}$"):
        codec.load_stream(tmp_path / "no")
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.write(path.read_bytes())
        file.truncate(1 << 40)  # takes no space on disk
    large = re.escape(f"{huge}: cannot be read: larger than 1073741824 bytes")
    with pytest.raises(StreamError, match=f"^{large}$"):
        codec.load_stream(huge)
    unwritable = re.escape(f"{tmp_path}/no/W: cannot be written: No such file or directory")
    with pytest.raises(ConfigError, match=f"^{unwritable}$"):
        codec.save_stream(stream, tmp_path / "no" / "W")
