"""Does the clocked model keep its own laws on generated programs?

Accounting (every engine-cycle has one class, counters add up), the order of events, determinism,
and the results of programs in which each command waits for the one before, against the commands
carried out one after the other in plain Python.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import Case, cases, random_case

from azsim_kernels import isa, tile_errors
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.reference.decode import decode_tile
from azsim_kernels.reference.execute import execute_vector, mac_accumulate, pack_matrix
from azsim_kernels.reference.table_record import load_table
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import PROFILE_ANS, PROFILE_BITMAP

pytestmark = pytest.mark.small

MAX_CYCLES = 200_000


def counters(result: isa.StepResult, case: Case) -> dict[str, int]:
    """Return the counters by name."""
    names = isa.counter_names(case.params.units)
    return dict(zip(names, result.counters.tolist(), strict=True))


@settings(max_examples=60)
@given(cases())
def test_accounts_add_up(case: Case) -> None:
    result = case.build(ClockedMachine).run_step(max_cycles=MAX_CYCLES)
    assert (result.stalls.sum(axis=1) == result.cycles).all()
    assert (result.stalls >= 0).all()
    started = result.start >= 0
    freed = result.free >= 0
    assert (result.start[started] > result.dispatch[started]).all()
    assert (result.free[freed] > result.start[freed]).all()
    assert (np.diff(result.dispatch[result.dispatch >= 0]) >= 1).all()
    if result.status == isa.DONE:
        assert freed.all()
        assert result.cycles == result.free.max(initial=0)
        assert result.error_command == -1
    else:
        assert result.free[result.error_command] == -1


@settings(max_examples=60)
@given(cases())
def test_engines_keep_the_order_of_the_program(case: Case) -> None:
    result = case.build(ClockedMachine).run_step(max_cycles=MAX_CYCLES)
    for engine, unit in {(int(c["engine"]), int(c["unit"])) for c in case.commands}:
        mine = (case.commands["engine"] == engine) & (case.commands["unit"] == unit)
        start, free = result.start[mine], result.free[mine]
        for k in range(1, len(start)):
            if start[k] >= 0:  # one at a time: the one before is free
                assert 0 <= free[k - 1] <= start[k]


@settings(max_examples=40)
@given(cases())
def test_counters_of_a_finished_run_follow_from_the_program(case: Case) -> None:
    result = case.build(ClockedMachine).run_step(max_cycles=MAX_CYCLES)
    if result.status != isa.DONE:
        return
    counts = counters(result, case)
    opcodes = case.commands["opcode"]
    tiles = sum(counts[f"decode{u}_tiles_decoded"] for u in range(case.params.units))
    assert tiles == np.isin(opcodes, (isa.TILE, isa.RAW)).sum()
    arg = case.commands["arg"][opcodes == isa.PRODUCT]
    products = counts["mac_products_done"] + counts["mac_products_skipped"]
    assert products == (arg[:, 1] * arg[:, 2] * arg[:, 4]).sum()
    fetches = case.commands["arg"][opcodes == isa.FETCH]
    assert counts["store_bytes"] == fetches[fetches[:, 2] == 1, 1].sum()


@settings(max_examples=20)
@given(cases())
def test_two_machines_give_the_same(case: Case) -> None:
    first, second = case.build(ClockedMachine), case.build(ClockedMachine)
    for _ in range(2):
        for one, other in zip(
            first.run_step(max_cycles=MAX_CYCLES),
            second.run_step(max_cycles=MAX_CYCLES),
            strict=True,
        ):
            assert np.array_equal(one, other)
    assert np.array_equal(first.storage.abuf, second.storage.abuf)


def in_a_row(case: Case) -> Case:
    """Return the case with each command waiting for the one before, and for nothing else."""
    commands = case.commands.copy()
    for name in ("wait", "wait_count", "signal", "signal_count", "n_wait", "n_signal"):
        commands[name] = 0
    commands["n_wait"][1:] = commands["n_signal"][:-1] = 1
    pairs = np.arange(len(commands) - 1)  # a semaphore for each
    commands["wait"][1:, 0] = commands["signal"][:-1, 0] = pairs
    commands["wait_count"][1:, 0] = commands["signal_count"][:-1, 0] = 1
    return case._replace(
        commands=commands,
        semaphore_kinds=np.full(len(pairs), isa.ORDER, np.uint8),
        semaphore_initial=np.zeros(len(pairs), np.int64),
        # A FIFO that holds every tile of the case: FETCH never waits for its DECODE.
        params=case.params._replace(fifo_words=1 << 16),
    )


class PlainMachine:
    """The commands' meaning without any time: each one done before the next begins."""

    def __init__(self, case: Case) -> None:
        p = case.params
        self.case = case
        self.dram, self.abuf = case.dram.copy(), case.abuf.copy()
        self.wbuf = np.zeros((p.tile_slots, p.slot_weights), np.int8)
        self.accumulators = np.zeros((p.lanes, p.accumulators_per_lane), np.int32)
        self.profile = PROFILE_ANS if p.decoder_profile == isa.DECODER_ANS else PROFILE_BITMAP
        self.tables = [empty_slots() for _ in range(p.units)]
        self.streams: list[list[np.ndarray]] = [[] for _ in range(p.units)]

    def run(self) -> bool:
        """Carry out the program; return whether every command was good."""
        return all(self.do(int(c["opcode"]), int(c["unit"]), c["arg"]) for c in self.case.commands)

    def do(self, opcode: int, unit: int, arg: np.ndarray) -> bool:
        """Carry out one command."""
        if opcode == isa.FETCH:
            memory = self.case.store if arg[2] else self.dram
            self.streams[unit].append(memory[arg[0] : arg[0] + arg[1]].copy())
        elif opcode == isa.LOAD:
            self.abuf[arg[1] : arg[1] + arg[2]] = self.dram[arg[0] : arg[0] + arg[2]]
        elif opcode == isa.STORE:
            self.dram[arg[0] : arg[0] + arg[2]] = self.abuf[arg[1] : arg[1] + arg[2]]
        elif opcode == isa.GATHER:
            self.gather(*arg[:5])
        elif opcode == isa.TABLE:
            words = self.streams[unit].pop(0).view(np.uint64)
            return load_table(words, self.profile, self.tables[unit]) == tile_errors.OK
        elif opcode in (isa.TILE, isa.RAW):
            return self.decode(opcode, unit, *arg[:3])
        elif opcode == isa.PRODUCT:
            weights = self.wbuf[arg[0]]
            return mac_accumulate(arg, weights, self.abuf, self.accumulators) == isa.DONE
        elif opcode == isa.PACK:
            return pack_matrix(arg, self.wbuf[arg[0]], self.abuf) == isa.DONE
        else:
            return execute_vector(opcode, arg, self.abuf, self.accumulators) == isa.DONE
        return True

    def gather(self, table: int, target: int, row_bytes: int, indices: int, n: int) -> None:
        """Copy table rows."""
        rows = self.abuf[indices : indices + 4 * n].view(np.int32).copy()
        picked = [self.dram[table + r * row_bytes :][:row_bytes] for r in rows]
        if picked:
            self.abuf[target : target + n * row_bytes] = np.concatenate(picked)

    def decode(self, opcode: int, unit: int, slot: int, groups: int, index: int) -> bool:
        """Fill a slot."""
        stream = self.streams[unit].pop(0)
        out = self.wbuf[slot, : 256 * groups]
        if opcode == isa.RAW:
            out[:] = stream.view(np.int8)
            return True
        words = stream.view(np.uint64)
        status = decode_tile(words, index, groups, self.profile, self.tables[unit], out)
        return status == tile_errors.OK


def test_results_are_those_of_the_commands_one_by_one() -> None:
    done = 0
    for seed in range(120):
        case = in_a_row(random_case(seed))
        machine = case.build(ClockedMachine)
        result = machine.run_step(max_cycles=MAX_CYCLES)
        if result.status != isa.DONE:  # a fault of the case, or a DECODE before its FETCH
            assert result.status != isa.SEMAPHORE_OVERFLOW
            continue
        plain = PlainMachine(case)
        assert plain.run()
        assert np.array_equal(machine.storage.abuf, plain.abuf)
        assert np.array_equal(machine.storage.dram, plain.dram)
        assert np.array_equal(machine.wbuf, plain.wbuf)
        assert np.array_equal(machine.accumulators, plain.accumulators)
        done += 1
    assert done >= 60, "most cases must run to the end"
