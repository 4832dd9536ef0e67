"""Are the ports of the LPDDR memory fair, is their waiting bounded, is FR-FCFS what it says?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lpddr_bench import (
    PARTS,
    Ask,
    address_of,
    both,
    longest_wait_clocks,
    lpddr,
    run_clocked,
    run_fast,
)

from azsim_kernels.clocked.lpddr import ClockedLpddr
from azsim_kernels.lpddr import core_cycle, core_time_ps, new_lpddr, put_request
from azsim_kernels.lpddr_params import (
    BAD_REQUEST,
    PORT_A,
    PORT_FULL,
    PORT_HOST,
    PORT_W,
    READ,
    TAKEN,
    LpddrParams,
)


@pytest.mark.small
def test_a_port_takes_no_more_than_its_outstanding_requests() -> None:
    p = lpddr(outstanding=(2, 1, 1))
    lp = new_lpddr(p)
    memory = ClockedLpddr(p)
    asked = [(0, TAKEN), (0, TAKEN), (0, PORT_FULL), (1, TAKEN), (1, PORT_FULL), (2, TAKEN)]
    for number, (port, answer) in enumerate(asked):
        assert put_request(lp, port, number, 64 * number, 64, False, 0) == answer
        assert memory.request(port, number, 64 * number, 64, False, 0) == answer


@pytest.mark.small
@pytest.mark.parametrize(
    ("address", "size"), [(0, 0), (0, -1), (-32, 64), (1 << 30, 1), ((1 << 30) - 32, 33)]
)
def test_bytes_outside_the_memory_are_refused(address: int, size: int) -> None:
    p = lpddr()
    assert p.capacity_bytes == 1 << 30
    assert put_request(new_lpddr(p), 0, 0, address, size, False, 0) == BAD_REQUEST
    assert ClockedLpddr(p).request(0, 0, address, size, False, 0) == BAD_REQUEST


@pytest.mark.small
@pytest.mark.parametrize(
    ("address", "size", "bursts"), [(0, 1, 1), (31, 2, 2), (32, 32, 1), (33, 31, 1), (1, 64, 3)]
)
def test_requests_move_whole_bursts(address: int, size: int, bursts: int) -> None:
    assert len(both(lpddr(), [Ask(0, address, size)]).sent("RD")) == bursts


@pytest.mark.small
def test_a_hit_goes_before_an_older_miss() -> None:
    p = lpddr()
    later = 200 * p.clock_ps
    asks = [
        Ask(0, address_of(p, 0, 0), 32),
        Ask(1, address_of(p, 0, 0, 1), 32, time_ps=later),
        Ask(2, address_of(p, 0, 9), 32, time_ps=later),
        Ask(0, address_of(p, 0, 0, 2), 32, time_ps=later),
    ]
    # Ports 1, 2, 0 enter at 200, 201, 202. The miss could close the row at 212 (tRTP), but the hit
    # that entered after it goes at 208 and keeps the row until 220.
    run = both(p, asks)
    assert run.order == [0, 1, 3, 2]
    assert run.sent("RD", "PRE")[1:] == [
        (200, "RD", 0),
        (208, "RD", 0),
        (220, "PRE", 0),
        (278, "RD", 0),
    ]
    # With no bypasses allowed the miss closes the row that a hit still wants.
    run = both(p._replace(bypass_limit=0), asks)
    assert run.order == [0, 1, 2, 3]
    assert run.sent("PRE") == [(212, "PRE", 0), (309, "PRE", 0)]  # tRAS


@pytest.mark.small
def test_ports_that_all_want_get_the_same_share() -> None:
    p = lpddr(outstanding=(4, 4, 4), window_bursts=8)
    asks = [
        Ask(port, (port << 21) + 32 * number, 32, port == PORT_A)
        for number in range(60)
        for port in (PORT_W, PORT_A, PORT_HOST)
    ]
    run = both(p, asks)
    first = run.order[:90]
    shares = [sum(ticket % 3 == port for ticket in first) for port in range(3)]
    assert min(shares) >= 25


def host_hits(params: LpddrParams, count: int) -> list[Ask]:
    """Return requests of the host that keep one row busy: hits only."""
    return [
        Ask(PORT_HOST, address_of(params, 0, 0, number % params.columns), 32)
        for number in range(count)
    ]


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_a_stream_of_hits_starves_nobody(part: str) -> None:
    waits = []
    for limit in (4, 1024):
        p = lpddr(part, (8, 8, 8), bypass_limit=limit, window_bursts=8)
        asks = [*host_hits(p, 300), Ask(PORT_A, address_of(p, 0, 5), 32, time_ps=200 * p.clock_ps)]
        run = both(p, asks)
        waits.append((run.done[300] - run.issued[300]) // p.clock_ps)
        assert waits[-1] <= longest_wait_clocks(p)
    # Without a low limit the burst waits for the end of the host's hits; with it, for a few.
    assert waits[0] < waits[1] / 4


@pytest.mark.small
def test_the_bypass_limit_is_tight() -> None:
    p = lpddr(outstanding=(8, 8, 8), bypass_limit=3, window_bursts=8)
    asks = [*host_hits(p, 40), Ask(PORT_A, address_of(p, 0, 5), 32, time_ps=100 * p.clock_ps)]
    run = both(p, asks)
    served = run.order
    entered = next(k for k, ticket in enumerate(served) if run.done[ticket] > run.issued[40])
    # Bursts older than it in the window go first and are no bypasses, then three pass, then it.
    passed = served.index(40) - entered
    assert passed <= 8 + 3


@settings(max_examples=25)
@given(st.data())
def test_every_wait_is_bounded(data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(PARTS))
    p = lpddr(
        part,
        (4, 2, 8),
        window_bursts=data.draw(st.sampled_from([1, 4, 16])),
        bypass_limit=data.draw(st.sampled_from([0, 2, 16])),
        refresh=data.draw(st.sampled_from(["none", "all_bank", "per_bank"])),
        refresh_batch=data.draw(st.sampled_from([1, 4])),
    )
    burst = st.tuples(st.integers(0, p.banks - 1), st.integers(0, 3), st.integers(0, 15))
    flood = data.draw(st.lists(burst, min_size=4, max_size=12))
    asks = [Ask(PORT_HOST, address_of(p, *flood[k % len(flood)]), 32) for k in range(400)]
    for number, place in enumerate(data.draw(st.lists(burst, min_size=1, max_size=8))):
        is_write = data.draw(st.booleans())
        port = data.draw(st.sampled_from([PORT_W, PORT_A]))
        asks.append(Ask(port, address_of(p, *place), 32, is_write, 400 * number * p.clock_ps))
    run = run_fast(p, asks)
    assert sorted(run.order) == list(range(len(asks)))
    longest = max((run.done[k] - run.issued[k]) // p.clock_ps for k in range(400, len(asks)))
    # At most 4 requests of the port are ahead of one, each at the head in its turn.
    assert longest <= 4 * longest_wait_clocks(p)


@pytest.mark.small
def test_completions_at_the_same_time_come_by_port() -> None:
    p = lpddr(channels=2)
    asks = [Ask(2, 0, 32), Ask(1, 32, 32)]  # two channels, the same clock
    run = both(p, asks)
    assert run.done == {0: 42_500, 1: 42_500}
    assert run.order == [1, 0]


@pytest.mark.small
def test_a_request_over_all_channels_is_done_with_its_last_burst() -> None:
    p = lpddr(channels=4)
    run = both(p, [Ask(0, 64, 32 * 7)])
    # Bursts 2 to 8 of the memory: two each on channels 2, 3 and 0, one on channel 1.
    reads = [(c.channel, c.clock) for c in run.commands if c.command == READ]
    assert sorted(reads) == [(0, 29), (0, 37), (1, 29), (2, 29), (2, 37), (3, 29), (3, 37)]
    assert run.done == {0: (37 + 39) * 625}


@pytest.mark.small
@given(
    st.integers(0, 10**9), st.sampled_from([1, 3, 7, 300, 500, 800, 1000, 1333, 2133]), st.data()
)
def test_clock_crossing_is_exact(cycle: int, mhz: int, data: st.DataObject) -> None:
    time_ps = int(core_time_ps(cycle, mhz))
    # The first whole picosecond that is not before the edge.
    assert (time_ps - 1) * mhz < cycle * 10**6 <= time_ps * mhz
    event_ps = data.draw(st.integers(0, 10**12))
    visible = int(core_cycle(event_ps, mhz))
    assert (visible - 1) * 10**6 < event_ps * mhz <= visible * 10**6


@pytest.mark.small
def test_the_clocked_model_ends_or_says_so() -> None:
    p = lpddr()
    memory = ClockedLpddr(p)
    assert memory.request(0, 5, 0, 64, False, 0) == TAKEN
    with pytest.raises(RuntimeError, match=r"^clocked memory: must end within 20 clocks$"):
        memory.drain(20)
    done = memory.drain(200)
    assert [(c.clock, c.port, c.ticket) for c in done] == [(37 + 39, 0, 5)]
    assert run_clocked(p, [Ask(0, 0, 64)]).done == {0: (37 + 39) * 625}
