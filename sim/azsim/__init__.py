"""azsim: a cycle-level simulator of an edge speech chip with compressed weights and zero skipping.

    import azsim
    record = azsim.run("model.onnx", input="speech.wav", chip="az1", bits=5, sparsity=0.5)
    print(record.counters.cycles)

Names are loaded when first used, so that `import azsim` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azsim.api import run
    from azsim.compiler import CompressionPlan, compile_graph
    from azsim.config import ChipConfig, load_chip
    from azsim.counters import Counters
    from azsim.energy import EnergyBreakdown, price
    from azsim.engine import simulate
    from azsim.errors import (
        AzsimError,
        CompileError,
        ConfigError,
        ModelError,
        SimulationError,
        StreamError,
    )
    from azsim.frontend import read_onnx
    from azsim.graph import Graph
    from azsim.program import Program
    from azsim.report.record import RunRecord

_HOMES = {
    "AzsimError": "azsim.errors",
    "ChipConfig": "azsim.config",
    "CompileError": "azsim.errors",
    "CompressionPlan": "azsim.compiler",
    "ConfigError": "azsim.errors",
    "Counters": "azsim.counters",
    "EnergyBreakdown": "azsim.energy",
    "Graph": "azsim.graph",
    "ModelError": "azsim.errors",
    "Program": "azsim.program",
    "RunRecord": "azsim.report.record",
    "SimulationError": "azsim.errors",
    "StreamError": "azsim.errors",
    "compile_graph": "azsim.compiler",
    "load_chip": "azsim.config",
    "price": "azsim.energy",
    "read_onnx": "azsim.frontend",
    "run": "azsim.api",
    "simulate": "azsim.engine",
}

__all__ = [
    "AzsimError",
    "ChipConfig",
    "CompileError",
    "CompressionPlan",
    "ConfigError",
    "Counters",
    "EnergyBreakdown",
    "Graph",
    "ModelError",
    "Program",
    "RunRecord",
    "SimulationError",
    "StreamError",
    "compile_graph",
    "load_chip",
    "price",
    "read_onnx",
    "run",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'azsim' has no attribute '{name}'")
