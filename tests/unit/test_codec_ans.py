"""Profile `ans`: kernels against references, every mode, lanes, tables and their errors."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import Weights, Words, ans_table, ans_tile, decode_both, header, reseal
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import ans, ans_encode, table_record
from azsim_kernels import tile_errors as codes
from azsim_kernels.ans_types import IMPOSSIBLE_BITS, MODE_BITS, MODES, tile_scratch
from azsim_kernels.reference import ans_encode as reference
from azsim_kernels.reference import table_record as table_reference
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tile_format import (
    LANES,
    MASK_CODED,
    PROFILE_ANS,
    PROFILE_BITMAP,
    max_tile_words,
)

CODED_MODES = [mode for mode in MODE_BITS if mode != 3]


def some_weights(
    groups: int, share: float, values: int, seed: int, spread: bool = False
) -> Weights:
    """Return weights of about `share` non-zeros that take at most `values` different values."""
    rng = np.random.default_rng(seed)
    size = 256 * groups
    if spread:
        choice = rng.permutation(np.arange(-128, 128))[:values]
    else:
        choice = np.arange(values) - values // 2
    drawn = choice[np.minimum(rng.geometric(0.25, size) - 1, values - 1)]
    return (drawn * (rng.random(size) < share)).astype(np.int8)


@pytest.mark.small
@pytest.mark.parametrize("mode", CODED_MODES)
@pytest.mark.parametrize("groups", [1, 2, 5])
def test_every_mode_against_the_reference(mode: int, groups: int) -> None:
    for seed, share in enumerate((0.02, 0.4, 1.0)):
        weights = some_weights(groups, share, 9, seed)
        table = ans_table(weights, dense=True)
        words = ans_tile(weights, mode, table, tile_index=seed, slot=2)
        scratch = tile_scratch(weights.size)
        other = np.zeros(2 * max_tile_words(weights.size), np.uint64)
        crc = int(table.record(2)[0]) >> 32
        length = reference.encode_ans_tile(
            weights, seed, mode, table.tables, 2, crc, scratch, other
        )
        np.testing.assert_array_equal(words, other[:length])
        status, out, _ = decode_both(words, groups, seed, PROFILE_ANS, table.slots(2))
        assert status == codes.OK
        np.testing.assert_array_equal(out, weights)


@pytest.mark.small
@settings(max_examples=25)
@given(
    st.integers(1, 5),
    st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]),
    st.integers(1, 40),
    st.sampled_from(CODED_MODES),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_any_weights_that_fit_a_mode(
    groups: int, share: float, values: int, mode: int, seed: int, spread: bool
) -> None:
    weights = some_weights(groups, share, values, seed, spread)
    table = ans_table(weights, dense=True)
    if table.classes.indexed and mode >> 2 & 1:
        mode |= 8
    scratch = tile_scratch(weights.size)
    states = np.zeros(LANES, np.int64)
    bits = ans_encode.mode_bits_needed(weights, mode, table.tables, scratch, states)
    if bits == IMPOSSIBLE_BITS:
        # only a palette lacks values; classes were fitted to these weights
        assert mode >> 3 & 1
        assert table.palette.size == 0
        return
    words = ans_tile(weights, mode, table)
    assert words.size == -(-bits // 64)
    status, out, beats = decode_both(words, groups, 0, PROFILE_ANS, table.slots(0))
    assert status == codes.OK
    np.testing.assert_array_equal(out, weights)
    assert int(beats.sum()) == bits


@pytest.mark.small
@pytest.mark.parametrize("non_zeros", [0, 1, 15, 16, 17, 255, 256])
@pytest.mark.parametrize("mode", [MASK_CODED | 4, MASK_CODED, 1 | 4])
def test_every_count_of_non_zeros(non_zeros: int, mode: int) -> None:
    weights = np.zeros(512, np.int8)
    weights[256 + np.random.default_rng(1).permutation(256)[:non_zeros]] = -128
    table = ans_table(weights, dense=False)
    words = ans_tile(weights, mode, table)
    status, out, beats = decode_both(words, 2, 0, PROFILE_ANS, table.slots(0))
    assert status == codes.OK
    np.testing.assert_array_equal(out, weights)
    assert beats.size == 1 + 2 + 8 + -(-non_zeros // 16)


@pytest.mark.small
@pytest.mark.parametrize("value", [-128, -1, 0, 1, 127])
def test_one_symbol_sources(value: int) -> None:
    """A set cannot give 256 to a symbol: 255 of 256 cost 16 x 256 x 0.0056 bits, three bytes."""
    weights = np.full(4096, value, np.int8)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, 4, table)
    status, out, beats = decode_both(words, 16, 0, PROFILE_ANS, table.slots(0))
    assert status == codes.OK
    np.testing.assert_array_equal(out, weights)
    extra = int(table.classes.bits[table.classes.value_class[value & 255]])
    assert int(beats[3:].sum()) - 4096 * extra < 64


@pytest.mark.parametrize("seed", range(4))
def test_lane_step_undoes_the_encoders(seed: int) -> None:
    """All 65,280 states: decoding a symbol and encoding it again is the identity."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(1, 256), rng.integers(1, 15), replace=False))
    used = np.diff(np.concatenate([[0], cuts, [256]]))
    frequency = np.zeros(16, np.int64)
    frequency[np.sort(rng.permutation(16)[: used.size])] = used
    below = np.cumsum(frequency) - frequency
    steps = np.zeros(256, np.uint32)
    for s in range(16):
        for k in range(frequency[s]):
            steps[below[s] + k] = s | frequency[s] << 8 | k << 16
    first = np.arange(256, 65536)
    for start in range(0, first.size, LANES):
        states = first[start : start + LANES].copy()
        symbols = np.zeros(LANES, np.int64)
        needs = ans.step_lanes(states, LANES, steps, symbols)
        needy = states < 256
        assert needs == needy.sum()
        assert states.min() >= 1
        bytes_given = rng.integers(0, 256, LANES)
        states = np.where(needy, states * 256 + bytes_given, states)
        for lane in range(LANES):
            s = int(symbols[lane])
            f = int(frequency[s])
            byte = ans_encode.push_symbol(states, lane, f, int(below[s]), -(-(1 << 24) // f))
            assert byte == (bytes_given[lane] if needy[lane] else -1)
        np.testing.assert_array_equal(states, first[start : start + LANES])


@pytest.mark.small
def test_bytes_go_to_lanes_in_order() -> None:
    """A sample of the 2^16 patterns of lanes that need a byte, at odd bit positions."""
    rng = np.random.default_rng(2)
    words = rng.integers(0, 2**64, 4, dtype=np.uint64)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    patterns = [0, 1, 0x8000, 0x5555, 0xFFFF, *rng.integers(0, 65536, 100).tolist()]
    for pattern in patterns:
        position = int(rng.integers(0, 128))
        needy = [lane for lane in range(LANES) if pattern >> lane & 1]
        states = np.array([7 if lane in needy else 300 for lane in range(LANES)])
        ans.refill_lanes(words, position, states, LANES)
        for k, lane in enumerate(needy):
            byte = bits[position + 8 * k : position + 8 * k + 8]
            assert states[lane] == 7 * 256 + int(np.packbits(byte, bitorder="little")[0])
        assert all(states[lane] == 300 for lane in range(LANES) if lane not in needy)


@pytest.mark.small
def test_class_values() -> None:
    """All classes: BASE alone, with unsigned extra bits, with a sign in the lowest bit."""
    for base in (0, 1, 5, 128, 255):
        assert ans.class_value(base, 0, 0) == base
        for extra in range(256):
            assert ans.class_value(base, 0, extra) == base + extra
            magnitude = base + extra // 2
            assert ans.class_value(base, 1, extra) == (-magnitude if extra % 2 else magnitude)


def damaged(words: Words, bit: int) -> Words:
    """Return the words with one bit flipped."""
    changed = words.copy()
    changed[bit // 64] ^= np.uint64(1 << bit % 64)
    return changed


@pytest.mark.small
@pytest.mark.parametrize("mode", [4, MASK_CODED, MASK_CODED | 4])
def test_flipped_bits_are_caught_and_judged_alike(mode: int) -> None:
    weights = some_weights(2, 0.5, 12, 7)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, mode, table)
    slots = table.slots(0)
    rng = np.random.default_rng(mode)
    for bit in rng.permutation(64 * words.size)[:60].tolist():
        assert decode_both(damaged(words, bit), 2, 0, PROFILE_ANS, slots)[0] != codes.OK


@pytest.mark.small
@pytest.mark.parametrize("mode", [4, MASK_CODED | 8, MASK_CODED | 4])
def test_resealed_damage_is_judged_alike(mode: int) -> None:
    """With a CRC that fits, other errors show: OVERRUN, BAD_STATE, TRAILING, or other weights."""
    weights = some_weights(2, 0.5, 12, 3)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, mode, table)
    slots = table.slots(0)
    seen = set()
    rng = np.random.default_rng(mode)
    for bit in rng.permutation(np.arange(64, 64 * words.size))[:80].tolist():
        changed = reseal(damaged(words, bit), 0, int(slots.crc[0]))
        seen.add(decode_both(changed, 2, 0, PROFILE_ANS, slots)[0])
    assert codes.BAD_STATE in seen
    assert seen <= {codes.OK, codes.OVERRUN, codes.BAD_STATE, codes.TRAILING}


@pytest.mark.small
def test_low_state_is_bad_in_its_own_beat() -> None:
    weights = some_weights(1, 0.5, 5, 1)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, MASK_CODED | 4, table)
    words[2] = 0
    for cut in (words, words[:5], words[:7]):  # 5 words hold the states, and nothing more
        status, _, beats = decode_both(cut, 1, 0, PROFILE_ANS, table.slots(0))
        assert (status, beats.tolist()) == (codes.BAD_STATE, [64])
    assert decode_both(words[:4], 1, 0, PROFILE_ANS, table.slots(0))[0] == codes.LENGTH


