"""The clocked model at the decoder's ports: worked tile, cycle law, reference decoder."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.coverage import Coverage, missing
from azsim.rtl_check.forge import Mode, draw_table
from azsim.rtl_check.lockstep import run_model_alone
from azsim.rtl_check.scenarios import (
    CONFIGURATIONS,
    Configuration,
    make_scenario,
    recipes,
)
from azsim.rtl_check.software import SoftwareDecoder, TileBuffer
from azsim.rtl_check.vectors import Expected, expected
from azsim_kernels import tile_errors
from azsim_kernels.reference.decode import decode_tile_beats
from azsim_kernels.reference.decoder_cycles import decode_tile_cycles
from azsim_kernels.tile_format import MAX_BEATS, PROFILE_ANS

pytestmark = pytest.mark.small

# The worked record and tile of docs/decoder.md: 256 weights, 52 of them not zero.
RECORD = """
BDE43C1A00540007 0206061606161676 0602020602060616 0206061606161676 0602020602060616
0206061606161676 0602020602060616 0206061606161676 0602020602060616 0000001020304060
0000000000000000 0000001020304060 0000000000000000 0000001020304060 0000000000000000
0000001020304060 0000000000000000 1104110311021101 0000000000001105 0000000000000000
0000000000000000"""
TILE = """
379273FF00280006 24D501B6FC9E0B80 44AA4292E476031D 4292E386D7700DD6 1280031D24D367A9
B34DDD6F5A3B6668 336AB34644EAE26D 43C3C34143438FF6 C3C02D07C2434382 105A0B416BC38243"""


def words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


def weights(result: Expected, groups: int) -> list[int]:
    buffer = TileBuffer(groups)
    for beat in result.beats:
        buffer.put(beat)
    return buffer.weights


def golden_weight(i: int) -> int:
    return (i * i + 3 * i) % 11 - 5 if (7 * i + i // 5) % 6 == 0 else 0


@pytest.mark.parametrize(("port_bits", "cycles"), [(64, (25, 35, 18)), (128, (23, 34, 14))])
def test_the_worked_tile(port_bits: int, cycles: tuple[int, int, int]) -> None:
    """Record, tile with the copying of the table (20 cycles, less the refill), tile again."""
    record = Case("record", words(RECORD), table=True)
    tile = Case("tile", words(TILE))
    results = list(expected([record, tile, tile], "ans", port_bits))
    assert tuple(result.cycles for result in results) == cycles
    assert [result.code for result in results] == [tile_errors.OK] * 3
    assert weights(results[2], 1) == [golden_weight(i) for i in range(256)]


def test_cycles_follow_the_law_for_every_mode() -> None:
    """Two independent statements of the law: the clocked model and the arrival-time recursion."""
    random = Random(5)
    for port_bits in (64, 128):
        for palette in (False, True):
            maker = CaseMaker(random)
            maker.table(1, palette)
            for mask in range(3):
                for coded_values in (False, True):
                    width = random.randint(1, 8)
                    maker.good(Mode(mask, coded_values, palette, width, 1), random.randint(1, 3))
            check_law(maker.cases, port_bits, 24 if palette else 20)


def check_law(cases: list[Case], port_bits: int, copy_cycles: int) -> None:
    software = SoftwareDecoder(PROFILE_ANS)
    software.decode(cases[0])
    copied = False
    for case, result in zip(cases[1:], list(expected(cases, "ans", port_bits))[1:], strict=True):
        beats = np.zeros(MAX_BEATS, np.uint16)
        out = np.zeros(256 * case.groups, np.int8)
        stream = np.array(case.words, np.uint64)
        code, count = decode_tile_beats(
            stream, case.tile_index, case.groups, PROFILE_ANS, software.slots, out, beats
        )
        assert code == result.code == tile_errors.OK
        uses_table = case.words[0] & 3 == 2 or bool(case.words[0] & 0xC)
        load = copy_cycles if uses_table and not copied else 0
        copied = copied or uses_table
        law = decode_tile_cycles(beats[:count], len(case.words), port_bits, load)
        assert result.cycles == law, case.name
        assert weights(result, case.groups) == out.tolist(), case.name


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.label)
def test_model_and_reference_agree_on_every_named_scenario(configuration: Configuration) -> None:
    """Codes and weights; and the named scenarios alone meet nearly all coverage goals."""
    coverage = Coverage()
    for number in range(len(recipes(configuration.profile))):
        for _ in run_model_alone(make_scenario(configuration, 1, number), configuration, coverage):
            pass
    assert [
        name for name in missing(configuration, dict(coverage.counts)) if "reset" not in name
    ] == []


def test_model_and_reference_agree_on_random_damage() -> None:
    for configuration in CONFIGURATIONS:
        for number in range(40, 52):
            scenario = make_scenario(configuration, 3, number)
            for _ in run_model_alone(scenario, configuration, Coverage()):
                pass


def test_a_label_makes_the_same_scenario_again() -> None:
    first, again = (make_scenario(CONFIGURATIONS[3], 9, 60) for _ in range(2))
    assert first == again
    assert make_scenario(CONFIGURATIONS[3], 10, 60) != first


def test_forged_tables_are_legal() -> None:
    random = Random(2)
    software = SoftwareDecoder(PROFILE_ANS)
    for slot in (0, 3):
        for palette in (False, True):
            record = draw_table(random, palette)
            case = Case("record", tuple(record.words(slot)), table=True)
            assert software.decode(case) == (tile_errors.OK, [])
