"""Damaged streams with hypothesis, which shrinks what it finds: part of `make fuzz`.

    python tools/fuzz_hypothesis.py [--examples N]

Two properties. A container with bytes changed, cut, added or moved is a StreamError of one line,
or decodes to the good weights. A tile or TABLE record of any words, its CRC made to fit or not, has
the same code and the same weights from the compiled decoder and from the reference. Exit code 0 if
both held for N examples each; else 1, with the smallest example.
"""

from __future__ import annotations

import argparse
import sys
from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azsim.codec import Stream, decode_tensor, encode_tensor
from azsim.errors import StreamError
from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.forge import reseal
from azsim.rtl_check.fuzz import KernelDecoder
from azsim.rtl_check.software import SoftwareDecoder
from azsim_kernels.crc import CRC_START
from azsim_kernels.tile_format import PROFILE_ANS, PROFILE_BITMAP

Edit = tuple[str, int, int]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "cut", "add", "swap"]),
        st.integers(0, 1 << 16),
        st.integers(0, (1 << 64) - 1),
    ),
    min_size=1,
    max_size=6,
)


def edited(values: list[int], edits: list[Edit], bits: int) -> list[int]:
    """Return `values` of `bits` bits each with the edits made one after the other."""
    values = list(values)
    for kind, place, number in edits:
        at = place % max(1, len(values))
        if kind == "add":
            values.insert(at, number % (1 << bits))
        elif not values:
            continue
        elif kind == "flip":
            values[at] ^= 1 << number % bits
        elif kind == "set":
            values[at] = number % (1 << bits)
        elif kind == "swap":
            other = number % len(values)
            values[at], values[other] = values[other], values[at]
        else:
            del values[at : at + 1 + number % 8]
    return values


def container_of(seed: int) -> tuple[np.ndarray, bytes]:
    """Return (weights, container) of a small tensor made from `seed`."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 9)), int(rng.integers(1, 400)))
    weights = (rng.laplace(0, 4, shape).round() * (rng.random(shape) < 0.5)).astype(np.int8)
    profile = ("bitmap", "ans")[seed % 2]
    stream = encode_tensor(weights, profile=profile, tile=256 * int(rng.integers(1, 5)))
    return weights, stream.to_bytes()


def check_container(seed: int, edits: list[Edit]) -> None:
    """A damaged container is an error of one line, or the good weights."""
    weights, data = container_of(seed)
    message = ""
    found = weights
    try:
        found = decode_tensor(Stream.from_bytes(bytes(edited(list(data), edits, 8))))
    except StreamError as error:
        message = str(error)
    assert "\n" not in message
    np.testing.assert_array_equal(found, weights)


def check_tile(seed: int, edits: list[Edit], sealed: bool, ans: bool) -> None:
    """Both decoders say the same of a damaged tile or record; an error delivers nothing."""
    random = Random(seed)
    maker = CaseMaker(random)
    profile = PROFILE_ANS if ans else PROFILE_BITMAP
    kernel, reference = KernelDecoder(profile), SoftwareDecoder(profile)
    record = maker.table(0, random.random() < 0.5)
    good = record if random.random() < 0.2 else maker.random_good(True)
    words = edited(list(good.words), edits, 64)
    if not words:
        return
    crc = 0 if good.table or 0 not in maker.tables else maker.tables[0].crc
    if sealed:
        words = reseal(words, CRC_START ^ (0 if good.table else good.tile_index) ^ crc)
    damaged = Case(good.name, tuple(words), good.tile_index, good.groups, good.table)
    for case in (record, damaged):
        mine, other = kernel.decode(case), reference.decode(case)
        assert mine == other, (mine[0], other[0])
        assert mine[0] == 0 or not any(mine[1])


def main() -> int:
    """Run both properties."""
    parser = argparse.ArgumentParser(description="Damaged streams, found and shrunk by hypothesis.")
    parser.add_argument("--examples", type=int, default=20_000, help="of each property")
    examples = parser.parse_args().examples
    apply = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    seeds = st.integers(0, 1 << 32)
    try:
        apply(given(seeds, EDITS)(check_container))()
        apply(given(seeds, EDITS, st.booleans(), st.booleans())(check_tile))()
    except AssertionError as error:
        print(f"WRONG {error}")
        for note in getattr(error, "__notes__", []):
            print(note)
        return 1
    print(f"hypothesis: {2 * examples} examples: all held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