@pytest.mark.small
@pytest.mark.parametrize("mode", [4, 8, MASK_CODED | 4])
def test_every_cut_is_a_length_error(mode: int) -> None:
    weights = some_weights(2, 0.5, 12, 3)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, mode, table)
    for size in range(words.size):
        status, _, beats = decode_both(words[:size], 2, 0, PROFILE_ANS, table.slots(0))
        assert status == codes.LENGTH
        assert int(beats.sum()) <= 64 * size
        shorter = words[: max(1, size)].copy()
        shorter[0] = (int(shorter[0]) & 0x3FFFF) | shorter.size << 18
        status = decode_both(reseal(shorter), 2, 0, PROFILE_ANS, table.slots(0))[0]
        assert status in (codes.OVERRUN, codes.BAD_HEADER)


@pytest.mark.small
def test_table_of_another_tensor_or_place() -> None:
    weights = some_weights(1, 0.5, 12, 3)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, MASK_CODED | 4, table, slot=1)
    right = table.slots(1)
    assert decode_both(words, 1, 0, PROFILE_ANS, right)[0] == codes.OK
    assert decode_both(words, 1, 1, PROFILE_ANS, right)[0] == codes.BAD_CRC
    assert decode_both(words, 1, 0, PROFILE_ANS, table.slots(0))[0] == codes.NO_TABLE
    assert decode_both(words, 1, 0, PROFILE_BITMAP, right)[0] == codes.UNSUPPORTED
    other = ans_table(some_weights(1, 0.5, 12, 4), dense=True)
    status = decode_both(words, 1, 0, PROFILE_ANS, other.slots(1))[0]
    assert status in (codes.BAD_CRC, codes.OVERRUN)


