"""The machine: program and chip -> cycles, counters and integer outputs."""

from azsim.engine.machine import Machine
from azsim.engine.params import machine_params
from azsim.engine.simulate import SimulationResult, simulate

__all__ = ["Machine", "SimulationResult", "machine_params", "simulate"]
