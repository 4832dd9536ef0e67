"""Scenarios: a reset, then some cases under a pattern of gaps and stalls, all from one seed.

The first scenarios of a configuration are the named ones, corners first; then seeded random ones
follow without end. A scenario is known by its label, such as `ans-128:7.23`: configuration, seed,
number. The same label makes the same scenario.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from azsim.errors import ConfigError
from azsim.rtl_check import deep_recipes as deep
from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.forge import Mode, draw_table
from azsim_kernels.tile_format import MASK_CODED, MASK_DENSE, MASK_RAW, PROFILE_ANS, PROFILE_BITMAP

PROFILES = {"bitmap": PROFILE_BITMAP, "ans": PROFILE_ANS}


@dataclass(frozen=True)
class Configuration:
    """Parameters a decoder is built with."""

    profile: str
    port_bits: int

    @property
    def label(self) -> str:
        """Such as ans-128."""
        return f"{self.profile}-{self.port_bits}"


CONFIGURATIONS = tuple(Configuration(p, w) for p in PROFILES for w in (64, 128))


@dataclass(frozen=True)
class Pattern:
    """How port and consumer behave: chances in percent per cycle, runs of equal cycles.

    valid, ready  chance of a word offered, of the output taken
    run_cycles    a decision holds for up to so many cycles
    resets        chance per cycle of a reset in per mille; in a state of the decoder in which the
                  scenario has had none yet, 12 times as much
    """

    name: str
    valid: int = 100
    ready: int = 100
    run_cycles: int = 1
    resets: int = 0


PATTERNS = (
    Pattern("always"),
    Pattern("gaps", valid=50),
    Pattern("stalls", ready=50),
    Pattern("both", valid=70, ready=70),
    Pattern("slow port", valid=15),
    Pattern("slow consumer", ready=20),
    Pattern("bursts", valid=50, ready=50, run_cycles=12),
)
RESETTING = Pattern("resets", valid=80, ready=80, resets=25)


@dataclass(frozen=True)
class Scenario:
    """Cases in order, and the pattern they run under; `seed` draws the pattern's decisions."""

    label: str
    name: str
    cases: tuple[Case, ...]
    pattern: Pattern
    seed: str


def fixed_widths(maker: CaseMaker, mask: int) -> None:
    """Every width of FIXED values."""
    for width in range(1, 9):
        maker.good(Mode(mask, width=width), ones=[maker.random.randrange(20, 60)])


def group_ones(maker: CaseMaker) -> None:
    """Groups with the corner numbers of non-zeros."""
    maker.good(Mode(MASK_RAW, width=3), 7, ones=(0, 1, 15, 16, 17, 255, 256))
    maker.good(Mode(MASK_RAW, width=8), 3, ones=(0, 256, 0))
    maker.good(Mode(MASK_RAW, width=8), 1, ones=(0,))


def group_counts(maker: CaseMaker) -> None:
    """One to five groups, and EMPTY tiles up to 256."""
    for groups in (1, 2, 3, 4, 5):
        maker.good(Mode(MASK_RAW, width=2), groups, ones=[5, 12])
    maker.good(Mode(MASK_DENSE, width=1), 9)
    for groups in (1, 2, 255, 256):
        maker.empty(groups)


def back_to_back(maker: CaseMaker) -> None:
    """Tiles that leave as soon as they came."""
    for _ in range(6):
        maker.empty(3)
        maker.good(Mode(MASK_RAW, width=1), ones=[0, 1])


HEADER_BITS = {
    "bit 9": 9,
    "SLOT": 7,
    "PAL": 3,
    "WIDTH": 4,
    "VAL": 2,
    "MASK low": 0,
    "MASK high": 1,
    "NG": 10,
    "LEN": 18,
}


