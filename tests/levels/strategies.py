"""Generated chips and programs for comparing the levels of the machine.

`cases()` for hypothesis, `random_case(seed)` for volume runs. A case builds any machine that has
the constructor of `azsim_kernels.clocked.ClockedMachine`, with memories of its own:

    result = case.build(ClockedMachine).run_step()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from choosing import Choose, DrawChoose, SeedChoose, chance, pick
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_chips import random_params
from random_memories import random_lpddr, random_traffic
from random_programs import ABUF_BYTES, Draft, ProgramDraft, draft_commands

from azsim_kernels import isa
from azsim_kernels.lpddr_params import HostPattern

M = TypeVar("M")


class Case(NamedTuple):
    """A chip, a program and the contents of its memories."""

    params: isa.MachineParams
    commands: NDArray[np.void]
    semaphore_kinds: NDArray[np.uint8]
    semaphore_initial: NDArray[np.int64]
    dram: NDArray[np.uint8]
    store: NDArray[np.uint8]
    abuf: NDArray[np.uint8]
    host_traffic: tuple[HostPattern, ...] | None = None

    def build(self, machine: Callable[..., M], **more: Any) -> M:
        """Return a machine of this case with its own copies of the memories."""
        return machine(
            self.params,
            self.commands.copy(),
            self.semaphore_kinds.copy(),
            self.semaphore_initial.copy(),
            dram=self.dram.copy(),
            store=self.store.copy(),
            abuf=self.abuf.copy(),
            host_traffic=self.host_traffic,
            **more,
        )


@st.composite
def machine_params(draw: Callable[..., int]) -> isa.MachineParams:
    """Small chips, every field varied."""
    return random_params(DrawChoose(draw))


@st.composite
def programs(draw: Callable[..., int], params: isa.MachineParams) -> Case:
    """Programs for the chip `params`, a third of them with a fault."""
    return _make_case(DrawChoose(draw), params)


@st.composite
def cases(draw: Callable[..., int]) -> Case:
    """Chips with programs, a third of them with a fault."""
    choose = DrawChoose(draw)
    return _make_case(choose, random_params(choose))


def random_case(seed: int) -> Case:
    """Return the case of `seed`, the same in every run."""
    choose = SeedChoose(seed)
    return _make_case(choose, random_params(choose))


@st.composite
def lpddr_cases(draw: Callable[..., int]) -> Case:
    """Cases with an LPDDR memory, half of them with host traffic."""
    choose = DrawChoose(draw)
    return _with_lpddr(choose, _make_case(choose, random_params(choose)))


def random_lpddr_case(seed: int) -> Case:
    """Return the case of `seed` with an LPDDR memory, the same in every run."""
    choose = SeedChoose(seed)
    return _with_lpddr(choose, _make_case(choose, random_params(choose)))


def _with_lpddr(choose: Choose, case: Case) -> Case:
    memory = random_lpddr(choose, case.params)
    traffic = random_traffic(choose, memory) if chance(choose, 50) else None
    return case._replace(params=case.params._replace(lpddr=memory), host_traffic=traffic)


def _make_case(choose: Choose, params: isa.MachineParams) -> Case:
    draft = ProgramDraft(choose, params)
    commands = draft_commands(draft)
    if chance(choose, 50):
        _add_order(draft, commands)
    if chance(choose, 33):
        _add_fault(draft, commands)
    return Case(
        params,
        command_records(commands),
        np.array(draft.kinds, np.uint8),
        np.array(draft.initial, np.int64),
        draft.dram,
        draft.store,
        draft.abuf,
    )


def command_records(drafts: list[Draft]) -> NDArray[np.void]:
    """Return the commands as records of `isa.COMMAND`."""
    records = np.zeros(len(drafts), isa.COMMAND)
    for record, draft in zip(records, drafts, strict=True):
        record["engine"] = isa.OPCODE_ENGINE[draft.opcode]
        record["opcode"] = draft.opcode
        record["unit"] = draft.unit
        record["n_wait"], record["n_signal"] = len(draft.waits), len(draft.signals)
        for k, (semaphore, count) in enumerate(draft.waits):
            record["wait"][k], record["wait_count"][k] = semaphore, count
        for k, (semaphore, count) in enumerate(draft.signals):
            record["signal"][k], record["signal_count"][k] = semaphore, count
        record["arg"][: len(draft.arg)] = draft.arg
    return records


def _add_order(draft: ProgramDraft, commands: list[Draft]) -> None:
    """Let some commands wait for earlier ones, of any engine, by fresh semaphores of any kind."""
    choose = draft.choose
    for _ in range(choose.integer(1, 6)):
        if len(commands) < 2:
            return
        late = choose.integer(1, len(commands) - 1)
        early = choose.integer(0, late - 1)
        count = choose.integer(1, min(3, draft.params.semaphore_max))
        semaphore = draft.semaphore(choose.integer(isa.DATA, isa.ORDER))
        gives, takes = commands[early].signals, commands[late].waits
        if len(gives) < isa.MAX_SIGNALS and len(takes) < isa.MAX_WAITS:
            gives.append((semaphore, count))
            takes.append((semaphore, count))


def _fault_no_signal(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A command waits for what nobody gives: deadlock."""
    command = pick(draft.choose, commands)
    if len(command.waits) == isa.MAX_WAITS:
        return False
    semaphore = draft.semaphore(draft.choose.integer(isa.DATA, isa.ORDER))
    command.waits.append((semaphore, draft.choose.integer(1, 2)))
    return True


