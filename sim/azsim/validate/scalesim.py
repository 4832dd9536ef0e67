"""SCALE-Sim's own golden rows on a dense weight-stationary array of 32 x 32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from azsim.compiler import CompressionPlan, RangeRecorder, compile_graph
from azsim.config import ChipConfig, load_chip
from azsim.engine import simulate
from azsim.frontend import TopologyLayer, random_inputs, read_topology, topology_graph
from azsim.reference.floats import run_floats
from azsim.validate.published import SCALESIM_LAYERS, SCALESIM_SOURCE
from azsim.validate.tables import Check, Context, Table
from azsim_kernels import isa

CHIP = "scalesim_ws"


@dataclass(frozen=True)
class SystolicRun:
    """A layer of a topology: cycles in which the array works, and in how many PRODUCT commands
    (folds).
    """

    name: str
    array_cycles: int
    folds: int

    @property
    def printed_cycles(self) -> int:
        """Compute cycles as SCALE-Sim prints them: the number of the last one, from 0."""
        return self.array_cycles - 1


def run_topology(path: Path, overrides: Sequence[str] = ()) -> list[SystolicRun]:
    """Compile and time the layers of a topology file on the array, one run each.

    Raises:
        AzsimError: the file or a chip parameter cannot be taken, or a layer does not fit.
    """
    chip = load_chip(CHIP, overrides)
    return [_run_layer(layer, chip) for layer in read_topology(path)]


def _run_layer(layer: TopologyLayer, chip: ChipConfig) -> SystolicRun:
    graph = topology_graph(layer.name, [layer])
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, random_inputs(graph).frames):
        recorder.add(values)
    program = compile_graph(graph, chip, recorder.ranges(), CompressionPlan()).program
    step = {port.name: np.zeros(port.shape, port.element) for port in program.inputs}
    counters = simulate(program, chip, [step], timing_only=True).counters
    folds = int(np.count_nonzero(program.commands["opcode"] == isa.PRODUCT))
    return SystolicRun(layer.name, sum(each.mac_cycles for each in counters.layers), folds)


def _run_text(text: str) -> SystolicRun:
    with tempfile.TemporaryDirectory(prefix="azsim-topology-") as folder:
        path = Path(folder) / "topology.csv"
        path.write_text(text, encoding="utf-8")
        (run,) = run_topology(path)
    return run


@cache
def scalesim_table() -> Table:
    """Return the rows of SCALE-Sim, simulated."""
    checks = []
    for layer in SCALESIM_LAYERS:
        run = _run_text(layer.topology)
        per_fold = (layer.cycles + 1) / run.folds
        context = Context("cycles per fold", per_fold, run.array_cycles / run.folds)
        checks.append(Check(layer.name, layer.cycles, run.printed_cycles, 0.0, (context,)))
    return Table(
        name=CHIP,
        title="SCALE-Sim, weight-stationary array of 32 x 32",
        quantity="compute cycles of a layer (total less stalls), as its reports print them",
        source=SCALESIM_SOURCE,
        method=(
            "The topology files as `azsim run FILE.csv` takes them, once each: the cycles in which"
            " the array has a PRODUCT, less one."
        ),
        checks=tuple(checks),
    )
