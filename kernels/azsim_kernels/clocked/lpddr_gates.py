"""When a command may be sent: the history of commands against the constraint rows, read as
they stand (section 3 of docs/memory.md).
"""

from __future__ import annotations

from azsim_kernels.lpddr_params import (
    BANK,
    GROUP,
    PREA,
    REFA,
    Constraint,
    LpddrParams,
)


def concerned(params: LpddrParams, scope: int, command: int, bank: int) -> list[int]:
    """Return the banks, groups or the channel (0) that `command` to `bank` concerns."""
    if scope == BANK:
        return list(range(params.banks)) if command in (PREA, REFA) else [bank]
    if scope == GROUP:
        if command in (PREA, REFA):
            return list(range(params.groups))
        return [bank // params.banks_per_group]
    return [0]


class Gates:
    """The commands sent on one channel, as the constraint rows see them."""

    def __init__(self, params: LpddrParams) -> None:
        self.params = params
        # (row of the table, bank or group or channel) -> clocks of its `first` commands
        self.sent: dict[tuple[int, int], list[int]] = {}

    def allowed(self, command: int, bank: int, clock: int) -> bool:
        """Say whether no row forbids `command` to `bank` at `clock`."""
        return not any(
            self._forbids(number, row, command, bank, clock)
            for number, row in enumerate(self.params.constraints)
            if command in row.then
        )

    def _forbids(self, number: int, row: Constraint, command: int, bank: int, clock: int) -> bool:
        for place in concerned(self.params, row.scope, command, bank):
            sent = self.sent.get((number, place), [])
            if len(sent) >= row.depth and clock < sent[-row.depth] + row.clocks:
                return True
        return False

    def send(self, command: int, bank: int, clock: int) -> None:
        """Note that `command` was sent to `bank` at `clock`."""
        for number, row in enumerate(self.params.constraints):
            if command in row.first:
                for place in concerned(self.params, row.scope, command, bank):
                    sent = self.sent.setdefault((number, place), [])
                    sent.append(clock)
                    del sent[: -row.depth]
