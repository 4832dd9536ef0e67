"""Tables of profile `ans` on both levels: who finds which table, and what a change of one does."""

from __future__ import annotations

import numpy as np
import pytest
from choosing import SeedChoose
from comparing import difference
from numpy.typing import NDArray
from random_chips import random_params
from random_programs import Draft
from strategies import Case, command_records
from table_tiles import Table, ans_tile, random_table

from azsim.engine.fast_machine import FastMachine
from azsim.errors import SimulationError
from azsim_kernels import isa, tile_errors
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.reference.bitmap import encode_bitmap_tile
from azsim_kernels.tile_format import MASK_CODED, MASK_RAW, PAL_BIT, VAL_BIT

pytestmark = pytest.mark.small

CODED = MASK_CODED | 1 << VAL_BIT
PALETTE = MASK_RAW | 1 << PAL_BIT  # its length does not depend on the frequencies
DRAM_BYTES = 1 << 14
RECORDS, TILES = 1 << 12, 1 << 13  # of DRAM
SPACING = 1 << 10
PARAMS = random_params(SeedChoose(1))._replace(
    units=2,
    queue_depth=4,
    fifo_words=64,
    tile_slots=4,
    slot_weights=256,
    decoder_profile=isa.DECODER_ANS,
    skip=isa.SKIP_WEIGHT,
)


class TableProgram:
    """FETCH and DECODE commands of units 0 and 1, with streams at round addresses of DRAM."""

    def __init__(self) -> None:
        self.dram = np.zeros(DRAM_BYTES, np.uint8)
        self.commands: list[Draft] = []
        self.semaphores: list[int] = []

    def put(self, address: int, words: NDArray[np.uint64]) -> tuple[int, int]:
        """Write words to DRAM; return their place."""
        raw = words.view(np.uint8)
        self.dram[address : address + raw.size] = raw
        return address, raw.size

    def table(self, place: tuple[int, int], slot: int, unit: int = 0) -> None:
        """Load a record."""
        self.commands.append(Draft(isa.FETCH, [*place, 0], unit))
        self.commands.append(Draft(isa.TABLE, [slot], unit))

    def tile(self, place: tuple[int, int], slot: int, index: int = 0, unit: int = 0) -> None:
        """Decode a tile into a slot of the WBUF."""
        self.commands.append(Draft(isa.FETCH, [*place, 0], unit))
        self.commands.append(Draft(isa.TILE, [slot, 1, index], unit))

    def case(self) -> Case:
        """Return the program as a case."""
        return Case(
            PARAMS,
            command_records(self.commands),
            np.full(len(self.semaphores), isa.ORDER, np.uint8),
            np.array(self.semaphores, np.int64),
            self.dram,
            np.zeros(8, np.uint8),
            np.zeros(1 << 10, np.uint8),
        )