@pytest.mark.small
def test_palette_mode_needs_a_palette_in_the_slot() -> None:
    weights = some_weights(1, 0.5, 12, 3)
    table = ans_table(weights, dense=True)
    words = ans_tile(weights, MASK_CODED | 8, table)
    slots = table.slots(0)
    assert decode_both(words, 1, 0, PROFILE_ANS, slots)[0] == codes.OK
    plain = table.record(0, palette=False)
    assert table_record.load_table(plain, PROFILE_ANS, slots) == codes.OK
    assert decode_both(words, 1, 0, PROFILE_ANS, slots)[0] == codes.NO_TABLE


# TABLE records


def load_both(words: Words, slots: TableSlots | None = None, profile: int = PROFILE_ANS) -> int:
    """Load with kernel and reference; check that status and slots agree."""
    mine = TableSlots(*(a.copy() for a in slots or empty_slots()))
    theirs = TableSlots(*(a.copy() for a in slots or empty_slots()))
    status = table_record.load_table(words, profile, mine)
    assert status == table_reference.load_table(words, profile, theirs)
    for name, a, b in zip(mine._fields, mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    if slots is not None:
        for target, source in zip(slots, mine, strict=True):
            target[:] = source
    return int(status)


@pytest.fixture
def record() -> Words:
    """A TABLE record with palette for slot 1."""
    return ans_table(some_weights(4, 0.5, 20, 5), dense=True).record(1)


@pytest.mark.small
def test_record_is_loaded_and_replaced(record: Words) -> None:
    slots = empty_slots()
    assert load_both(record, slots) == codes.OK
    assert slots.written.tolist() == [0, 1, 0, 0]
    assert slots.has_palette[1] == 1
    assert int(slots.crc[1]) == int(record[0]) >> 32
    assert load_both(record, slots, PROFILE_BITMAP) == codes.UNSUPPORTED
    assert slots.written[1] == 1


@pytest.mark.small
def test_every_bit_of_a_record_counts(record: Words) -> None:
    rng = np.random.default_rng(1)
    for bit in rng.permutation(64 * record.size)[:150].tolist():
        assert load_both(damaged(record, bit)) != codes.OK


@pytest.mark.small
@pytest.mark.parametrize(
    ("word", "value"),
    [
        (1, 0),  # MF[0] no longer sums to 256
        (16, 0x0101010101010101),  # VF[3]
        (17, 0x0900),  # NB = 9
        (20, 0x1000 << 48),  # SG without extra bits
        (18, 0x2000 << 16),  # a reserved bit
    ],
)
def test_illegal_records_leave_the_slot_unwritten(record: Words, word: int, value: int) -> None:
    slots = empty_slots()
    load_both(record, slots)
    record[word] = value
    assert load_both(record, slots) == codes.BAD_TABLE  # before its CRC is looked at
    assert slots.written[1] == 0
    assert load_both(reseal(record), slots) == codes.BAD_TABLE


@pytest.mark.small
def test_length_and_crc_of_records(record: Words) -> None:
    slots = empty_slots()
    assert load_both(record[:0], slots) == codes.LENGTH
    for size in range(1, record.size):
        load_both(record, slots)
        assert load_both(record[:size], slots) == codes.LENGTH
        assert slots.written[1] == 0
    assert load_both(np.append(record, np.uint64(0))) == codes.LENGTH
    palette = record.copy()
    palette[22] ^= np.uint64(1)
    assert load_both(palette) == codes.BAD_CRC


@pytest.mark.small
def test_a_tile_is_no_record() -> None:
    words = reseal(np.array([header(mask=3, len=1)], np.uint64))
    assert load_both(words) == codes.BAD_HEADER
    assert load_both(words, profile=PROFILE_BITMAP) == codes.UNSUPPORTED


@pytest.mark.small
def test_modes_are_distinct() -> None:
    assert len(set(MODE_BITS)) == MODES
