"""Worked examples of docs/decoder.md against encoder, decoders and cycle law."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from codec_cases import bitmap_tile, bitmap_tile_reference, decode_both

from azsim_kernels import tile_errors
from azsim_kernels.decoder_cycles import decode_tile_cycles
from azsim_kernels.reference.table_record import load_table as load_table_reference
from azsim_kernels.table_record import load_table
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tile_format import PROFILE_ANS, PROFILE_BITMAP

pytestmark = pytest.mark.small

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "decoder.md").read_text(encoding="utf-8")


@dataclass
class Example:
    """One worked example."""

    tile_index: int
    weights: np.ndarray
    words: np.ndarray
    beats: list[int]
    cycles: tuple[int, int]
    table: np.ndarray | None


def parse_weights(text: str) -> np.ndarray:
    """Return the weights of "SIZE place:value ..." or "SIZE w[i] = FORMULA"."""
    size, _, rest = text.partition(" ")
    weights = np.zeros(int(size), np.int64)
    if rest.startswith("w[i] = "):
        formula = rest.removeprefix("w[i] = ")
        assert re.fullmatch(r"[i\d +*%/()=-]*( if | else |[i\d +*%/()=-])*", formula)
        return np.array([eval(formula, {"i": i}) for i in range(int(size))], np.int8)
    for pair in rest.split():
        place, value = pair.split(":")
        weights[int(place)] = int(value)
    return weights.astype(np.int8)


def hexadecimal(text: str) -> np.ndarray:
    """Return the words of a line."""
    return np.array([int(word, 16) for word in text.split()], np.uint64)


def parse(block: str) -> Example:
    """Return the example of a block's lines."""
    lines = dict(line.split(" ", 1) for line in block.strip().splitlines())
    narrow, wide = map(int, lines["cycles"].split())
    return Example(
        int(lines["tile_index"]),
        parse_weights(lines["weights"]),
        hexadecimal(lines["words"]),
        [int(b) for b in lines["beats"].split()],
        (narrow, wide),
        hexadecimal(lines["table"]) if "table" in lines else None,
    )


EXAMPLES = [parse(block) for block in re.findall(r"```stream\n(.*?)```", PAGE, re.DOTALL)]


def slots_of(example: Example) -> TableSlots:
    """Return the slots after the example's table, which both loaders must read alike."""
    slots, other = empty_slots(), empty_slots()
    if example.table is not None:
        assert load_table(example.table, PROFILE_ANS, slots) == tile_errors.OK
        assert load_table_reference(example.table, PROFILE_ANS, other) == tile_errors.OK
        for field, mine, theirs in zip(slots._fields, slots, other, strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=field)
    return slots


def test_there_are_examples_of_each_kind() -> None:
    assert [int(e.words[0]) & 7 for e in EXAMPLES] == [3, 1, 0, 6]


@pytest.mark.parametrize("example", EXAMPLES)
def test_decoding(example: Example) -> None:
    profile = PROFILE_BITMAP if example.table is None else PROFILE_ANS
    status, out, beats = decode_both(
        example.words, example.weights.size // 256, example.tile_index, profile, slots_of(example)
    )
    assert status == tile_errors.OK
    np.testing.assert_array_equal(out, example.weights)
    assert beats.tolist() == example.beats
    found = tuple(decode_tile_cycles(beats, example.words.size, port) for port in (64, 128))
    assert found == example.cycles


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.table is None])
def test_encoding(example: Example) -> None:
    for encode in (bitmap_tile, bitmap_tile_reference):
        np.testing.assert_array_equal(encode(example.weights, example.tile_index), example.words)


def test_table_cycles() -> None:
    beats = np.full(21, 64, np.uint16)
    assert [decode_tile_cycles(beats, 21, port) for port in (64, 128)] == [25, 23]


def test_table_of_errors() -> None:
    section = PAGE[PAGE.index("## 10. Errors") : PAGE.index("## 11.")]
    rows = re.findall(r"^\| (\d) \| ([A-Z_]+) \|", section, re.MULTILINE)
    assert [(int(n), name) for n, name in rows] == list(enumerate(tile_errors.NAMES))[1:]
