"""Gates of the simple memory and DMA-A, worked by hand."""

from __future__ import annotations

import pytest
from bench import FROM_DRAM, FROM_STORE, Bench, counter

from azsim_kernels import isa
from azsim_kernels.clocked.memory import Request, SimpleMemory, bus_bytes, cut_requests

pytestmark = pytest.mark.small


def test_requests_are_cut_at_multiples_of_the_burst() -> None:
    assert cut_requests(10, 30, 16) == [(10, 16), (16, 32), (32, 40)]
    assert cut_requests(16, 16, 16) == [(16, 32)]
    assert cut_requests(5, 0, 16) == []


@pytest.mark.parametrize(
    ("begin", "end", "moved"), [(8, 16, 8), (7, 9, 16), (15, 16, 8), (9, 25, 24)]
)
def test_a_request_moves_whole_accesses(begin: int, end: int, moved: int) -> None:
    assert bus_bytes(Request(begin, end), 8) == moved


def test_the_bus_keeps_parts_of_a_cycle() -> None:
    # 64 bytes per 5 cycles; 16 bytes take 80/64 cycles. Bus free at 80, 160, 240, 320 parts.
    memory = SimpleMemory(64, 5, 10)
    assert [memory.request(cycle, 16) for cycle in (0, 1, 2, 3)] == [12, 13, 14, 15]
    # A pause: the bus is free at 5; a request at 9 begins there.
    assert memory.request(9, 16) == 9 + 2 + 10


def load(bench: Bench, address: int, size: int) -> int:
    """Add a LOAD to ABUF 64; dispatched and started at once in these tests."""
    return bench.add(isa.LOAD, [address, 64, size])


@pytest.mark.parametrize(
    ("address", "size", "requests", "moved", "free"),
    [
        # Issued in cycle 1: on the bus from 1 to 3, visible at 13.
        (0, 16, 1, 16, 13),
        # The second burst is issued in cycle 2 and waits for the bus: 3 to 5, visible at 15.
        (0, 32, 2, 32, 15),
        # Two bytes that touch two accesses: 16 bytes on the bus.
        (7, 2, 1, 16, 13),
        # Two bytes around a burst border: 8 bytes at 1 to 2, 8 bytes at 2 to 3.
        (15, 2, 2, 16, 13),
    ],
)
def test_load(address: int, size: int, requests: int, moved: int, free: int) -> None:
    bench = Bench()
    number = load(bench, address, size)
    result = bench.run()
    assert (result.start[number], result.free[number]) == (1, free)
    assert counter(result, "dma_a_requests") == requests
    assert counter(result, "dma_a_read_bytes") == moved
    assert counter(result, "dma_a_write_bytes") == 0


def test_store_takes_the_time_of_load() -> None:
    bench = Bench()
    bench.abuf[100:132] = range(1, 33)
    number = bench.add(isa.STORE, [16, 100, 32])
    result = bench.run()
    assert result.free[number] == 15
    assert counter(result, "dma_a_write_bytes") == 32
    assert counter(result, "dma_a_read_bytes") == 0
    assert bench.dram[16:48].tolist() == list(range(1, 33))


@pytest.mark.parametrize(
    ("outstanding", "issued"),
    [
        # Visible at 13, then issued at 13 and visible at 25 and so on: one at a time.
        (1, [1, 13, 25]),
        # Bursts 0 and 1 are visible at 13 and 15; burst 2 is blocked at 12 and goes at 13.
        (2, [1, 2, 13]),
        (3, [1, 2, 3]),
    ],
)
def test_outstanding_requests_are_bounded(outstanding: int, issued: list[int]) -> None:
    bench = Bench(dma_a_outstanding=outstanding)
    load(bench, 0, 48)
    _, cycles = bench.trace()
    assert cycles["dma_a_requests"] == issued


def test_the_next_command_issues_in_its_start_cycle() -> None:
    bench = Bench()
    load(bench, 0, 16)
    second = load(bench, 0, 16)
    result, cycles = bench.trace()
    assert cycles["dma_a_requests"] == [1, 13]
    assert (result.start[second], result.free[second]) == (13, 25)


def test_a_command_without_bytes_is_free_in_the_next_cycle() -> None:
    bench = Bench()
    number = load(bench, 0, 0)
    result = bench.run()
    assert (result.start[number], result.free[number], result.cycles) == (1, 2, 2)


def test_gather_reads_row_by_row() -> None:
    bench = Bench()
    bench.abuf[:8].view("<i4")[:] = [3, 0]
    bench.dram[512:632] = range(120)
    # Rows of 24 bytes at 512: row 3 is [584, 608) -> [584,592) and [592,608); row 0 is [512, 536).
    number = bench.add(isa.GATHER, [512, 64, 24, 0, 2, 5])
    result, cycles = bench.trace()
    assert cycles["dma_a_requests"] == [1, 2, 3, 4]
    # Bus: 8 bytes 1-2, 16 bytes 2-4, 16 bytes 4-6, 8 bytes 6-7: visible at 17.
    assert result.free[number] == 17
    assert counter(result, "dma_a_read_bytes") == 48
    assert bench.abuf[64:112].tolist() == [*range(72, 96), *range(24)]


def test_dma_a_goes_before_dma_w_in_one_cycle() -> None:
    bench = Bench()
    go = bench.semaphore()
    bench.copy(signals=[(go, 2)])  # free at 7
    fetch = bench.add(isa.FETCH, [0, 16, FROM_DRAM], waits=[(go, 1)])
    number = bench.add(isa.LOAD, [0, 64, 16], waits=[(go, 1)])
    result, cycles = bench.trace()
    assert cycles["dma_w_requests"] == cycles["dma_a_requests"] == [7]
    # LOAD has the bus from 7 to 9. Had FETCH gone first, LOAD would be visible at 21.
    assert (result.free[fetch], result.free[number]) == (8, 19)


def test_the_weight_store_has_a_bus_of_its_own() -> None:
    bench = Bench()
    go = bench.semaphore()
    bench.copy(signals=[(go, 2)])
    bench.add(isa.FETCH, [8, 16, FROM_STORE], waits=[(go, 1)])
    number = bench.add(isa.LOAD, [0, 64, 16], waits=[(go, 1)])
    result = bench.run()
    assert result.free[number] == 19
    # The store moves exactly the bytes asked for: [8, 16) and [16, 24).
    assert counter(result, "store_requests") == 2
    assert counter(result, "store_bytes") == 16
    assert counter(result, "dma_w_requests") == counter(result, "dma_w_bytes") == 0


def test_the_bus_is_free_at_the_start_of_each_step() -> None:
    bench = Bench(memory_per_cycles=5)
    load(bench, 0, 64)
    machine = bench.machine()
    assert machine.run_step().cycles == machine.run_step().cycles
