"""All blocks of the machine wired together for one step, ticked cycle by cycle (section 1 of
the timing model).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from azsim_kernels import isa
from azsim_kernels.clocked.command import Command, Fault
from azsim_kernels.clocked.decoder import WeightDecoder
from azsim_kernels.clocked.dma_a import DmaA
from azsim_kernels.clocked.dma_w import DmaW, DmaWChannel
from azsim_kernels.clocked.dram import Dram
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.fifo import StreamFifo
from azsim_kernels.clocked.mac import MacArray
from azsim_kernels.clocked.memory import Counters, SimpleMemory, Storage
from azsim_kernels.clocked.semaphores import Semaphores
from azsim_kernels.clocked.sequencer import Sequencer
from azsim_kernels.clocked.stalls import stall_class
from azsim_kernels.clocked.vector import VectorUnit
from azsim_kernels.table_slots import TableSlots


class Step:
    """One run of a program: blocks in their reset state around the machine's lasting storage."""

    def __init__(
        self,
        params: isa.MachineParams,
        commands: Sequence[Command],
        semaphores: Semaphores,
        storage: Storage,
        table_slots: Sequence[TableSlots],
        memory: Dram,
    ) -> None:
        p = params
        self.commands = commands
        self.semaphores = semaphores
        self.counters = Counters(dict.fromkeys(isa.counter_names(p.units), 0))
        self.memory = memory
        store = SimpleMemory(p.store_bytes_per_cycle, 1, p.store_latency_cycles)
        self.fifos = [StreamFifo(p.fifo_words) for _ in range(p.units)]
        self.channels = [DmaWChannel(p, storage, fifo) for fifo in self.fifos]
        self.dma_w = DmaW(p, self.channels, memory, store, self.counters)
        self.dma_a = DmaA(p, storage, memory, self.counters)
        self.decoders = [
            WeightDecoder(unit, p, storage, table_slots[unit], fifo, self.counters)
            for unit, fifo in enumerate(self.fifos)
        ]
        self.mac = MacArray(p, storage, self.counters)
        self.vector = VectorUnit(p, storage, self.counters)
        self.engines: list[Engine] = [
            *self.channels,
            self.dma_a,
            *self.decoders,
            self.mac,
            self.vector,
        ]
        self.sequencer = Sequencer(commands, self.engines, semaphores, p.queue_depth)
        self.freed = [-1] * len(commands)
        self.stalls = np.zeros((len(self.engines), len(isa.STALL_CLASS_NAMES)), np.int64)
        self.event = False  # anything happened in this cycle (section 1)

    def run(self, max_cycles: int) -> isa.StepResult:
        """Tick until the run ends; RuntimeError if it has not ended after `max_cycles`."""
        cycle = 0
        while cycle <= max_cycles:
            ended = self.tick(cycle)
            if ended is not None:
                return ended
            cycle += 1
        raise RuntimeError(
            f"clocked model: the run must end within {max_cycles} cycles, it has not"
        )

    def tick(self, cycle: int) -> isa.StepResult | None:
        """Go through the four phases of `cycle`; return the result if the run ends in it."""
        self.event = False
        self.memory.tick(cycle)
        failed = self._effects(cycle)
        if failed is not None:
            return self._failed(cycle, failed)
        if -1 not in self.freed:
            return self._result(isa.DONE, cycle, -1, 0)
        self.event |= self.sequencer.dispatch(cycle)
        started, failed = self.sequencer.start(cycle)
        if failed is not None:
            return self._failed(cycle, failed)
        self.event |= started
        self.event |= self.dma_a.tick(cycle)
        self.event |= self.dma_w.tick(cycle)
        self.memory.host_tick(cycle)
        for engine in (*self.decoders, self.mac, self.vector):
            self.event |= engine.tick(cycle)
        if not self.event and not any(engine.under_way() for engine in self.engines):
            return self._result(isa.DEADLOCK, cycle, self.freed.index(-1), 0)
        self._attribute()
        return None

    def _effects(self, cycle: int) -> tuple[Command, Fault] | None:
        """Phase 1: bursts arrive; free commands take effect and give their signals. Return the
        first failure.
        """
        for fifo in self.fifos:
            fifo.give_back()
        for engine in self.engines:
            self.event |= engine.arrive(cycle)
        for engine in self.engines:
            command = engine.running
            if command is None or not engine.is_free(cycle):
                continue
            fault = engine.finish() or self._give(command)
            if fault is not None:
                return command, fault
            engine.count()
            engine.release()
            self.freed[command.number] = cycle
            self.event = True
        return None

    def _give(self, command: Command) -> Fault | None:
        semaphore = self.semaphores.give(command)
        return None if semaphore is None else Fault(isa.SEMAPHORE_OVERFLOW, semaphore)

    def _attribute(self) -> None:
        for number, engine in enumerate(self.engines):
            missing = self.sequencer.missing[number]
            class_ = stall_class(engine, missing, self.sequencer.not_started[number])
            self.stalls[number, class_] += 1

    def _failed(self, cycle: int, failed: tuple[Command, Fault]) -> isa.StepResult:
        command, fault = failed
        return self._result(fault.status, cycle, command.number, fault.code)

    def _result(self, status: int, cycles: int, command: int, code: int) -> isa.StepResult:
        if status == isa.DONE:
            self.counters.by_name.update(self.memory.end_step(cycles))
        return isa.StepResult(
            status=status,
            cycles=cycles,
            error_command=command,
            error_code=code,
            dispatch=np.array(self.sequencer.dispatched, np.int64),
            start=np.array(self.sequencer.started, np.int64),
            free=np.array(self.freed, np.int64),
            stalls=self.stalls,
            counters=np.array(list(self.counters.by_name.values()), np.int64),
        )
