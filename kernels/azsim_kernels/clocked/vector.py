"""The vector unit (section 8 of the timing model)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa
from azsim_kernels.clocked.command import BAD_OPERAND, Command, Fault
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.memory import Counters, Storage
from azsim_kernels.clocked.vector_beats import Beats, counts_fit, vector_beats, vector_elements
from azsim_kernels.reference.execute import execute_vector, pack_matrix


class VectorUnit(Engine):
    """Takes a beat every `interval` cycles, later if its accesses meet in a bank; then the
    pipeline drains.
    """

    def __init__(self, params: isa.MachineParams, storage: Storage, counters: Counters) -> None:
        super().__init__()
        self.params = params
        self.storage = storage
        self.counters = counters
        self.beats: Beats = iter(())
        self.cycles_left = 0  # until the beat (or, at the end, the pipeline) is through
        self.draining = False
        self.latency_cycles = 0
        self.interval_cycles = 0
        self.beats_done = 0
        self.conflict_cycles = 0

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Check counts and element types (the rest is checked with the effects) and start with
        the first beat.
        """
        self.running = command
        if not counts_fit(command.opcode, command.operands(), self.storage.abuf.size):
            return BAD_OPERAND
        if command.opcode == isa.PACK and not self._slot_fits(command.operands()):
            return BAD_OPERAND
        vector_class = isa.OPCODE_VECTOR_CLASS[command.opcode]
        self.latency_cycles = self.params.vector_latency_cycles[vector_class]
        self.interval_cycles = self.params.vector_interval_cycles[vector_class]
        self.beats = vector_beats(command.opcode, command.operands(), self.params.vector_lanes)
        self.beats_done = self.conflict_cycles = self.cycles_left = 0
        self.draining = False
        self._next()
        return None

    def _slot_fits(self, arg: dict[str, int]) -> bool:
        """Say whether the slot of a PACK exists and holds its matrix."""
        weights = arg["rows"] * arg["columns"]
        return 0 <= arg["slot"] < self.params.tile_slots and weights <= self.params.slot_weights

    def _next(self) -> None:
        """Take beats until one needs a cycle; after the last one the pipeline drains."""
        while self.cycles_left == 0 and not self.draining:
            addresses = next(self.beats, None)
            if addresses is None:
                self.draining = True
                self.cycles_left = self.latency_cycles
            else:
                conflicts = self._conflicts(addresses)
                self.cycles_left = self.interval_cycles + conflicts
                self.conflict_cycles += conflicts
                self.beats_done += 1

    def _conflicts(self, addresses: list[int]) -> int:
        """Return the cycles by which a beat with these accesses is longer: the busiest bank
        serves them in turn.
        """
        banks = Counter(
            a // self.params.abuf_bank_bytes % self.params.abuf_banks for a in addresses
        )
        busiest = max(banks.values())
        return -(-busiest // self.params.abuf_ports_per_bank) - 1

    def tick(self, cycle: int) -> bool:
        """Work for a cycle."""
        if self.running is not None and self.cycles_left > 0:
            self.cycles_left -= 1
            self._next()
        return False

    def is_free(self, cycle: int) -> bool:
        """Free when the pipeline is empty (asked after the start cycle, so after a cycle at
        least).
        """
        return self.draining and self.cycles_left == 0

    def finish(self) -> Fault | None:
        """Write the results."""
        assert self.running is not None
        arg = np.array(self.running.arg, np.int64)
        if self.running.opcode == isa.PACK:
            return self._pack(arg)
        status = execute_vector(
            self.running.opcode, arg, self.storage.abuf, self.storage.accumulators
        )
        return BAD_OPERAND if status != isa.DONE else None

    def _pack(self, arg: NDArray[np.int64]) -> Fault | None:
        """Write the slot of a PACK; all its weights count as not zero."""
        slot, weights = int(arg[0]), int(arg[2] * arg[3])
        status = pack_matrix(arg, self.storage.wbuf[slot], self.storage.abuf)
        if status != isa.DONE:
            return BAD_OPERAND
        self.storage.packed[slot, :weights] = True
        return None

    def count(self) -> None:
        """Count elements, beats and conflicts."""
        assert self.running is not None
        name = isa.VECTOR_CLASSES[isa.OPCODE_VECTOR_CLASS[self.running.opcode]]
        elements = vector_elements(self.running.opcode, self.running.operands())
        self.counters.add(f"vector_{name}_elements", elements)
        self.counters.add(f"vector_{name}_beats", self.beats_done)
        self.counters.add("vector_conflict_cycles", self.conflict_cycles)

    def under_way(self) -> bool:
        """A running command comes to its end by itself."""
        return self.running is not None
