"""Random programs in the form a compiler gives them, with faults sprinkled in.

Tiles are real streams of the reference encoders. FETCH never reads what a command of the program
writes; every other race between commands has one result by section 11 of docs/timing_model.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from choosing import Choose, chance, pick
from more_operands import depthwise, pack_source
from numpy.typing import NDArray
from places import Region, place, scale, zero_point
from table_tiles import Table, ans_tile, random_mode, random_table
from vector_operands import ARITHMETIC, vector_operands

from azsim_kernels import isa
from azsim_kernels.reference.bitmap import encode_bitmap_tile

DRAM_BYTES = 1 << 15
STORE_BYTES = 1 << 13
ABUF_BYTES = 1 << 12
CONSTANTS = Region(0, 1 << 11)  # scales and indices: written by no command
WORK = Region(1 << 11, ABUF_BYTES)
TILES = Region(0, 3 << 13)  # of DRAM: written by no command
DATA = Region(3 << 13, DRAM_BYTES)  # of DRAM: LOAD, STORE and GATHER


@dataclass(frozen=True, eq=False)
class StoredTable:
    """A table, the weights it can code, and the operands of the FETCH of its record."""

    table: Table
    values: NDArray[np.int8]
    fetch: list[int]


@dataclass
class Draft:
    """A command being made: waits and signals are (semaphore, count)."""

    opcode: int
    arg: list[int]
    unit: int = 0
    table: StoredTable | None = None  # of a TILE that needs one
    waits: list[tuple[int, int]] = field(default_factory=list)
    signals: list[tuple[int, int]] = field(default_factory=list)


class ProgramDraft:
    """Chains of commands, semaphores and memory contents that grow as chains are added."""

    def __init__(self, choose: Choose, params: isa.MachineParams) -> None:
        self.choose = choose
        self.params = params
        self.rng = np.random.default_rng(choose.integer(0, 1 << 16))
        self.dram = self.rng.integers(0, 256, DRAM_BYTES, np.uint8)
        self.store = self.rng.integers(0, 256, STORE_BYTES, np.uint8)
        self.abuf = self.rng.integers(0, 256, ABUF_BYTES, np.uint8)
        if chance(choose, 50):  # activations with zeros, so that skipping them matters
            self.abuf[WORK.begin :] *= self.rng.integers(0, 2, ABUF_BYTES - WORK.begin, np.uint8)
        self.used = {0: TILES.begin, 1: 0}  # next free byte for tiles, by FETCH source
        self.constants_used = CONSTANTS.begin
        self.tables: list[StoredTable] = []
        self.kinds: list[int] = []
        self.initial: list[int] = []
        self.slot_ready = [self.semaphore(isa.DATA) for _ in range(params.tile_slots)]
        self.slot_space = [self.semaphore(isa.SPACE, 1) for _ in range(params.tile_slots)]
        self.sums_ready = self.semaphore(isa.DATA)
        self.sums_space = self.semaphore(isa.SPACE, 1)
        self.loaded = self.semaphore(isa.DATA)
        self.load_space = self.semaphore(isa.SPACE, choose.integer(1, 2))

    def semaphore(self, kind: int, initial: int = 0) -> int:
        """Add a semaphore and return its number."""
        self.kinds.append(kind)
        self.initial.append(initial)
        return len(self.kinds) - 1

    def constants(self, values: NDArray[np.generic]) -> int:
        """Put `values` into the constant region of ABUF, word aligned; return the address."""
        raw = np.frombuffer(values.tobytes(), np.uint8)
        address = -(-self.constants_used // 4) * 4
        self.constants_used = address + raw.size
        assert self.constants_used <= CONSTANTS.end, "chains must fit the constant region"
        self.abuf[address : self.constants_used] = raw
        return address

    def put_stream(self, raw: NDArray[np.uint8]) -> list[int]:
        """Put a tile's bytes into DRAM or the weight store; return the operands of its FETCH."""
        source = self.choose.integer(0, 1)
        gap = 8 * self.choose.integer(0, 3)  # so that tiles begin anywhere in a burst
        address = self.used[source] + gap
        memory, end = (self.store, STORE_BYTES) if source else (self.dram, TILES.end)
        if address + raw.size > end:
            return []
        memory[address : address + raw.size] = raw
        self.used[source] = address + raw.size
        return [address, raw.size, source]


