"""Gates of the sequencer and the semaphores: blocked in one cycle, allowed in the next."""

from __future__ import annotations

import pytest
from bench import Bench

from azsim_kernels import isa

pytestmark = pytest.mark.small


def test_a_command_starts_in_the_cycle_after_its_dispatch() -> None:
    bench = Bench()
    bench.copy()
    result = bench.run()
    # Dispatch 0, start 1, one beat of 1 cycle and 5 of latency.
    assert (result.dispatch[0], result.start[0], result.free[0]) == (0, 1, 7)
    assert (result.status, result.cycles, result.error_command) == (isa.DONE, 7, -1)


def test_an_empty_program_takes_no_cycle() -> None:
    result = Bench().run()
    assert (result.status, result.cycles) == (isa.DONE, 0)
    assert result.stalls.sum() == 0


@pytest.mark.parametrize(
    ("queue_depth", "dispatch"),
    [
        # Depth 1: in cycle 1 the queue still holds command 0 (it starts later in that cycle).
        # Command 1 leaves the queue at 7, when command 0 is free: command 2 enters at 8.
        (1, [0, 2, 8, 14]),
        # Depth 2: command 3 finds commands 1 and 2 until 1 starts at 7.
        (2, [0, 1, 2, 8]),
        (3, [0, 1, 2, 3]),
    ],
)
def test_a_full_queue_blocks_dispatch(queue_depth: int, dispatch: list[int]) -> None:
    bench = Bench(queue_depth=queue_depth)
    for _ in range(4):
        bench.copy()
    result = bench.run()
    assert result.dispatch.tolist() == dispatch
    assert result.start.tolist() == [1, 7, 13, 19]  # each as the one before is free
    assert result.free.tolist() == [7, 13, 19, 25]


def test_dispatch_keeps_the_order_of_the_program() -> None:
    bench = Bench(queue_depth=1)
    bench.copy()
    bench.copy()
    bench.copy()
    load = bench.add(isa.LOAD, [0, 64, 8])
    result = bench.run()
    # DMA-A's queue is empty all the time, but command 2 enters its queue at 8 only.
    assert (result.dispatch[load], result.start[load]) == (9, 10)


def test_a_signal_is_visible_in_the_cycle_its_command_is_free() -> None:
    bench = Bench()
    ready = bench.semaphore()
    copy = bench.copy(signals=[(ready, 1)])
    load = bench.add(isa.LOAD, [0, 64, 8], waits=[(ready, 1)])
    result = bench.run()
    assert result.free[copy] == result.start[load] == 7


def test_counts_are_taken_all_at_once() -> None:
    bench = Bench()
    three = bench.semaphore()
    bench.copy(signals=[(three, 2)])  # free at 7
    bench.copy(signals=[(three, 1)])  # free at 13
    load = bench.add(isa.LOAD, [0, 64, 8], waits=[(three, 3)])
    assert bench.run().start[load] == 13


def test_a_semaphore_listed_twice_counts_twice() -> None:
    bench = Bench()
    ready = bench.semaphore()
    bench.copy(signals=[(ready, 1)])  # 7
    bench.copy(signals=[(ready, 1)])  # 13
    load = bench.add(isa.LOAD, [0, 64, 8], waits=[(ready, 1), (ready, 1)])
    assert bench.run().start[load] == 13


def test_nothing_is_taken_while_one_semaphore_is_missing() -> None:
    bench = Bench(units=2)
    first, second = bench.semaphore(), bench.semaphore()
    # DMA-A comes before MAC and VECTOR but may not keep `first` while `second` is missing.
    load = bench.add(isa.LOAD, [0, 64, 8], waits=[(first, 1), (second, 1)])
    bench.copy(signals=[(first, 1)])  # dispatched 1, start 2, free 8
    copy = bench.copy(waits=[(first, 1)], signals=[(first, 1), (second, 1)])  # 8 to 14
    result = bench.run()
    assert (result.start[copy], result.start[load]) == (8, 14)


