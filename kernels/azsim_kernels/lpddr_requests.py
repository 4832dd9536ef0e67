"""Requests of the fast LPDDR model: from the ports to the windows of the channels, and out again
when their last burst has moved (sections 2, 4 and 7 of docs/memory.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import BAD_REQUEST, PORT_FULL, READ, TAKEN, WRITE
from azsim_kernels.lpddr_types import (
    BANK_SHIFT,
    BURST_BYTES,
    C_BARE,
    C_CLOCK,
    C_COUNT,
    C_HEAD,
    C_IN_ORDER,
    C_LAST_COMMAND,
    C_LAST_LOCAL,
    C_LAST_PORT,
    C_PENDING,
    C_SEEN,
    C_TURN,
    CAPACITY_BYTES,
    CHANNEL_BITS,
    CHANNEL_SHIFT,
    CHANNEL_SIZE,
    CHANNELS,
    CHANNELS_AT,
    CLOCK_PS,
    DONE_AT,
    DONE_COUNT,
    DONE_HEAD,
    DONE_MASK,
    FAR,
    FREE_AT,
    FREE_COUNT,
    GROUP_BANKS,
    GROUP_SHIFT,
    GROUPS,
    L_AT,
    L_END,
    L_NEXT,
    L_SIZE,
    LINKS_IN,
    PORTS,
    PORTS_AT,
    QUEUE_IN,
    REQUESTS,
    RING_MASK,
    ROW_SHIFT,
    ROWS,
    S_ARRIVAL,
    S_COMMAND,
    S_DONE,
    S_LEFT,
    S_ORDER,
    S_PORT,
    S_SIZE,
    S_TICKET,
    SLOTS_AT,
    W_BANK,
    W_COMMAND,
    W_LOCAL,
    W_ROW,
    W_SIZE,
    W_SLOT,
    WINDOW_BURSTS,
    WINDOW_IN,
    XOR_MASK,
    Lpddr,
)


@kernel
def bank_of(lp: Lpddr, local: int) -> int:
    """Return the bank of burst number `local` of a channel, counted through all groups."""
    bank = (local >> lp[BANK_SHIFT]) & (lp[GROUP_BANKS] - 1)
    bank ^= (local >> lp[ROW_SHIFT]) & lp[XOR_MASK]
    return ((local >> lp[GROUP_SHIFT]) & (lp[GROUPS] - 1)) * lp[GROUP_BANKS] + bank  # type: ignore[no-any-return]


@kernel
def row_of(lp: Lpddr, local: int) -> int:
    """Return the row of burst number `local` of a channel."""
    return (local >> lp[ROW_SHIFT]) & (lp[ROWS] - 1)  # type: ignore[no-any-return]


@kernel
def _local_number(lp: Lpddr, ch: int, burst: int) -> int:
    """Return how many bursts below number `burst` of the memory lie on channel `ch`: the number on
    that channel of the first one from `burst` on.
    """
    shift = lp[CHANNEL_SHIFT]
    rounds = burst >> (shift + lp[CHANNEL_BITS])
    rest = burst - (rounds << (shift + lp[CHANNEL_BITS])) - (ch << shift)
    return (rounds << shift) + min(max(rest, 0), 1 << shift)  # type: ignore[no-any-return]


@kernel
def put_request(
    lp: Lpddr, port: int, ticket: int, address: int, size: int, is_write: bool, time_ps: int
) -> int:
    """Take the request of `port` for `size` bytes from `address`, issued at `time_ps`.

    Requests of one port are given in the order of their times, and none before the time up to
    which `advance` has gone. Returns TAKEN, PORT_FULL if the port has as many requests in flight as
    it may, or BAD_REQUEST for bytes outside the memory. `ticket` must not be negative.
    """
    if size <= 0 or address < 0 or size > lp[CAPACITY_BYTES] - address:
        return BAD_REQUEST
    allowed = lp[PORTS_AT] + 2 * port
    if lp[allowed + 1] >= lp[allowed]:
        return PORT_FULL
    lp[allowed + 1] += 1
    lp[FREE_COUNT] -= 1
    slot = lp[lp[FREE_AT] + lp[FREE_COUNT]]
    first = address // lp[BURST_BYTES]
    end = (address + size - 1) // lp[BURST_BYTES] + 1
    arrival = (time_ps + lp[CLOCK_PS] - 1) // lp[CLOCK_PS]
    request = lp[SLOTS_AT] + S_SIZE * slot
    lp[request + S_TICKET] = ticket
    lp[request + S_PORT] = port
    lp[request + S_ORDER] = (port << 48) + lp[REQUESTS]
    lp[request + S_COMMAND] = WRITE if is_write else READ
    lp[request + S_ARRIVAL] = arrival
    lp[request + S_LEFT] = end - first
    lp[request + S_DONE] = 0
    lp[REQUESTS] += 1
    for ch in range(lp[CHANNELS]):
        from_local = _local_number(lp, ch, first)
        to_local = _local_number(lp, ch, end)
        if from_local < to_local:
            at = lp[CHANNELS_AT] + ch * lp[CHANNEL_SIZE]
            _queue_part(lp, at, port, slot, from_local, to_local)
            lp[at + C_CLOCK] = min(lp[at + C_CLOCK], max(arrival, lp[at + C_SEEN]))
    return TAKEN


@kernel
def _queue_part(lp: Lpddr, at: int, port: int, slot: int, from_local: int, end: int) -> None:
    """Append the bursts [from_local, end) of a channel to its queue of `port`."""
    links = at + lp[LINKS_IN]
    link = links + L_SIZE * slot
    lp[link + L_AT] = from_local
    lp[link + L_END] = end
    lp[link + L_NEXT] = -1
    queue = at + lp[QUEUE_IN] + 2 * port
    if lp[queue] < 0:
        lp[queue] = slot
    else:
        lp[links + L_SIZE * lp[queue + 1] + L_NEXT] = slot
    lp[queue + 1] = slot
    lp[at + C_PENDING] += end - from_local


@kernel
def fill_entry(lp: Lpddr, entry: int) -> None:
    """Write bank, row and command of an entry of the window that has its slot and number."""
    local = lp[entry + W_LOCAL]
    lp[entry + W_BANK] = bank_of(lp, local)
    lp[entry + W_ROW] = row_of(lp, local)
    lp[entry + W_COMMAND] = lp[lp[SLOTS_AT] + S_SIZE * lp[entry + W_SLOT] + S_COMMAND]


@kernel
def fill_window(lp: Lpddr, at: int) -> None:
    """Write banks, rows and commands of all entries of the window if they may be missing."""
    if lp[at + C_BARE] == 1:
        for i in range(lp[at + C_COUNT]):
            place = (lp[at + C_HEAD] + i) & lp[RING_MASK]
            fill_entry(lp, at + lp[WINDOW_IN] + W_SIZE * place)
        lp[at + C_BARE] = 0


@kernel
def write_entry(lp: Lpddr, at: int, place: int, slot: int, local: int) -> None:
    """Write burst `local` of the request in `slot` into the window."""
    entry = at + lp[WINDOW_IN] + W_SIZE * (place & lp[RING_MASK])
    lp[entry + W_SLOT] = slot
    lp[entry + W_LOCAL] = local
    fill_entry(lp, entry)


@kernel
def leave_queue(lp: Lpddr, at: int, port: int, local: int) -> None:
    """Take the bursts below number `local`, all of one request, out of the queue of `port`."""
    queue = at + lp[QUEUE_IN] + 2 * port
    link = at + lp[LINKS_IN] + L_SIZE * lp[queue]
    lp[link + L_AT] = local
    if lp[link + L_AT] == lp[link + L_END]:
        lp[queue] = lp[link + L_NEXT]


@kernel
def admit_burst(lp: Lpddr, at: int, now: int) -> int:
    """Let one burst into the window of the channel, the ports asked in turn.

    Returns the first clock in which another one may follow, FAR if none waits or there is no room.
    """
    if lp[at + C_COUNT] >= lp[WINDOW_BURSTS]:
        return FAR
    following = FAR
    port = lp[at + C_TURN]
    for _ in range(lp[PORTS]):
        turn = port + 1 if port + 1 < lp[PORTS] else 0
        slot = lp[at + lp[QUEUE_IN] + 2 * port]
        if slot >= 0:
            request = lp[SLOTS_AT] + S_SIZE * slot
            if lp[request + S_ARRIVAL] <= now:
                local = lp[at + lp[LINKS_IN] + L_SIZE * slot + L_AT]
                write_entry(lp, at, lp[at + C_HEAD] + lp[at + C_COUNT], slot, local)
                leave_queue(lp, at, port, local + 1)
                lp[at + C_COUNT] += 1
                if (
                    local != lp[at + C_LAST_LOCAL] + 1
                    or port != lp[at + C_LAST_PORT]
                    or lp[request + S_COMMAND] != lp[at + C_LAST_COMMAND]
                ):
                    lp[at + C_IN_ORDER] = 0  # another stream begins
                lp[at + C_IN_ORDER] += 1
                lp[at + C_LAST_LOCAL] = local
                lp[at + C_LAST_PORT] = port
                lp[at + C_LAST_COMMAND] = lp[request + S_COMMAND]
                lp[at + C_TURN] = turn
                return now + 1 if lp[at + C_COUNT] < lp[WINDOW_BURSTS] else FAR
            following = min(following, lp[request + S_ARRIVAL])
        port = turn
    return following


@kernel
def drop_entry(lp: Lpddr, at: int, index: int) -> None:
    """Take the burst `index` places from the oldest out of the window."""
    window = at + lp[WINDOW_IN]
    head = lp[at + C_HEAD]
    for i in range(index, 0, -1):
        to = window + W_SIZE * ((head + i) & lp[RING_MASK])
        origin = window + W_SIZE * ((head + i - 1) & lp[RING_MASK])
        for k in range(W_SIZE):
            lp[to + k] = lp[origin + k]
    lp[at + C_HEAD] = (head + 1) & lp[RING_MASK]
    lp[at + C_COUNT] -= 1
    if index > 0:  # those behind the gap are still neighbours, with those before it no more
        lp[at + C_IN_ORDER] = min(lp[at + C_IN_ORDER], lp[at + C_COUNT] - index)


@kernel
def move_bursts(lp: Lpddr, slot: int, left: int, ends: int) -> None:
    """Note that all but `left` bursts of a request are sent and the last one ends at `ends`.

    Requests that are done stand in the order of their time, port and number.
    """
    request = lp[SLOTS_AT] + S_SIZE * slot
    lp[request + S_LEFT] = left
    done = max(lp[request + S_DONE], ends)
    lp[request + S_DONE] = done
    if left > 0:
        return
    place = lp[DONE_HEAD] + lp[DONE_COUNT]
    while place > lp[DONE_HEAD]:
        slot_before = lp[lp[DONE_AT] + ((place - 1) & lp[DONE_MASK])]
        before = lp[SLOTS_AT] + S_SIZE * slot_before
        if lp[before + S_DONE] < done or (
            lp[before + S_DONE] == done and lp[before + S_ORDER] < lp[request + S_ORDER]
        ):
            break
        lp[lp[DONE_AT] + (place & lp[DONE_MASK])] = slot_before
        place -= 1
    lp[lp[DONE_AT] + (place & lp[DONE_MASK])] = slot
    lp[DONE_COUNT] += 1


@kernel
def first_done(lp: Lpddr) -> int:
    """Return the clock of the earliest completion known, FAR if there is none."""
    if lp[DONE_COUNT] == 0:
        return FAR
    slot = lp[lp[DONE_AT] + (lp[DONE_HEAD] & lp[DONE_MASK])]
    return lp[lp[SLOTS_AT] + S_SIZE * slot + S_DONE]  # type: ignore[no-any-return]


@kernel
def pop_completion(lp: Lpddr, now_ps: int) -> int:
    """Remove the first completion of `now_ps` or before and return its ticket, -1 if none."""
    clock = first_done(lp)
    if clock == FAR or clock * lp[CLOCK_PS] > now_ps:
        return -1
    slot = lp[lp[DONE_AT] + (lp[DONE_HEAD] & lp[DONE_MASK])]
    lp[DONE_HEAD] += 1
    lp[DONE_COUNT] -= 1
    lp[lp[FREE_AT] + lp[FREE_COUNT]] = slot
    lp[FREE_COUNT] += 1
    request = lp[SLOTS_AT] + S_SIZE * slot
    lp[lp[PORTS_AT] + 2 * lp[request + S_PORT] + 1] -= 1
    return lp[request + S_TICKET]  # type: ignore[no-any-return]
