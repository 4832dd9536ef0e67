"""Sizes that docs/decoder.md promises, on trained weights (benchmarks/trained) and made-up ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from azsim.codec import encode_tensor, inspect_stream
from azsim.codec.inspect import entropy_bits

TRAINED = Path(__file__).parents[2] / "benchmarks" / "trained"


def trained(zeros: int, bits: int) -> np.ndarray:
    """The recurrent matrix, rounded from 12 bits with one scale."""
    with np.load(TRAINED / f"char_lstm_{zeros}.npz") as nets:
        master = nets["recurrent"]
    most = 2 ** (bits - 1) - 1
    return np.clip(np.round(master * (most / 2047)), -most, most).astype(np.int8)


@pytest.mark.parametrize("bits", [8, 5])
@pytest.mark.parametrize("zeros", [0, 50, 75, 90])
def test_trained_weights_are_near_their_entropy_and_below_plain(zeros: int, bits: int) -> None:
    """A table is 168 bytes, 0.027 bits per weight here; the rest is within 1.8 %."""
    weights = trained(zeros, bits)
    stream = encode_tensor(weights, profile="ans", tile=65536)
    table = 64 * 21 / weights.size
    size = inspect_stream(stream).bits_per_weight
    assert size <= 1.018 * entropy_bits(weights) + table
    plain = weights.size * bits + 64 * stream.tile_count
    for tile in (16384, 65536):
        assert 64 * encode_tensor(weights, profile="ans", tile=tile).words.size <= plain


@pytest.mark.parametrize("zeros", [0, 50, 75, 90])
def test_trained_weights_are_below_mlw(zeros: int) -> None:
    codec = pytest.importorskip("ethosu.mlw_codec")
    weights = trained(zeros, 8)
    mlw_bits = 8 * len(codec.encode(weights.ravel().tolist()))
    assert 64 * encode_tensor(weights, profile="ans").words.size <= 1.002 * mlw_bits


def test_ternary_weights_keep_to_the_entropy() -> None:
    """Rare mask symbols may not cost 1/256 each in every context."""
    rng = np.random.default_rng(3)
    weights = (rng.choice([-1, 1], (512, 1024)) * (rng.random((512, 1024)) < 0.1)).astype(np.int8)
    info = inspect_stream(encode_tensor(weights, profile="ans"))
    assert info.bits_per_weight <= 1.018 * entropy_bits(weights) + 64 * 21 / weights.size
    assert info.weights_per_cycle(128) > 40
