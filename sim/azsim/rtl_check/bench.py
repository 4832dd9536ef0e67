"""The cocotb bench: runs scenarios in lockstep on the decoder that the simulator holds.

Started inside the simulator by `azsim.rtl_check.simulate`; takes its orders from the file that the
environment variable AZSIM_RTL_JOB names and writes what it found beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from azsim.rtl_check.coverage import Coverage
from azsim.rtl_check.job import Job, Result, ScenarioResult
from azsim.rtl_check.lockstep import Inputs, Lockstep, Mismatch, Sample
from azsim.rtl_check.scenarios import Scenario
from azsim_kernels.clocked.decoder_rtl import OutputBeat

CLOCK_NS = 10


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
        count, mismatch = await run_scenario(dut, ports, job, scenario, coverage)
        cycles += count
        done.append(ScenarioResult(scenario.label, scenario.name, count))
        if mismatch is not None or (cycles >= job.cycles and len(done) >= job.least):
            break
    Result(cycles, done, dict(coverage.counts), mismatch).save(job.result_path)
