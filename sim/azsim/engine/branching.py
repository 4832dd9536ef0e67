"""Nets that choose a branch in every step: three programs in one machine, one after the other.

The arbitrator's program runs to its end; its decision lies in DRAM. The sequencer reads it back,
compares, and starts the program of the chosen branch. States lie in DRAM between the programs, as
outputs of one and inputs of the next (docs/decisions/0009-branches.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.counters import CommandTrace, Counters, LayerCounters
from azsim.engine.machine import Machine
from azsim.engine.simulate import Tally
from azsim.program import Program
from azsim_kernels import isa

Array = npt.NDArray[np.integer[Any]]
Steps = Sequence[Mapping[str, Array]]

COMPARE_CYCLES = 4  # of the sequencer: subtract, test, start the other command list; assumed
DECISION = "decision"
_WAITING = isa.STALL_CLASS_NAMES[-1]
_LONGEST = isa.FIXED_COUNTERS[isa.FIXED_COUNTERS.index("host_longest_wait_cycles")]


def decision_cycles(chip: ChipConfig) -> int:
    """Cycles between the arbitrator's last and the branch's first command: the latency of one read
    of DRAM (`memory.simple.latency_cycles`, with every memory model) and the comparison."""
    return chip.memory.simple.latency_cycles + COMPARE_CYCLES


@dataclass(frozen=True)
class BranchPart:
    """A program and the share of the chip it was compiled for."""

    program: Program
    chip: ChipConfig


@dataclass(frozen=True)
class BranchResult:
    """What ran: per step the branch, and the cycles of arbitrator and branch; int64 (steps,).

    `counters`: of each part, over the steps in which it ran. `outputs`: of the model, by name,
    (steps, *shape).
    """

    chosen: tuple[str, ...]
    arbitrator_cycles: npt.NDArray[np.int64]
    branch_cycles: npt.NDArray[np.int64]
    decision_cycles: int
    counters: Mapping[str, Counters]
    outputs: Mapping[str, Array]

    @property
    def step_cycles(self) -> npt.NDArray[np.int64]:
        """Length of each step."""
        return self.arbitrator_cycles + self.decision_cycles + self.branch_cycles


def simulate_branches(
    arbitrator: BranchPart,
    branches: Mapping[str, BranchPart],
    chip: ChipConfig,
    states: Mapping[str, str],
    choose: Callable[[Mapping[str, Array]], str],
    steps: Steps,
    outputs: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> BranchResult:
    """Run the arbitrator, then the branch it chooses, once per entry of `steps`.

    states   input -> output name; an output that a part does not make leaves its state as it is
    choose   the branch, from the arbitrator's outputs (integers by name)
    steps    the model's inputs as integers
    outputs  names of the model's outputs that are kept

    Raises:
        SimulationError: a deadlock, an overflow or a damaged tile, naming the command.
    """
    parts = {"arbitrator": arbitrator, **branches}
    machines = {name: Machine(part.program, part.chip) for name, part in parts.items()}
    tallies = {name: Tally(part.program, part.chip) for name, part in parts.items()}
    held = _first_states(parts, states)
    chosen: list[str] = []
    cycles: dict[str, list[int]] = {"arbitrator": [], "branch": []}
    kept: dict[str, list[Array]] = {name: [] for name in outputs}
    for number, inputs in enumerate(steps):
        made: dict[str, Array] = {}
        for place in cycles:
            name = "arbitrator" if place == "arbitrator" else choose(made)
            given = {
                port.name: held[port.name] if port.name in held else inputs[port.name]
                for port in parts[name].program.inputs
            }
            result, counted = machines[name].step(given)
            tallies[name].add(counted, machines[name].command_products)
            cycles[place].append(counted.cycles)
            made |= result
        chosen.append(name)
        held |= {source: made[result] for source, result in states.items() if result in made}
        for output, arrays in kept.items():
            arrays.append(made[output])
        if progress is not None:
            progress(number + 1)
    return BranchResult(
        tuple(chosen),
        np.array(cycles["arbitrator"], np.int64),
        np.array(cycles["branch"], np.int64),
        decision_cycles(chip),
        {name: tallies[name].counters(machines[name].command_beats) for name in parts},
        {name: np.stack(arrays) for name, arrays in kept.items() if arrays},
    )


def _first_states(parts: Mapping[str, BranchPart], states: Mapping[str, str]) -> dict[str, Array]:
    """Zero points, in the format of the ports that read them."""
    held: dict[str, Array] = {}
    for part in parts.values():
        for port in part.program.inputs:
            if port.name in states:
                held[port.name] = np.full(port.shape, port.zero_point, port.element)
    return held


def joined_counters(result: BranchResult) -> Counters:
    """The counters of all parts as those of one run; the decision is a row of its own."""
    parts = result.counters.values()
    steps = len(result.chosen)
    waited = result.decision_cycles * steps
    first = next(iter(parts))
    stalls = {
        engine: {
            name: sum(part.stalls[engine][name] for part in parts)
            + (waited if name == _WAITING else 0)
            for name in classes
        }
        for engine, classes in first.stalls.items()
    }
    counts = {name: sum(part.counts[name] for part in parts) for name in first.counts}
    counts[_LONGEST] = max(part.counts[_LONGEST] for part in parts)
    layers = [
        replace(row, name=f"{name}/{row.name}")
        for name, part in result.counters.items()
        for row in part.layers
    ]
    layers.append(LayerCounters(DECISION, waited, 0, 0, 0, 0, 0, 0, 0))
    empty = np.zeros(0, np.int64)
    trace = CommandTrace(empty, empty, empty)
    return Counters(steps, result.step_cycles, stalls, counts, tuple(layers), trace)