def header_errors(maker: CaseMaker) -> None:
    """Each field of a header wrong, with a CRC that fits; the decoder must be usable afterwards."""
    for mode in (Mode(MASK_DENSE, width=2), Mode(MASK_RAW, width=1)):
        tile = maker.good(mode, ones=[3])
        for bit in HEADER_BITS.values():
            maker.flip(tile, bit, seal=True)
    tile = maker.empty()
    for bit in HEADER_BITS.values():
        maker.flip(tile, bit, seal=True)
    zero = [tile.words[0] & ~(0x3FFF << 18), *tile.words[1:]]
    maker.resealed(tile, "LEN 0", zero)
    maker.resealed(tile, "LEN 0 and more", [*zero, 7, 8, 9, 10, 11])
    maker.good(Mode(MASK_RAW, width=4), ones=[9])


def wrong_place(maker: CaseMaker) -> None:
    """A tile of another index, another shape, announced as a table."""
    tile = maker.good(Mode(MASK_DENSE, width=1))
    maker.add(replace(tile, name="index + 1", tile_index=tile.tile_index ^ 1))
    maker.add(replace(tile, name="other groups", groups=2))
    maker.add(replace(tile, name="announced as a table", table=True))
    maker.add(tile)


def wrong_lengths(maker: CaseMaker) -> None:
    """Too few words, too many, and LEN that says so."""
    tile = maker.good(Mode(MASK_RAW, width=3), ones=[40])
    for count in range(1, len(tile.words)):
        maker.truncated(tile, count)
    for count in (1, 2, 3, 9):
        maker.extended(tile, count)
    for by in (-3, -2, -1, 1, 2, 3, 12):
        maker.lengthened(tile, by)
    maker.add(tile)


def longer_streams(maker: CaseMaker) -> None:
    """Words left over while the window is still full."""
    tile = maker.good(Mode(MASK_RAW, width=8), ones=[120])
    for by in (1, 2, 5, 9):
        maker.lengthened(tile, by)
    maker.extended(tile, 12)
    cut = maker.lengthened(tile, 6)
    maker.truncated(cut, len(tile.words) + 2)
    maker.extended(cut, 3)
    maker.add(tile)


def trailing_bits(maker: CaseMaker) -> None:
    """A one among the unused bits, and a CRC that is wrong."""
    tile = maker.good(Mode(MASK_RAW, width=3), ones=[11])
    used = 64 + 256 + 33
    for bit in (used, used + 7, 64 * len(tile.words) - 1):
        maker.flip(tile, bit, seal=True)
    for bit in (40, 70, used - 1, used):
        maker.flip(tile, bit)
    maker.swapped(tile)


def unsupported(maker: CaseMaker) -> None:
    """Modes that only profile ans has."""
    maker.table(1)
    maker.table(2, palette=True)
    for mode in (Mode(MASK_CODED, True, slot=1), Mode(MASK_DENSE, palette=True, width=3, slot=2)):
        maker.good(mode)
    maker.good(Mode(MASK_DENSE, width=1))


def mode_pairs(maker: CaseMaker, palette: bool) -> None:
    """Every mask with every kind of value."""
    maker.table(maker.random.randrange(4), palette)
    (slot,) = maker.tables
    for mask in (MASK_DENSE, MASK_RAW, MASK_CODED):
        for coded_values in (False, True):
            width = maker.random.randint(1, 8)
            maker.good(Mode(mask, coded_values, palette, width, slot), ones=[30])


def coded_widths(maker: CaseMaker) -> None:
    """Every width of FIXED values behind a coded mask."""
    maker.table(0)
    for width in range(1, 9):
        maker.good(Mode(MASK_CODED, width=width))


def sections(maker: CaseMaker) -> None:
    """More groups than one section, so that contexts change."""
    maker.table(3)
    for groups in (2, 3, 4, 5, 9):
        maker.good(Mode(MASK_CODED, True, slot=3), groups)


def switching(maker: CaseMaker) -> None:
    """Tiles of several slots in turn; the loaded slot written anew."""
    for slot in range(4):
        maker.table(slot, palette=slot % 2 == 1)
    for slot in (0, 1, 1, 2, 3, 0):
        maker.good(Mode(MASK_DENSE, True, slot == 3, slot=slot))
    maker.table(0, palette=True)
    maker.good(Mode(MASK_RAW, palette=True, width=5, slot=0), ones=[20])
    maker.good(Mode(MASK_RAW, width=5), ones=[20])
    maker.good(Mode(MASK_CODED, True, slot=0))
    for slot in (1, 2):  # another slot is written, the loaded table stays
        maker.table(slot)
        maker.good(Mode(MASK_CODED, True, slot=0))


