"""One LPDDR channel, ticked with the memory clock: admission, refresh, and one command per clock
chosen by FR-FCFS (sections 4 to 6 of docs/memory.md).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from azsim_kernels.clocked.lpddr_gates import Gates
from azsim_kernels.lpddr_params import (
    ACT,
    ALL_BANK,
    CHANNEL_COUNTS,
    COMMAND_NAMES,
    NO_REFRESH,
    PER_BANK,
    PORT_NAMES,
    PRE,
    PREA,
    READ,
    REFA,
    REFP,
    WRITE,
    LpddrCommand,
    LpddrParams,
)


@dataclass
class Transfer:
    """A request as it is served: `left` of its bursts have not been sent yet."""

    number: int
    port: int
    ticket: int
    is_write: bool
    arrival: int
    left: int
    done: int = 0


@dataclass(frozen=True)
class Burst:
    """One burst of a request and the row it needs."""

    transfer: Transfer
    bank: int
    row: int

    @property
    def command(self) -> int:
        """RD or WR."""
        return WRITE if self.transfer.is_write else READ


class LpddrChannel:
    """The banks, the window and the refresh of one channel."""

    def __init__(self, params: LpddrParams, number: int, log: list[LpddrCommand]) -> None:
        self.params = params
        self.number = number
        self.log = log
        self.gates = Gates(params)
        self.waiting: list[deque[Burst]] = [deque() for _ in params.outstanding]
        self.window: list[Burst] = []
        self.open_row: list[int | None] = [None] * params.banks
        self.turn = 0  # the port that is asked first
        self.bypassed = 0  # column commands that passed the oldest burst
        self.owed = 0
        self.refreshing = False
        self.refresh_bank = 0
        self.counts = dict.fromkeys(CHANNEL_COUNTS, 0)
        # per bank: what the next burst to it finds, a row that is open for it already aside
        self.finds = ["row_misses"] * params.banks

    def tick(self, clock: int) -> None:
        """Go through one memory clock."""
        interval = self.params.refresh_interval_clocks
        if self.params.refresh != NO_REFRESH and clock > 0 and clock % interval == 0:
            self.owed += 1
        self._admit(clock)
        self._start_refresh()
        _ = self._refresh(clock) or self._column(clock) or self._row(clock)
        if any(row is not None for row in self.open_row):
            self.counts["open_clocks"] += 1

    def _admit(self, clock: int) -> None:
        """Let one burst into the window, the ports asked in turn."""
        ports = len(self.waiting)
        if len(self.window) >= self.params.window_bursts:
            return
        for step in range(ports):
            port = (self.turn + step) % ports
            queue = self.waiting[port]
            if queue and queue[0].transfer.arrival <= clock:
                self.window.append(queue.popleft())
                self.turn = (port + 1) % ports
                return

    def _start_refresh(self) -> None:
        if self.refreshing or self.owed == 0:
            return
        if self.params.refresh == ALL_BANK:
            convenient = not self.window
        else:
            convenient = all(burst.bank != self.refresh_bank for burst in self.window)
        self.refreshing = convenient or self.owed >= self.params.refresh_batch

    def _refresh(self, clock: int) -> bool:
        """Send the next command of a refresh; say whether this clock is taken (by a command, or
        because an all-bank refresh lets nothing else through).
        """
        if not self.refreshing:
            return False
        if self.params.refresh == ALL_BANK:
            any_open = any(row is not None for row in self.open_row)
            if self._try(PREA if any_open else REFA, 0, clock) and not any_open:
                self.owed -= 1
                self.refreshing = self.owed > 0
            return True
        bank = self.refresh_bank
        if self.open_row[bank] is not None:
            return self._try(PRE, bank, clock)
        if not self._try(REFP, bank, clock):
            return False
        self.owed -= 1
        self.refresh_bank = (bank + 1) % self.params.banks
        self.refreshing = False
        return True

    def _blocked(self, bank: int) -> bool:
        """A bank about to be refreshed takes nothing else."""
        return self.refreshing and self.params.refresh == PER_BANK and bank == self.refresh_bank

    def _is_hit(self, burst: Burst) -> bool:
        return self.open_row[burst.bank] == burst.row

    def _column(self, clock: int) -> bool:
        """Send RD or WR for the oldest burst that may go."""
        strict = self.bypassed >= self.params.bypass_limit
        for burst in self.window[:1] if strict else self.window:
            if self._blocked(burst.bank) or not self._is_hit(burst):
                continue
            if self._try(burst.command, burst.bank, clock, burst):
                self._serve(burst, clock)
                return True
        return False

    def _serve(self, burst: Burst, clock: int) -> None:
        if burst is self.window[0]:
            self.bypassed = 0
        else:
            self.bypassed += 1
        self.window = [other for other in self.window if other is not burst]
        transfer = burst.transfer
        p = self.params
        transfer.left -= 1
        self.counts[self.finds[burst.bank]] += 1
        self.finds[burst.bank] = "row_hits"
        direction = "writes" if transfer.is_write else "reads"
        self.counts[f"{PORT_NAMES[transfer.port]}_{direction}"] += 1
        ends = clock + (p.write_clocks if transfer.is_write else p.read_clocks)
        transfer.done = max(transfer.done, ends)

    def _row(self, clock: int) -> bool:
        """Send ACT or PRE for the oldest burst that needs one that may go."""
        strict = self.bypassed >= self.params.bypass_limit
        wanted = {(burst.bank, burst.row) for burst in self.window}
        for burst in self.window:
            if self._blocked(burst.bank) or self._is_hit(burst):
                continue
            open_row = self.open_row[burst.bank]
            if open_row is None:
                command = ACT
            elif (burst.bank, open_row) in wanted and not (strict and burst is self.window[0]):
                continue  # somebody still wants the open row
            else:
                command = PRE
            if self._try(command, burst.bank, clock, burst):
                return True
        return False

    def _try(self, command: int, bank: int, clock: int, burst: Burst | None = None) -> bool:
        """Send `command` if no constraint forbids it; say whether it was sent."""
        if not self.gates.allowed(command, bank, clock):
            return False
        self.gates.send(command, bank, clock)
        if command == ACT:
            assert burst is not None
            self.open_row[bank] = burst.row
        elif command == PRE:
            self.open_row[bank] = None
            self.finds[bank] = "row_misses" if burst is None else "row_conflicts"
        elif command == PREA:
            for other, row in enumerate(self.open_row):
                if row is not None:
                    self.finds[other] = "row_misses"
            self.open_row = [None] * self.params.banks
        self.counts[COMMAND_NAMES[command]] += 1
        all_banks = command in (PREA, REFA)
        self.log.append(
            LpddrCommand(
                clock,
                self.number,
                command,
                -1 if all_banks else bank,
                -1 if burst is None else burst.row,
                -1 if burst is None else burst.transfer.port,
            )
        )
        return True
