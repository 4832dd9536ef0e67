"""The cocotb bench: runs scenarios in lockstep on the decoder that the simulator holds.

Started inside the simulator by `azsim.rtl_check.simulate`; takes its orders from the file that the
environment variable AZSIM_RTL_JOB names and writes what it found beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyArrayObject, HierarchyObject
from cocotb.triggers import RisingEdge

from azsim.rtl_check.coverage import Coverage
from azsim.rtl_check.job import Job, Result, ScenarioResult
from azsim.rtl_check.lockstep import Inputs, Lockstep, Mismatch, Sample
from azsim.rtl_check.scenarios import Scenario
from azsim.rtl_check.sources import DEFAULT_TOP
from azsim_kernels.clocked.decoder_rtl import OutputBeat

CLOCK_NS = 10
WITHOUT_RESET = "u_ram"
"""The one instance whose content is undefined after a reset."""


class Ports:
    """The decoder's ports."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.outputs = (
            dut.out_kind_o,
            dut.out_data_o,
            dut.out_count_o,
            dut.out_last_o,
            dut.out_error_o,
        )

    def drive(self, inputs: Inputs) -> None:
        """Set all inputs; they change after the clock edge."""
        dut, word = self.dut, inputs.word
        dut.rst_ni.value = int(not inputs.reset)
        dut.in_valid_i.value = int(inputs.valid)
        dut.in_data_i.value = word.data
        dut.in_last_i.value = int(word.last)
        dut.in_half_i.value = int(word.half)
        dut.in_index_i.value = word.tile_index
        dut.in_groups_i.value = word.groups - 1
        dut.in_table_i.value = int(word.table)
        dut.out_ready_i.value = int(inputs.ready)

    def sample(self) -> Sample:
        """Read the outputs; ValueError if a bit is neither 0 nor 1."""
        valid = bool(int(self.dut.out_valid_o.value))
        in_ready = bool(int(self.dut.in_ready_o.value))
        if not valid:
            return Sample(in_ready, False, None)
        kind, data, count, last, error = (int(port.value) for port in self.outputs)
        return Sample(in_ready, True, OutputBeat(kind, data, count, bool(last), error))


def unknown_registers(block: Any, path: str = "") -> Iterator[str]:
    """Yield the names of registers and block outputs below `block` with a bit that is neither 0
    nor 1: after the first reset of a simulation, those that the reset leaves out."""
    for child in block:
        name = f"{path}{child._name}"
        if isinstance(child, HierarchyObject | HierarchyArrayObject):
            if child._name != WITHOUT_RESET:
                yield from unknown_registers(child, f"{name}.")
        elif name.endswith(("_q", "_o")) and not set(str(child.value)) <= {"0", "1"}:
            yield name


async def run_scenario(
    dut: Any, ports: Ports, job: Job, scenario: Scenario, coverage: Coverage
) -> tuple[int, Mismatch | None]:
    """Run one scenario; return (cycles compared, the first mismatch or None)."""
    lockstep = Lockstep(scenario, job.configuration, coverage)
    while not lockstep.done:
        inputs = lockstep.drive()
        ports.drive(inputs)
        await RisingEdge(dut.clk_i)  # the values read here are those of before the edge
        if lockstep.cycle == 0:
            sample = Sample(False, False, None)  # the reset has not come through yet
        else:
            try:
                sample = ports.sample()
            except ValueError:
                return lockstep.cycle, lockstep.complain("an output is neither 0 nor 1")
        mismatch = lockstep.check(sample)
        if mismatch is not None:
            return lockstep.cycle, mismatch
    return lockstep.cycle, None


async def check_reset(dut: Any, ports: Ports, job: Job, scenario: Scenario) -> Mismatch | None:
    """Reset a decoder that just got its power; return the registers that are still unknown."""
    lockstep = Lockstep(scenario, job.configuration, Coverage())
    ports.drive(lockstep.drive())
    await RisingEdge(dut.clk_i)
    await RisingEdge(dut.clk_i)
    unknown = list(unknown_registers(dut))
    if not unknown:
        return None
    return lockstep.complain(f"a reset must set every register, and does not {', '.join(unknown)}")


@cocotb.test()
async def lockstep(dut: Any) -> None:
    """Run scenarios until the job's cycles are done or one fails."""
    job = Job.load(Path(os.environ["AZSIM_RTL_JOB"]))
    ports = Ports(dut)
    coverage = Coverage()
    done: list[ScenarioResult] = []
    mismatch = None
    cycles = 0
    dut.clk_i.value = 0
    Clock(dut.clk_i, CLOCK_NS, unit="ns").start()
    for scenario in job.scenarios():
        if cycles == 0 and job.top == DEFAULT_TOP:
            mismatch = await check_reset(dut, ports, job, scenario)
        count = 0
        if mismatch is None:
            count, mismatch = await run_scenario(dut, ports, job, scenario, coverage)
        cycles += count
        done.append(ScenarioResult(scenario.label, scenario.name, count))
        if mismatch is not None or (cycles >= job.cycles and len(done) >= job.least):
            break
    Result(cycles, done, dict(coverage.counts), mismatch).save(job.result_path)