def weights(seed: int) -> NDArray[np.int8]:
    """Return 256 weights of 4 bits, some of them zero."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-8, 8, 256) * rng.integers(0, 2, 256)).astype(np.int8)


def tables(slots: list[int]) -> list[Table]:
    """Return different tables, one for each of `slots`."""
    every = np.arange(-8, 8).astype(np.int8)
    return [random_table(np.random.default_rng(k), every, slot) for k, slot in enumerate(slots)]


def failure(case: Case) -> tuple[int, int]:
    """Check that both levels agree on a bad tile; return its command and code."""
    found, status = difference(case, steps=2)
    assert (found, status) == ("", isa.BAD_TILE)
    result = case.build(ClockedMachine).run_step()
    return result.error_command, result.error_code


def test_a_unit_has_tables_of_its_own() -> None:
    program = TableProgram()
    (one,) = tables([2])
    place = program.put(RECORDS, one.record)
    tile = program.put(TILES, ans_tile(weights(1), CODED, 0, one))
    program.table(place, 2, unit=0)
    program.tile(tile, 0, unit=0)
    assert difference(program.case(), steps=2) == ("", isa.DONE)
    program.tile(tile, 1, unit=1)  # the same bytes, but unit 1 has loaded nothing
    assert failure(program.case()) == (5, tile_errors.NO_TABLE)


def test_table_slots_are_empty_when_a_step_begins() -> None:
    program = TableProgram()
    (one,) = tables([0])
    place = program.put(RECORDS, one.record)
    tile = program.put(TILES, ans_tile(weights(1), CODED, 0, one))
    program.tile(tile, 0)  # in the second step too, though the first would have loaded the table
    program.table(place, 0)
    assert failure(program.case()) == (1, tile_errors.NO_TABLE)


def test_a_record_for_another_slot_is_refused() -> None:
    program = TableProgram()
    (one,) = tables([1])
    program.table(program.put(RECORDS, one.record), 3)
    assert failure(program.case()) == (1, tile_errors.BAD_HEADER)


def test_the_table_before_does_not_fit() -> None:
    program = TableProgram()
    old, new = tables([1, 1])
    program.table(program.put(RECORDS, old.record), 1)
    program.tile(program.put(TILES, ans_tile(weights(1), PALETTE, 0, new)), 0)
    assert failure(program.case()) == (3, tile_errors.BAD_CRC)


def test_one_slot_with_one_table_after_the_other() -> None:
    program = TableProgram()
    old, new = tables([1, 1])
    places = [program.put(RECORDS + k * SPACING, t.record) for k, t in enumerate((old, new))]
    words = [ans_tile(weights(k), CODED, 0, t) for k, t in enumerate((old, new))]
    tiles = [program.put(TILES + k * SPACING, w) for k, w in enumerate(words)]
    for k in (0, 1, 0):
        program.table(places[k], 1)
        program.tile(tiles[k], k)
    assert difference(program.case(), steps=3) == ("", isa.DONE)


def test_tables_written_by_the_program() -> None:
    """A LOAD and a STORE bring the second record to where the first stood."""
    program = TableProgram()
    old, new = tables([1, 1])
    place = program.put(RECORDS, old.record)
    copy = program.put(RECORDS + SPACING, new.record)
    tiles = [
        program.put(TILES + k * SPACING, ans_tile(weights(k), CODED, 0, table))
        for k, table in enumerate((old, new))
    ]
    program.semaphores = [0, 0, 0]
    loaded, decoded, stored = range(3)
    program.table(place, 1)
    program.tile(tiles[0], 0)
    program.commands[-1].signals = [(decoded, 1)]
    program.commands += [
        Draft(isa.LOAD, [copy[0], 0, copy[1]], signals=[(loaded, 1)]),
        Draft(
            isa.STORE,
            [place[0], 0, copy[1]],
            waits=[(loaded, 1), (decoded, 1)],
            signals=[(stored, 1)],
        ),
    ]
    program.table(place, 1)
    program.commands[-2].waits = [(stored, 1)]
    program.tile(tiles[1], 1)
    case = program.case()
    found, status = difference(case, steps=1)
    assert (found, status) == ("", isa.DONE)
    # Now the second record stands in the first one's place, and the first tile does not fit it.
    found, status = difference(case, steps=2)
    assert (found, status) == ("", isa.BAD_TILE)


def test_a_rewritten_table_is_decoded_anew() -> None:
    program = TableProgram()
    old, new = tables([1, 1])
    place = program.put(RECORDS, old.record)
    words = ans_tile(weights(1), PALETTE, 0, old)
    tile = program.put(TILES, words)
    program.table(place, 1)
    program.tile(tile, 0)
    machine = program.case().build(FastMachine)
    first = machine.run_step()
    assert first.status == isa.DONE
    machine.write_dram(place[0], new.record.view(np.uint8))
    result = machine.run_step()
    assert (result.status, result.error_code) == (isa.BAD_TILE, tile_errors.BAD_CRC)
    fitting = ans_tile(weights(2), PALETTE, 0, new)
    assert fitting.size == words.size
    machine.write_dram(tile[0], fitting.view(np.uint8))
    assert machine.run_step().status == isa.DONE
    assert machine.wbuf[0].tolist() == weights(2).tolist()
    machine.write_dram(place[0], old.record.view(np.uint8))
    machine.write_dram(tile[0], words.view(np.uint8))
    again = machine.run_step()
    assert (again.status, again.cycles) == (isa.DONE, first.cycles)
    assert machine.wbuf[0].tolist() == weights(1).tolist()


def test_a_shared_tile_cannot_change_to_a_slot_with_several_tables() -> None:
    program = TableProgram()
    first, second, same = tables([0, 0, 1])
    places = [
        program.put(RECORDS + k * SPACING, table.record)
        for k, table in enumerate((first, second, same))
    ]
    words = ans_tile(weights(1), CODED, 0, same)
    tile = program.put(TILES, words)
    for unit in (0, 1):
        program.table(places[unit], 0, unit)
        program.table(places[2], 1, unit)
        program.tile(tile, unit, unit=unit)
    machine = program.case().build(FastMachine)
    assert machine.run_step().status == isa.DONE
    changed = words[:1].copy()
    changed[0] ^= np.uint64(1 << 7)  # SLOT 0 in place of 1
    machine.write_dram(tile[0], changed.view(np.uint8))
    with pytest.raises(
        SimulationError,
        match=r"^tile at DRAM address 8192: must not come to use table slot 0, which holds "
        r"different tables where the program uses the tile$",
    ):
        machine.run_step()


@pytest.mark.parametrize("profile", [isa.DECODER_BITMAP, isa.DECODER_NONE])
def test_other_profiles_know_no_tables(profile: int) -> None:
    program = TableProgram()
    (one,) = tables([0])
    program.table(program.put(RECORDS, one.record), 0)
    case = program.case()
    assert failure(case._replace(params=case.params._replace(decoder_profile=profile))) == (
        1,
        tile_errors.UNSUPPORTED,
    )


def test_plain_tiles_need_no_table() -> None:
    program = TableProgram()
    words = np.zeros(64, np.uint64)
    length = encode_bitmap_tile(weights(3), 0, words)
    program.tile(program.put(TILES, words[:length]), 0)
    assert difference(program.case(), steps=3) == ("", isa.DONE)
