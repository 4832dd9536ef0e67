"""Whole tensors of profile `ans`: there and back, sizes, speed, the same bytes on every machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim import codec
from azsim.codec.inspect import class_text, entropy_bits
from azsim.errors import ConfigError, StreamError
from azsim_kernels.crc import CRC_START, crc32c
from azsim_kernels.table_slots import empty_slots

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "streams.json"


def drawn(kind: str, bits: int, zeros: float, size: int = 1 << 19) -> np.ndarray:
    """Return independent weights of `bits` bits, the smallest `zeros` of them pruned."""
    rng = np.random.default_rng(bits)
    values = rng.laplace(size=size) / 8 if kind == "laplace" else rng.normal(size=size) / 4
    most = 2 ** (bits - 1) - 1
    weights = np.clip(np.round(values * most), -most, most)
    weights[weights == 0] = 1 if zeros == 0 else 0
    weights[np.argsort(np.abs(values))[: int(zeros * size)]] = 0
    return weights.astype(np.int8).reshape(512, -1)


def steps(size: int, most: int, period: int) -> np.ndarray:
    """Return weights made by integer arithmetic alone: skewed values, some runs of zeros."""
    i = np.arange(size, dtype=np.int64)
    mixed = (i * 2654435761 + (i * i) % 10007 * 40503) % 65521
    skewed = mixed % (1 + (mixed // 7) % (2 * most + 1)) - (mixed // 11) % most
    skewed = np.clip(skewed, -most - 1, most)
    return np.where(mixed % period == 0, 0, skewed).astype(np.int8)


@pytest.mark.small
@settings(max_examples=15)
@given(st.data())
def test_any_shape_and_cut_comes_back(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    most = data.draw(st.sampled_from([1, 3, 9, 40, 127]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    weights = rng.integers(-most - 1, most + 1, (rows, columns))
    weights *= rng.random((rows, columns)) < data.draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    weights = weights.astype(np.int8)
    stream = codec.encode_tensor(
        weights,
        profile="ans",
        tile_shape=(data.draw(st.integers(1, 12)), data.draw(st.integers(1, 48))),
        tile_order=data.draw(st.sampled_from(["row", "column"])),
        slot=data.draw(st.integers(0, 3)),
        prefer_speed=data.draw(st.booleans()),
    )
    again = codec.Stream.from_bytes(stream.to_bytes())
    assert again.profile == ("ans" if again.table_count else "bitmap")
    np.testing.assert_array_equal(codec.decode_tensor(again), weights)


@settings(max_examples=15)
@given(st.data())
def test_larger_tensors_come_back(data: st.DataObject) -> None:
    weights = drawn(
        data.draw(st.sampled_from(["laplace", "gauss"])),
        data.draw(st.integers(2, 8)),
        data.draw(st.sampled_from([0.0, 0.2, 0.5, 0.9])),
        1 << 16,
    )
    weights[: data.draw(st.integers(0, 200))] = 0
    for prefer_speed in (True, False):
        stream = codec.encode_tensor(
            weights,
            profile="ans",
            tile=data.draw(st.sampled_from([256, 1024, 1280, 16384])),
            prefer_speed=prefer_speed,
        )
        np.testing.assert_array_equal(codec.decode_tensor(stream), weights)


@pytest.mark.parametrize("kind", ["laplace", "gauss"])
@pytest.mark.parametrize("bits", [4, 5, 8])
@pytest.mark.parametrize(
    ("zeros", "wide"), [(0.0, 15.7), (0.2, 15.7), (0.5, 20.0), (0.75, 29.8), (0.9, 41.5)]
)
def test_size_and_speed(kind: str, bits: int, zeros: float, wide: float) -> None:
    """At most 2.5 % over the entropy; 16, 20, 30, 42 weights per cycle of a 128-bit port."""
    weights = drawn(kind, bits, zeros)
    info = codec.inspect_stream(codec.encode_tensor(weights, profile="ans", tile=65536))
    assert info.bits_per_weight <= 1.025 * info.entropy_bits_per_weight
    assert info.weights_per_cycle(128) >= wide
    bitmap = codec.encode_tensor(weights, tile=65536)
    assert info.total_bits <= 64 * bitmap.words.size


def test_ternary() -> None:
    rng = np.random.default_rng(3)
    weights = rng.choice([-1, 1], (512, 1024)) * (rng.random((512, 1024)) < 0.1)
    weights = weights.astype(np.int8)
    fast = codec.inspect_stream(codec.encode_tensor(weights, profile="ans", tile=65536))
    small = codec.inspect_stream(
        codec.encode_tensor(weights, profile="ans", tile=65536, prefer_speed=False)
    )
    assert fast.weights_per_cycle(64) > 41
    assert small.total_bits <= fast.total_bits <= 1.015 * small.total_bits
    assert small.bits_per_weight <= 1.025 * small.entropy_bits_per_weight


def test_random_bytes_never_grow() -> None:
    rng = np.random.default_rng(5)
    for size in (256, 5000, 100_000):
        weights = rng.integers(-128, 128, (1, size)).astype(np.int8)
        for tile in (256, 16384):
            stream = codec.encode_tensor(weights, profile="ans", tile=tile)
            padded = -(-size // 256) * 256
            assert stream.words.size <= stream.tile_count + padded // 8
            assert (stream.profile, stream.table_count) == ("bitmap", 0)


def test_all_zero_tensor_has_no_table() -> None:
    stream = codec.encode_tensor(np.zeros((3, 1000), np.int8), profile="ans", tile=1024)
    assert (stream.profile, stream.table_count, stream.words.size) == ("bitmap", 0, 3)
    assert not codec.decode_tensor(stream).any()


def test_palette_of_values_far_apart() -> None:
    """Five values spread over int8: 3-bit indices instead of 8-bit values."""
    rng = np.random.default_rng(1)
    weights = rng.choice(np.array([-128, -60, 5, 77, 127], np.int8), (64, 1024))
    info = codec.inspect_stream(codec.encode_tensor(weights, profile="ans"))
    assert info.bits_per_weight <= 1.03 * np.log2(5)
    skewed = weights.copy()
    skewed[0] = np.arange(1024) % 256 - 128
    stream = codec.encode_tensor(skewed, profile="ans")
    np.testing.assert_array_equal(codec.decode_tensor(stream), skewed)


def test_indices_are_coded_if_values_are_scattered() -> None:
    rng = np.random.default_rng(2)
    values = np.sort(rng.permutation(np.arange(-128, 128))[:24]).astype(np.int8)
    share = 1 / np.arange(1, 25) ** 1.5
    weights = rng.choice(values, (256, 1024), p=share / share.sum())
    stream = codec.encode_tensor(weights, profile="ans", tile=65536)
    info = codec.inspect_stream(stream)
    assert info.modes == {"DENSE+CODED+PAL": 4}
    assert set(info.tables[0].palette) >= set(np.unique(weights).tolist())
    assert info.bits_per_weight <= 1.025 * entropy_bits(weights)
    np.testing.assert_array_equal(codec.decode_tensor(stream), weights)


def test_what_inspect_says_of_a_table() -> None:
    rng = np.random.default_rng(4)
    weights = rng.choice(np.array([-2, -1, 1, 2], np.int8), (64, 256), p=[0.1, 0.4, 0.4, 0.1])
    info = codec.inspect_stream(codec.encode_tensor(weights, profile="ans", slot=3))
    (table,) = info.tables
    assert table.slot == 3
    assert table.classes == ("-2", "-1", "1", "2")
    assert table.palette == ()
    assert all(1.6 < bits < 1.8 for bits in table.class_bits)
    assert (info.table_bits, info.header_bits, info.state_bits) == (21 * 64, 64, 256 + 32)
    assert sum(info.parts.values()) == info.total_bits
    assert info.beats == 21 + 1 + 2 + 16 * 64
    # TABLE record 25 and 23 cycles; the tile fills 256 bits, then waits 20 cycles for its table;
    # at 128 bits the window holds 448 meanwhile, of which ST leaves too few for the next beat
    assert info.cycles == {64: 25 + 4 + 1027 + 20, 128: 23 + 2 + 1027 + 20 + 1}


@pytest.mark.small
def test_classes_in_words() -> None:
    slots = empty_slots()
    rows = [(0, 0, 0), (4, 3, 1), (1, 1, 1), (246, 2, 0), (5, 0, 0), (128, 8, 1)]
    for k, (base, extra_bits, signed) in enumerate(rows):
        slots.base[0, k] = base
        slots.extra_bits[0, k] = extra_bits
        slots.signed[0, k] = signed
    texts = [class_text(slots, 0, k) for k in range(len(rows))]
    assert texts == ["0", "±4..7", "±1", "-10..-7", "5", "±128..255"]


def test_slot_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"^W: table slot must be 0 to 3, not 4$"):
        codec.encode_tensor(np.ones((1, 256), np.int8), profile="ans", slot=4, name="W")


@pytest.fixture(scope="module")
def container() -> bytes:
    """A container of profile `ans`: one TABLE record at byte 64, three tiles."""
    weights = steps(3 * 2048, 7, 7).reshape(3, -1)
    data = codec.encode_tensor(weights, profile="ans", tile=2048).to_bytes()
    assert data[32] == 1
    return data


def test_every_damaged_byte_names_table_or_tile(container: bytes) -> None:
    stream = codec.Stream.from_bytes(container)
    assert (stream.table_count, stream.tile_count) == (1, 3)
    start = len(container) - 8 * stream.words.size
    for place in range(start, len(container)):
        data = bytearray(container)
        data[place] ^= 0x10
        word = (place - start) // 8
        tile = int(np.searchsorted(stream.offsets, word, side="right")) - 1
        where = f"tile {tile}" if tile >= 0 else "table 0"
        if place == start + 2:
            where = r"table 0: must have 21 or 25 words, not \d+"  # its LEN
        with pytest.raises(StreamError, match=rf"^W\.azw: {where}[^\n]*$"):
            codec.decode_tensor(codec.Stream.from_bytes(bytes(data), "W.azw"))


@settings(max_examples=100)
@given(st.data())
def test_random_damage_never_crashes(container: bytes, data: st.DataObject) -> None:
    damaged = bytearray(container)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    if bytes(damaged) != container:
        with pytest.raises(StreamError, match=r"^[^\n]+$"):
            codec.decode_tensor(codec.Stream.from_bytes(bytes(damaged)))


def test_table_of_another_tensor(container: bytes) -> None:
    mine = codec.Stream.from_bytes(container)
    weights = steps(3 * 2048, 7, 9).reshape(3, -1)
    other = codec.encode_tensor(weights, profile="ans", tile=2048)
    assert other.table_offsets.tolist() == mine.table_offsets.tolist()
    words = mine.words.copy()
    words[: other.table_offsets[1]] = other.table_words(0)
    mixed = codec.Stream(mine.grid, "ans", words, mine.offsets, mine.table_offsets, "W")
    with pytest.raises(StreamError, match=r"^W: tile 0: (BAD_CRC|OVERRUN) \([a-z ]+\)$"):
        codec.decode_tensor(mixed)


def golden_tensors() -> dict[str, np.ndarray]:
    """Return tensors made by integer arithmetic alone, by name."""
    return {
        f"most{most}_period{period}_{rows}x{columns}": steps(rows * columns, most, period).reshape(
            rows, columns
        )
        for most, period, rows, columns in [
            (1, 2, 64, 512),
            (7, 3, 64, 512),
            (15, 1000, 64, 512),
            (127, 5, 40, 1000),
            (127, 65521, 40, 1000),
        ]
    }


@pytest.mark.parametrize("profile", ["bitmap", "ans"])
def test_the_same_bytes_everywhere(profile: str, request: pytest.FixtureRequest) -> None:
    """Length and CRC-32C of whole containers; they change only if the encoder's choices do."""
    found = {}
    for name, weights in golden_tensors().items():
        stream = codec.encode_tensor(weights, profile=profile, tile=4096)
        data = np.frombuffer(stream.to_bytes(), np.uint8)
        found[f"{profile}_{name}"] = [data.size, f"{int(crc32c(data, CRC_START)):08x}"]
    stored = json.loads(VECTORS.read_text()) if VECTORS.exists() else {}
    if request.config.getoption("--update-golden"):
        VECTORS.write_text(json.dumps(stored | found, indent=1, sort_keys=True) + "\n")
        return
    assert found == {name: stored[name] for name in found}


def test_command_line_profile(tmp_path: Path) -> None:
    from test_codec_commands import run

    np.save(tmp_path / "W.npy", steps(64 * 512, 7, 3).reshape(64, 512))
    for option in ("--prefer-speed", "--prefer-size"):
        run("compress", tmp_path / "W.npy", "--profile", "ans", option, "-o", tmp_path / "W.azw")
        text = run("inspect", tmp_path / "W.azw")
        for label in ("table 0: classes", "bits per mask nibble", "bits per class", "states"):
            assert re.search(rf"│ +{re.escape(label)} ", text), label
        run("decompress", tmp_path / "W.azw", "-o", tmp_path / "back.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), np.load(tmp_path / "W.npy"))