def _fault_overflow(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A command gives more than a semaphore holds."""
    command = pick(draft.choose, commands)
    if len(command.signals) == isa.MAX_SIGNALS:
        return False
    maximum = draft.params.semaphore_max
    semaphore = draft.semaphore(isa.DATA, maximum - draft.choose.integer(0, 1))
    command.signals.append((semaphore, 2))
    return True


def _fault_missing(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A command is left out: wrong pairs of FETCH and DECODE, missing signals."""
    commands.pop(draft.choose.integer(0, len(commands) - 1))
    return True


def _fault_twice(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A command comes twice: wrong pairs, signals too many."""
    position = draft.choose.integer(0, len(commands) - 1)
    commands.insert(draft.choose.integer(0, position), commands[position])
    return True


def _fault_stream(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """One bit of a tile is wrong."""
    fetches = [command for command in commands if command.opcode == isa.FETCH]
    if not fetches:
        return False
    address, size, source = pick(draft.choose, fetches).arg
    memory = draft.store if source else draft.dram
    bit = draft.choose.integer(0, pick(draft.choose, [7, 63, 8 * size - 1]))
    memory[address + bit // 8] ^= 1 << (bit % 8)
    return True


def _fault_index(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A GATHER's table is too short for one of its indices."""
    gathers = [command for command in commands if command.opcode == isa.GATHER and command.arg[4]]
    if not gathers:
        return False
    gather = pick(draft.choose, gathers)
    address, n = gather.arg[3:5]
    indices = draft.abuf[address : address + 4 * n].view(np.int32)
    gather.arg[5] = draft.choose.integer(0, int(indices.max()))
    return True


def _fault_operand(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """One operand of one command is anything."""
    command = pick(draft.choose, commands)
    position = draft.choose.integer(0, len(isa.OPCODE_ARGS[command.opcode]) - 1)
    values = [-1, 0, 1, 3, 9, 256, ABUF_BYTES, 1 << 15, command.arg[position] + 4]
    command.arg[position] = pick(draft.choose, values)
    return True


def _fault_table(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A TABLE command for what is no TABLE record."""
    tiles = [command for command in commands if command.opcode in (isa.TILE, isa.RAW)]
    if not tiles:
        return False
    tile = pick(draft.choose, tiles)
    tile.opcode, tile.arg = isa.TABLE, [draft.choose.integer(0, 4)]
    return True


def _fault_no_table(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """A table is not loaded: its tiles find none, or the one before it."""
    records = [command for command in commands if command.opcode == isa.TABLE]
    if not records:
        return False
    missing = pick(draft.choose, records)
    of_unit = [command for command in commands if command.unit == missing.unit]
    decodes = [c for c in of_unit if c.opcode in (isa.TILE, isa.RAW, isa.TABLE)]
    fetches = [c for c in of_unit if c.opcode == isa.FETCH]
    fetch = fetches[next(k for k, other in enumerate(decodes) if other is missing)]
    commands[:] = [c for c in commands if c is not missing and c is not fetch]
    return True


def _fault_table_word(draft: ProgramDraft, commands: list[Draft]) -> bool:
    """One byte of a TABLE record is anything: a bad table, or a bad CRC."""
    if not draft.tables:
        return False
    address, size, source = pick(draft.choose, draft.tables).fetch
    memory = draft.store if source else draft.dram
    memory[address + draft.choose.integer(0, size - 1)] = draft.choose.integer(0, 255)
    return True


_FAULTS = (
    _fault_no_signal,
    _fault_overflow,
    _fault_missing,
    _fault_twice,
    _fault_stream,
    _fault_index,
    _fault_operand,
    _fault_table,
    _fault_no_table,
    _fault_table_word,
)


def _add_fault(draft: ProgramDraft, commands: list[Draft]) -> None:
    """Add the first fault, from a random one on, that the program has a place for."""
    first = draft.choose.integer(0, len(_FAULTS) - 1)
    for fault in (*_FAULTS[first:], *_FAULTS[:first]):
        if commands and fault(draft, commands):
            return