def test_the_lower_engine_takes_first() -> None:
    bench = Bench()
    ready = bench.semaphore()
    bench.copy(signals=[(ready, 1)])  # 7
    bench.copy(signals=[(ready, 1)])  # 13
    load = bench.add(isa.LOAD, [0, 64, 8], waits=[(ready, 1)])  # engine 1
    fetch = bench.add(isa.FETCH, [0, 8, 0], waits=[(ready, 1)])  # engine 0, later in the program
    result = bench.run()
    assert (result.start[fetch], result.start[load]) == (7, 13)


@pytest.mark.parametrize(("second", "status"), [(1, isa.DONE), (2, isa.DEADLOCK)])
def test_taking_leaves_the_rest(second: int, status: int) -> None:
    bench = Bench()
    three = bench.semaphore(initial=3)
    bench.copy(waits=[(three, 2)])
    bench.copy(waits=[(three, second)])
    assert bench.run().status == status


def test_initial_counts_are_there_at_the_start() -> None:
    bench = Bench()
    space = bench.semaphore(isa.SPACE, 1)
    bench.copy(waits=[(space, 1)])
    assert bench.run().start[0] == 1


@pytest.mark.parametrize(("count", "status"), [(3, isa.DONE), (4, isa.SEMAPHORE_OVERFLOW)])
def test_a_count_may_reach_the_maximum_but_not_pass_it(count: int, status: int) -> None:
    bench = Bench(semaphore_max=3)
    bench.semaphore()
    full = bench.semaphore()
    bench.copy()
    bench.copy(signals=[(full, count)])
    assert bench.run().status == status


def test_an_overflow_ends_the_run_even_if_a_command_could_take_the_count_at_once() -> None:
    bench = Bench(semaphore_max=3)
    other, full = bench.semaphore(), bench.semaphore(initial=3)
    bench.copy(signals=[(other, 1), (full, 1)])
    bench.add(isa.LOAD, [0, 64, 8], waits=[(full, 1), (other, 1)])
    result = bench.run()
    assert (result.status, result.cycles) == (isa.SEMAPHORE_OVERFLOW, 7)
    assert (result.error_command, result.error_code) == (0, full)
    assert result.start.tolist() == [1, -1]
    assert result.free.tolist() == [-1, -1]


def test_a_deadlock_ends_after_the_last_event() -> None:
    bench = Bench()
    never = bench.semaphore()
    bench.copy()
    bench.copy(waits=[(never, 1)])
    bench.copy()
    result = bench.run()
    # Last event: command 0 is free at 7.
    assert (result.status, result.cycles, result.error_command) == (isa.DEADLOCK, 8, 1)
    assert result.free.tolist() == [7, -1, -1]
    assert result.dispatch.tolist() == [0, 1, 2]


def test_a_deadlock_of_the_first_command_is_one_cycle_long() -> None:
    bench = Bench()
    bench.copy(waits=[(bench.semaphore(), 1)])
    result = bench.run()
    assert (result.status, result.cycles, result.dispatch[0]) == (isa.DEADLOCK, 1, 0)


def test_each_step_begins_anew() -> None:
    bench = Bench()
    once = bench.semaphore(isa.SPACE, 1)
    bench.copy(waits=[(once, 1)])
    machine = bench.machine()
    first, second = machine.run_step(), machine.run_step()
    assert first.status == second.status == isa.DONE
    assert first.cycles == second.cycles == 7


def test_a_run_longer_than_allowed_is_an_error() -> None:
    bench = Bench()
    bench.copy()
    message = r"^clocked model: the run must end within 6 cycles, it has not$"
    with pytest.raises(RuntimeError, match=message):
        bench.machine().run_step(max_cycles=6)
    assert bench.machine().run_step(max_cycles=7).cycles == 7