def no_table(maker: CaseMaker) -> None:
    """Slots never written, written without a palette, written badly."""
    maker.table(1)
    loaded = maker.tables[1]
    coded = maker.good(Mode(MASK_CODED, True, slot=1))
    maker.resealed(coded, "another slot", [coded.words[0] ^ 1 << 7, *coded.words[1:]])
    maker.resealed(coded, "PAL", [coded.words[0] | 1 << 3, *coded.words[1:]])
    record = Case("same record", tuple(loaded.record.words(1)), table=True)
    maker.flip(record, 100)
    maker.add(coded)
    maker.add(record)
    maker.add(coded)


def table_errors(maker: CaseMaker) -> None:
    """Records that break each rule, with a CRC that fits; then the slot is empty."""
    record = maker.table(2, palette=True)
    tile = maker.good(Mode(MASK_DENSE, True, True, slot=2))
    classes = 64 * 17
    wrong = {"sum of MF[0]": 64, "sum of VF[3]": 64 * 16 + 3, "bit 13": classes + 13}
    for bit in wrong.values():
        maker.flip(record, bit, seal=True)
        maker.add(tile)
    words = list(record.words)
    words[18] = words[18] & ~0xFFFF | 0x0900
    maker.resealed(record, "NB 9", words)
    words[18] = words[18] & ~0xFFFF | 0x1000
    maker.resealed(record, "SG without NB", words)
    for count in (1, 2, 18, 24):
        maker.truncated(record, count)
    maker.extended(record, 1)
    maker.flip(record, 64 * 24)
    maker.add(tile)
    maker.add(record)
    maker.add(tile)


def stale_tables(maker: CaseMaker) -> None:
    """A tile that was made for another record of its slot."""
    maker.table(0)
    tile = maker.good(Mode(MASK_DENSE, True))
    maker.table(0, record=draw_table(maker.random, False))
    maker.add(tile)
    maker.good(Mode(MASK_DENSE, True))


