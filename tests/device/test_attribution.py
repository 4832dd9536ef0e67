"""Every engine-cycle has exactly one class; the rules of section 9 one by one."""

from __future__ import annotations

import numpy as np
import pytest
from bench import FROM_DRAM, FROM_STORE, Bench, stalls, tile_bytes

from azsim_kernels import isa

pytestmark = pytest.mark.small


def test_an_engine_without_commands_is_idle() -> None:
    bench = Bench()
    bench.copy()
    result = bench.run()
    assert (result.stalls.sum(axis=1) == 7).all()
    assert stalls(result, "dma_a") == stalls(result, "mac") == {"idle": 7}
    # Cycle 0: the command was not dispatched before; it starts in cycle 1.
    assert stalls(result, "vector") == {"waiting": 1, "busy": 6}


def test_after_its_last_command_an_engine_is_idle() -> None:
    bench = Bench()
    bench.copy()
    bench.add(isa.LOAD, [0, 64, 0])  # dispatched 1, runs in 2
    result = bench.run()
    assert stalls(result, "dma_a") == {"waiting": 2, "busy": 1, "idle": 4}


@pytest.mark.parametrize(
    ("kinds", "class_"),
    [
        ([isa.DATA], "starved"),
        ([isa.SPACE], "blocked"),
        ([isa.ORDER], "waiting"),
        ([isa.ORDER, isa.SPACE], "blocked"),
        ([isa.ORDER, isa.DATA], "starved"),
        ([isa.SPACE, isa.DATA], "starved"),
        ([isa.ORDER, isa.SPACE, isa.DATA], "starved"),
    ],
)
def test_missing_semaphores_by_kind(kinds: list[int], class_: str) -> None:
    bench = Bench()
    semaphores = [(bench.semaphore(kind), 1) for kind in kinds]
    bench.copy(signals=semaphores)  # free at 7
    bench.add(isa.LOAD, [0, 64, 16], waits=semaphores)  # dispatched 1; 7 to 19
    expected = {"waiting": 2, "busy": 12}
    expected[class_] = expected.get(class_, 0) + 5  # 2 to 6
    assert stalls(bench.run(), "dma_a") == expected


def test_only_missing_semaphores_count() -> None:
    bench = Bench()
    data, order = bench.semaphore(isa.DATA), bench.semaphore(isa.ORDER)
    bench.copy(signals=[(data, 1)])  # 7
    bench.copy(signals=[(order, 1)])  # 13
    bench.add(isa.LOAD, [0, 64, 16], waits=[(data, 1), (order, 1)])  # dispatched 2; 13 to 25
    result = bench.run()
    # 0 to 2 not dispatched; 3 to 6 data is missing; 7 to 12 only order is.
    assert stalls(result, "dma_a") == {"waiting": 3 + 6, "starved": 4, "busy": 12}


def test_availability_is_judged_at_the_engines_turn() -> None:
    bench = Bench()
    data, order = bench.semaphore(isa.DATA, 1), bench.semaphore(isa.ORDER)
    # LOAD finds `data` in cycle 1 (only `order` is missing); later in that cycle nobody takes it.
    # COPY, dispatched in 1, takes `data` in cycle 2 after LOAD's turn: from 3 on LOAD is starved.
    bench.add(isa.LOAD, [0, 64, 16], waits=[(data, 1), (order, 1)])
    bench.copy(waits=[(data, 1)], signals=[(data, 1), (order, 1)])  # 2 to 8
    result = bench.run()
    # 0, and 1 and 2 for order; 3 to 7 starved; 8 to 20 busy.
    assert stalls(result, "dma_a") == {"waiting": 3, "starved": 5, "busy": 12}


def test_a_burst_in_flight_keeps_its_channel_busy() -> None:
    bench = Bench()
    bench.add(isa.FETCH, [0, 8, FROM_DRAM])  # runs in 1; visible at 1 + 1 + 10 = 12
    bench.copy()
    bench.copy()  # keeps the run going to 14
    result = bench.run()
    assert result.cycles == 14
    assert stalls(result, "dma_w0") == {"waiting": 1, "busy": 11, "idle": 2}


def test_in_flight_is_stronger_than_a_waiting_head() -> None:
    bench = Bench()
    go = bench.semaphore(isa.DATA)
    bench.add(isa.FETCH, [0, 8, FROM_DRAM])  # in flight in 1 to 11
    bench.add(isa.FETCH, [0, 8, FROM_DRAM], waits=[(go, 1)])  # dispatched 1; starts at 15
    bench.copy()  # dispatched 2: 3 to 9
    bench.copy(signals=[(go, 1)])  # 9 to 15
    result = bench.run()
    assert result.start[1] == 15
    # 12 to 14 starved; 15 busy; the run ends at 16.
    assert stalls(result, "dma_w0") == {"waiting": 1, "busy": 12, "starved": 3}


def test_decode_starves_between_words() -> None:
    # One word per burst of 8 bytes, one burst at a time: words 3 cycles apart (1 + latency 2).
    bench = Bench(dma_w_burst_bytes=8, dma_w_outstanding=1)
    data = tile_bytes(np.full(256, -1))  # 5 words, beats of 64, 16 x 16 bits
    bench.store[: data.size] = data
    bench.add(isa.FETCH, [0, data.size, FROM_STORE])
    bench.add(isa.TILE, [0, 1, 0])
    result, cycles = bench.trace()
    assert cycles["decode0_words_accepted"] == [4, 7, 10, 13, 16]
    # 256 bits before 14: the header beat. 192 bits are left, the next at 17, then one per cycle.
    assert cycles["decode0_beats_fired"] == [14, *range(17, 33)]
    # Runs from 2 to 36. Busy: 5 words, the beat in 14, 16 beats in 17 to 32, the pipeline's three.
    assert result.free[1] == 36
    busy = 5 + 1 + 16 + 3
    assert stalls(result, "decode0") == {"waiting": 2, "busy": busy, "starved": 34 - busy}


def test_words_do_not_make_a_decoder_busy_that_runs_no_command() -> None:
    bench = Bench()
    space = bench.semaphore(isa.SPACE)
    bench.store[:8] = tile_bytes(np.zeros(256))
    bench.add(isa.FETCH, [0, 8, FROM_STORE])  # the word is accepted at 4
    bench.add(isa.TILE, [0, 1, 0], waits=[(space, 1)])  # dispatched 1
    bench.copy(signals=[(space, 1)])  # dispatched 2: 3 to 9
    result, cycles = bench.trace()
    assert cycles["decode0_words_accepted"] == [4]
    assert (result.start[1], result.free[1]) == (9, 13)
    assert stalls(result, "decode0") == {"waiting": 2, "blocked": 7, "busy": 4}


def test_classes_of_a_deadlock_end_with_its_last_event() -> None:
    bench = Bench()
    bench.copy(waits=[(bench.semaphore(isa.SPACE), 1)])
    bench.add(isa.LOAD, [0, 64, 16])  # dispatched 1: 2 to 14
    result = bench.run()
    assert (result.status, result.cycles) == (isa.DEADLOCK, 15)
    assert stalls(result, "vector") == {"waiting": 1, "blocked": 14}
    assert stalls(result, "dma_a") == {"waiting": 2, "busy": 12, "idle": 1}