def product_chain(draft: ProgramDraft) -> list[Draft]:
    """FETCH, TILE or RAW, PRODUCT for one to three tiles, then a RESCALE of the sums."""
    choose, p = draft.choose, draft.params
    rows = choose.integer(1, min(20, p.lanes * p.accumulators_per_lane, p.slot_weights))
    per_lane = -(-rows // p.lanes)
    columns_m = 1 if chance(choose, 70) else choose.integer(1, 3)
    columns_m = min(columns_m, p.accumulators_per_lane // per_lane)
    base = choose.integer(0, p.accumulators_per_lane - columns_m * per_lane)
    n_tiles = choose.integer(1, 3)
    chain: list[Draft] = []
    for k in range(n_tiles):
        slot = choose.integer(0, p.tile_slots - 1)
        bits = choose.integer(1, 8)
        columns = choose.integer(1, min(40, p.slot_weights // rows))
        filled = _pack(draft, slot, rows, columns) if chance(choose, 20) else None
        fetched = filled or _fetch_tile(draft, slot, bits)
        if fetched is None:
            return []
        stride = columns + choose.integer(0, 5)
        address = place(choose, WORK, columns_m * stride, 1)
        zero = pick(choose, [0, 0, choose.integer(-128, 127)])
        arg = [slot, rows, columns, address, columns_m, stride, base, per_lane]
        last = int(k == n_tiles - 1)
        product = Draft(isa.PRODUCT, [*arg, int(k == 0), bits, zero, last])
        product.waits.append((draft.slot_ready[slot], 1))
        product.signals.append((draft.slot_space[slot], 1))
        if k == 0:
            product.waits.append((draft.sums_space, 1))
        if last:
            product.signals.append((draft.sums_ready, 1))
        chain += [*fetched, product]
    return [*chain, _rescale(draft, rows, base, columns_m, per_lane)]


def _pack(draft: ProgramDraft, slot: int, rows: int, columns: int) -> list[Draft]:
    """PACK of a matrix that is the PRODUCT's, or a smaller or larger one."""
    choose = draft.choose
    rows = max(1, rows + pick(choose, [0, 0, 0, -1, 1]))
    columns = max(1, min(columns + pick(choose, [0, 0, -1]), draft.params.slot_weights // rows))
    pack = Draft(isa.PACK, [slot, *pack_source(choose, WORK, rows, columns)])
    pack.waits.append((draft.slot_space[slot], 1))
    pack.signals.append((draft.slot_ready[slot], 1))
    return [pack]


def _fetch_tile(draft: ProgramDraft, slot: int, bits: int) -> list[Draft] | None:
    """FETCH and TILE (or RAW) of random weights; None if the memory is full."""
    choose, p = draft.choose, draft.params
    groups = choose.integer(1, p.slot_weights // 256)
    limit = 1 << (bits - 1)
    weights = draft.rng.integers(-limit, limit, 256 * groups).astype(np.int8)
    stored = _some_table(draft, limit)
    if stored is not None:
        weights = draft.rng.choice(stored.values, weights.size)
    density = pick(choose, [50, 50, 10, 100, 0])
    weights[draft.rng.integers(0, 100, weights.size) >= density] = 0
    if not weights.any():  # the encoder makes EMPTY of it
        stored = None
    raw = stored is None and chance(choose, 15)
    index = choose.integer(0, 9)
    stream = weights.view(np.uint8)
    if stored is not None:
        mode = random_mode(choose, stored.table)
        stream = ans_tile(weights, mode, index, stored.table).view(np.uint8)
    elif not raw:
        words = np.zeros(1 + weights.size // 8, np.uint64)
        stream = words[: encode_bitmap_tile(weights, index, words)].view(np.uint8)
    operands = draft.put_stream(stream)
    if not operands:
        return None
    unit = choose.integer(0, p.units - 1)
    tile = Draft(isa.RAW if raw else isa.TILE, [slot, groups, index], unit, stored)
    tile.waits.append((draft.slot_space[slot], 1))
    tile.signals.append((draft.slot_ready[slot], 1))
    return [Draft(isa.FETCH, operands, unit), tile]


def _some_table(draft: ProgramDraft, limit: int) -> StoredTable | None:
    """Return a table of the program, old or new, for most tiles of a chip that has tables."""
    choose = draft.choose
    if draft.params.decoder_profile != isa.DECODER_ANS or chance(choose, 30):
        return None
    if draft.tables and chance(choose, 60):
        return pick(choose, draft.tables)
    most = choose.integer(1, pick(choose, [3, 16, 30, 200]))
    values = np.unique(np.append(draft.rng.integers(-limit, limit, most), 0)).astype(np.int8)
    table = random_table(draft.rng, values, choose.integer(0, 3))
    operands = draft.put_stream(table.record.view(np.uint8))
    if not operands:
        return None
    draft.tables.append(StoredTable(table, values, operands))
    return draft.tables[-1]


def _rescale(draft: ProgramDraft, rows: int, base: int, columns: int, stride: int) -> Draft:
    """RESCALE of sums, its parameters in the constant region."""
    choose = draft.choose
    address = _row_parameters(draft, rows)
    dst_type = choose.integer(0, 2)
    size = isa.ELEMENT_BYTES[dst_type]
    dst_stride = size * (rows + choose.integer(0, 3))
    flags = choose.integer(0, 7)
    addend_stride = 4 * choose.integer(0, rows)
    arg = [rows, base, columns, stride, address]
    arg += [place(choose, WORK, columns * dst_stride, size), dst_stride, dst_type]
    arg += [zero_point(choose, dst_type), flags]
    arg += [place(choose, WORK, 4 * rows + (columns - 1) * addend_stride, 4), addend_stride]
    waits, signals = [(draft.sums_ready, 1)], [(draft.sums_space, 1)]
    return Draft(isa.RESCALE, arg, 0, None, waits, signals)


def _row_parameters(draft: ProgramDraft, rows: int) -> int:
    """Put multipliers, biases and shifts into the constant region; return the address."""
    scales = [scale(draft.choose) for _ in range(rows)]
    words = np.array([m for m, _ in scales], np.int32).tobytes()
    words += draft.rng.integers(-(1 << 31), 1 << 31, rows).astype(np.int32).tobytes()
    words += np.array([s for _, s in scales], np.int8).tobytes()
    return draft.constants(np.frombuffer(words, np.uint8))


def vector_chain(draft: ProgramDraft) -> list[Draft]:
    """A VECTOR command, or two, the second waiting for the first."""
    choose = draft.choose
    chain = []
    for _ in range(choose.integer(1, 2)):
        opcode = pick(choose, (*ARITHMETIC, isa.DEPTHWISE))
        if opcode == isa.DEPTHWISE:
            arg = depthwise(choose, WORK, 0)
            arg[12] = _row_parameters(draft, arg[2])
        else:
            arg = vector_operands(choose, opcode, WORK)
        chain.append(Draft(opcode, arg))
    return chain


def load_chain(draft: ProgramDraft) -> list[Draft]:
    """LOAD or GATHER, then a VECTOR command that waits for the data and frees the place."""
    choose = draft.choose
    if chance(choose, 40):
        load = _gather(draft)
    else:
        size = choose.integer(0, 200)
        dram_address = DATA.begin + choose.integer(0, DATA.end - DATA.begin - size)
        load = Draft(isa.LOAD, [dram_address, place(choose, WORK, size, 1), size])
    load.waits.append((draft.load_space, 1))
    load.signals.append((draft.loaded, 1))
    use = vector_chain(draft)[0]
    use.waits.append((draft.loaded, 1))
    use.signals.append((draft.load_space, 1))
    return [load, use]


def _gather(draft: ProgramDraft) -> Draft:
    choose = draft.choose
    row_bytes, n, table_rows = choose.integer(0, 40), choose.integer(0, 5), choose.integer(1, 20)
    indices = np.array([choose.integer(0, table_rows - 1) for _ in range(n)], np.int32)
    index_address = draft.constants(indices)
    table = DATA.begin + choose.integer(0, 1000)
    target = place(choose, WORK, n * row_bytes, 1)
    return Draft(isa.GATHER, [table, target, row_bytes, index_address, n, table_rows])


def store_chain(draft: ProgramDraft) -> list[Draft]:
    """STORE of some bytes."""
    size = draft.choose.integer(0, 200)
    dram_address = DATA.begin + draft.choose.integer(0, DATA.end - DATA.begin - size)
    return [Draft(isa.STORE, [dram_address, place(draft.choose, WORK, size, 1), size])]


CHAINS = (product_chain, product_chain, vector_chain, load_chain, store_chain)
MAX_CHAINS = 8


def draft_commands(draft: ProgramDraft) -> list[Draft]:
    """Return the commands of some chains, one after the other or with fetches moved forward."""
    choose = draft.choose
    n_chains = choose.integer(1, MAX_CHAINS)
    chains = [pick(choose, CHAINS)(draft) for _ in range(n_chains)]
    commands = [command for chain in chains for command in chain]
    if chance(choose, 50):
        _move_forward(choose, commands)
    _load_tables(choose, commands)
    return commands


def _load_tables(choose: Choose, commands: list[Draft]) -> None:
    """Give each unit the tables that its tiles need, before them, and some once more."""
    for unit in sorted({command.unit for command in commands}):
        loaded: dict[int, StoredTable] = {}
        for fetch, decode in _fetch_pairs(commands, unit):
            stored = decode.table
            if stored is None:
                continue
            slot = stored.table.slot
            if loaded.get(slot) is stored and not chance(choose, 10):
                continue
            loaded[slot] = stored
            commands.insert(_place_of(commands, fetch), Draft(isa.FETCH, stored.fetch, unit))
            commands.insert(_place_of(commands, decode), Draft(isa.TABLE, [slot], unit))


def _place_of(commands: list[Draft], wanted: Draft) -> int:
    return next(k for k, other in enumerate(commands) if other is wanted)


def _move_forward(choose: Choose, commands: list[Draft]) -> None:
    """Move FETCH, DECODE and LOAD commands to earlier places, as a compiler that prefetches does.

    Then give each FETCH of a unit the stream of its DECODE again.
    """
    units = {command.unit for command in commands}
    pairs = [pair for unit in units for pair in _fetch_pairs(commands, unit)]
    streams = {id(decode): fetch.arg for fetch, decode in pairs}
    for command in list(commands):
        if command.opcode in (isa.FETCH, isa.TILE, isa.RAW, isa.LOAD) and chance(choose, 60):
            place_now = _place_of(commands, command)
            commands.pop(place_now)
            commands.insert(max(0, place_now - choose.integer(1, 8)), command)
    for unit in units:
        for fetch, decode in _fetch_pairs(commands, unit):
            fetch.arg = streams[id(decode)]


def _fetch_pairs(commands: list[Draft], unit: int) -> list[tuple[Draft, Draft]]:
    """Return the k-th FETCH and the k-th DECODE command of a unit for every k."""
    mine = [command for command in commands if command.unit == unit]
    fetches = [command for command in mine if command.opcode == isa.FETCH]
    decodes = [command for command in mine if command.opcode in (isa.TILE, isa.RAW)]
    return list(zip(fetches, decodes, strict=True))