def bad_states(maker: CaseMaker) -> None:
    """Lane states below 256 at the start, other than 256 at the end; cut in ST and SL."""
    maker.table(0)
    tile = maker.good(Mode(MASK_CODED, width=4))
    for lane in (0, 15):
        words = list(tile.words)
        words[1 + lane // 4] &= ~(0xFF00 << 16 * (lane % 4))
        maker.resealed(tile, f"state {lane} below 256", words)
    for lane in (0, 7, 15):
        maker.flip(tile, 64 + 16 * lane + 9, seal=True)
    for count in range(1, min(8, len(tile.words))):
        maker.truncated(tile, count)
        maker.lengthened(tile, count - len(tile.words))
    maker.add(tile)


def swapped_kinds(maker: CaseMaker) -> None:
    """A record in a tile's place and a tile in a record's."""
    record = maker.table(1)
    maker.add(replace(record, name="record in a tile's place", table=False))
    tile = maker.good(Mode(MASK_RAW, width=2), ones=[2])
    maker.add(replace(tile, name="tile in a record's place", table=True))
    maker.good(Mode(MASK_CODED, True, slot=1))


def small_tiles(maker: CaseMaker) -> None:
    """Small tiles of all kinds, some damaged; most will be lost to resets."""
    for _ in range(12):
        case = maker.good(Mode(maker.random.choice((MASK_DENSE, MASK_RAW)), width=2), ones=[20])
        maker.lengthened(case, 12)
        maker.empty()


Recipe = tuple[str, Callable[[CaseMaker], None], Pattern]
_ALWAYS, _GAPS, _STALLS, _BOTH, _SLOW_PORT, _SLOW_CONSUMER, _BURSTS = PATTERNS

COMMON: tuple[Recipe, ...] = (
    ("dense widths", lambda m: fixed_widths(m, MASK_DENSE), _BOTH),
    ("raw widths", lambda m: fixed_widths(m, MASK_RAW), _ALWAYS),
    ("ones per group", group_ones, _STALLS),
    ("group counts", group_counts, _GAPS),
    ("back to back", back_to_back, _ALWAYS),
    ("back to back with stalls", back_to_back, _SLOW_CONSUMER),
    ("header errors", header_errors, _BOTH),
    ("wrong place", wrong_place, _BURSTS),
    ("wrong lengths", wrong_lengths, _ALWAYS),
    ("longer streams", longer_streams, _STALLS),
    ("trailing bits", trailing_bits, _BURSTS),
    ("resets", small_tiles, RESETTING),
    ("more resets", small_tiles, RESETTING),
    ("slow port", back_to_back, _SLOW_PORT),
    ("two errors", deep.two_errors, _ALWAYS),
    ("two errors in a header", deep.two_header_errors, _ALWAYS),
    ("each bit of LEN", deep.large_lengths, _ALWAYS),
    ("each bit of the groups", deep.group_numbers, _ALWAYS),
    ("each bit of the number", deep.tile_numbers, _ALWAYS),
    ("sizes of dense tiles", deep.dense_sizes, _ALWAYS),
    ("large tiles", deep.large_tiles, _ALWAYS),
)
BITMAP: tuple[Recipe, ...] = (("unsupported modes", unsupported, _BOTH),)
ANS: tuple[Recipe, ...] = (
    ("mode pairs", lambda m: mode_pairs(m, False), _ALWAYS),
    ("mode pairs with palette", lambda m: mode_pairs(m, True), _BOTH),
    ("coded mask, widths", coded_widths, _GAPS),
    ("sections", sections, _ALWAYS),
    ("table switches", switching, _STALLS),
    ("no table", no_table, _BOTH),
    ("table errors", table_errors, _ALWAYS),
    ("stale table", stale_tables, _BOTH),
    ("bad states", bad_states, _BOTH),
    ("swapped kinds", swapped_kinds, _GAPS),
    ("two errors of coded tiles", deep.two_coded_errors, _ALWAYS),
    ("resets with tables", deep.table_resets, RESETTING),
    ("words left, window empty", deep.words_left_only, _SLOW_PORT),
    ("rules of records", deep.rules_of_records, _ALWAYS),
    ("many sections", deep.many_sections, _ALWAYS),
)


def recipes(profile: str) -> tuple[Recipe, ...]:
    """Return the named scenarios of a profile, the profile's own first."""
    return (ANS if profile == "ans" else BITMAP) + COMMON


def make_scenario(configuration: Configuration, seed: int, number: int) -> Scenario:
    """Return scenario `number` of a configuration under `seed`."""
    label = f"{configuration.label}:{seed}.{number}"
    maker = CaseMaker(Random(label))
    named = recipes(configuration.profile)
    if number < len(named):
        name, build, pattern = named[number]
        build(maker)
    else:
        name, pattern = _random_cases(maker, configuration.profile == "ans")
    return Scenario(label, name, tuple(maker.cases), pattern, f"{label}/pattern")


def _random_cases(maker: CaseMaker, ans: bool) -> tuple[str, Pattern]:
    """Add random cases; return the scenario's name and pattern."""
    random = maker.random
    pattern = random.choice((*PATTERNS, *PATTERNS, RESETTING))
    for _ in range(random.randint(3, 8)):
        case = maker.random_good(ans)
        if random.random() < 0.35:
            if random.random() < 0.7:
                maker.cases.pop()  # else the good one goes first
            maker.damage(case)
    return f"random, {pattern.name}", pattern


_LABEL = re.compile(r"(bitmap|ans)-(64|128):(\d{1,18})\.(\d{1,9})")


def parse_label(text: str) -> tuple[Configuration, int, int]:
    """Return (configuration, seed, number) of a label; ConfigError if it is none."""
    match = _LABEL.fullmatch(text)
    if match is None:
        raise ConfigError(f"--replay: must be a printed seed such as ans-128:7.23, not {text}")
    return Configuration(match[1], int(match[2])), int(match[3]), int(match[4])
