"""Gates of DMA-W: credits, turns, order of bursts. Words of 8 bytes, bursts of 16 (two words)."""

from __future__ import annotations

import numpy as np
import pytest
from bench import CHIP, FROM_DRAM, FROM_STORE, Bench, copy_operands, stalls

from azsim_kernels import isa
from azsim_kernels.clocked.command import Command
from azsim_kernels.clocked.dma_w import DmaWChannel
from azsim_kernels.clocked.dram import Flight
from azsim_kernels.clocked.fifo import StreamFifo
from azsim_kernels.clocked.memory import Storage

pytestmark = pytest.mark.small


def fetch(
    bench: Bench, size: int, *, address: int = 0, unit: int = 0, go: int | None = None
) -> int:
    """Add a FETCH from DRAM."""
    waits = [] if go is None else [(go, 1)]
    return bench.add(isa.FETCH, [address, size, FROM_DRAM], waits, unit=unit)


def test_a_fetch_is_free_in_the_cycle_after_its_last_request() -> None:
    bench = Bench()
    first, second = fetch(bench, 32), fetch(bench, 16)
    result, cycles = bench.trace()
    assert cycles["dma_w_requests"] == [1, 2, 3]
    assert (result.free[first], result.start[second], result.free[second]) == (3, 3, 4)
    assert result.cycles == 4  # the data is still under way


def test_credits_hold_a_request_back() -> None:
    # FIFO of 4 words; no DECODE command, so the window takes 8 words and no more.
    bench = Bench(fifo_words=4)
    number = fetch(bench, 128)
    result, cycles = bench.trace()
    # Bursts 0, 1: issued at 1, 2 (no credit is left), visible at 13, 15.
    # Words accepted at 13, 14 give credits back at 14, 15: burst 2 is blocked at 14, goes at 15.
    # Words at 15, 16 -> burst 3 at 17. Bursts 2, 3 are visible at 27, 29: words at 27 to 30,
    # bursts 4, 5 at 29, 31. The window is full (8 words), the FIFO too when they are visible.
    assert cycles["dma_w_requests"] == [1, 2, 15, 17, 29, 31]
    assert cycles["decode0_words_accepted"] == [13, 14, 15, 16, 27, 28, 29, 30]
    # Burst 5 is visible at 43: the last event.
    assert (result.status, result.cycles, result.error_command) == (isa.DEADLOCK, 44, number)
    # Cycle 0: not dispatched. A burst is in flight from 1 to 42. In 43 credits are missing.
    assert stalls(result, "dma_w0") == {"waiting": 1, "busy": 42, "blocked": 1}


def words_of_requests(fetches: list[tuple[int, int]], params: isa.MachineParams) -> list[int]:
    """Return the port words each request of FETCHes (address, bytes) of one channel completes."""
    fifo = StreamFifo(params.fifo_words)
    memory = np.zeros(4096, np.uint8)
    empty = np.zeros((0, 0), np.int8)
    storage = Storage(memory, memory, memory, empty, empty.astype(np.int32))
    channel = DmaWChannel(params, storage, fifo)
    words = []
    for address, size in fetches:
        arg = (address, size, FROM_DRAM) + (0,) * 13
        assert channel.begin(Command(0, 0, isa.FETCH, (), (), arg), 0) is None
        while channel.requests:
            words.append(channel.next_words())
            assert channel.may_issue()
            channel.issue(Flight(9))
    assert fifo.credits == params.fifo_words - sum(words)
    return words


@pytest.mark.parametrize(
    ("address", "size", "port_bits", "words"),
    [
        (0, 32, 64, [2, 2]),
        # [8, 16): half a word of 16 bytes; [16, 32): 24 bytes so far; [32, 40): the rest of word 1.
        (8, 32, 128, [0, 1, 1]),
        # [8, 16), [16, 32): the last burst rounds 24 bytes up to two words.
        (8, 24, 128, [0, 2]),
        (0, 8, 128, [1]),
        (8, 8, 64, [1]),
    ],
)
def test_words_that_a_burst_completes(
    address: int, size: int, port_bits: int, words: list[int]
) -> None:
    params = CHIP._replace(port_bits=port_bits)
    assert words_of_requests([(address, size)], params) == words


def test_each_tile_begins_a_word() -> None:
    # Half a word of 16 bytes for the first tile; the second begins a word of its own.
    params = CHIP._replace(port_bits=128)
    assert words_of_requests([(0, 8), (8, 24)], params) == [1, 0, 2]


def test_channels_take_turns() -> None:
    bench = Bench(units=2, dma_w_outstanding=8)
    go = bench.semaphore()
    bench.copy(signals=[(go, 2)])  # both start at 7
    first = fetch(bench, 48, unit=0, go=go)
    second = fetch(bench, 32, unit=1, go=go)
    result = bench.run()
    # Channel 0 at 7, 9, 11; channel 1 at 8, 10.
    assert (result.free[first], result.free[second]) == (12, 11)


def test_the_turn_goes_on_after_the_last_one_served() -> None:
    bench = Bench(units=2)
    go = bench.semaphore()
    fetch(bench, 16, unit=0)  # dispatched 0, served at 1: channel 1 is asked first from now on
    bench.copy(signals=[(go, 2)])  # dispatched 1, free at 8
    first = fetch(bench, 16, unit=0, go=go)
    second = fetch(bench, 16, unit=1, go=go)
    result = bench.run()
    assert (result.free[first], result.free[second]) == (10, 9)


def test_a_channel_without_credits_loses_its_turn_only() -> None:
    bench = Bench(units=2, fifo_words=2)
    go = bench.semaphore()
    bench.copy(signals=[(go, 2)])
    first = fetch(bench, 32, unit=0, go=go)
    second = fetch(bench, 16, unit=1, go=go)
    result, cycles = bench.trace()
    # Channel 0 at 7 (visible at 7 + 2 + 10 = 19), channel 1 at 8; words of channel 0 are accepted
    # at 19 and 20, its second request has two credits again at 21.
    assert cycles["dma_w_requests"] == [7, 8, 21]
    assert (result.free[first], result.free[second]) == (22, 9)


@pytest.mark.parametrize(("outstanding", "second"), [(1, 13), (2, 2)])
def test_outstanding_counts_all_channels(outstanding: int, second: int) -> None:
    bench = Bench(units=2, dma_w_outstanding=outstanding)
    fetch(bench, 16, unit=0)  # issued at 1, visible at 13
    fetch(bench, 16, unit=1)
    _, cycles = bench.trace()
    assert cycles["dma_w_requests"] == [1, second]


def test_waiting_for_the_port_is_waiting() -> None:
    bench = Bench(units=2, dma_w_outstanding=1)
    fetch(bench, 16, unit=0)
    fetch(bench, 16, unit=1)
    result = bench.run()
    # Channel 1: not dispatched in 0 and not before 2; runs from 2, its only request goes at 13.
    assert result.cycles == 14
    assert stalls(result, "dma_w1", 2) == {"waiting": 13, "busy": 1}


def test_bursts_of_a_channel_become_visible_in_order() -> None:
    bench = Bench()
    # An EMPTY tile is 8 bytes: one word. DRAM: issued at 1, visible at 12. Store: issued at 2 and
    # by itself visible at 2 + 1 + 2 = 5, in order at 12.
    fetch(bench, 8)
    bench.add(isa.FETCH, [0, 8, FROM_STORE])
    step = bench.machine().new_step()
    under_way = []
    for cycle in range(13):
        step.tick(cycle)
        under_way.append(len(step.channels[0].in_flight))
    assert under_way == [0, 1] + [2] * 10 + [0]


def test_a_fetch_moves_the_bytes_of_its_start() -> None:
    bench = Bench()
    bench.dram[:8] = 7
    fetch(bench, 8)
    bench.add(isa.COPY, copy_operands(80))  # keeps the run going until the word is there
    step = bench.machine().new_step()
    step.tick(0)
    step.tick(1)
    bench.dram[:8] = 9
    for cycle in range(2, 20):
        step.tick(cycle)
    tile = step.decoders[0].tile
    assert tile is not None
    assert tile.bytes.tolist() == [7] * 8
