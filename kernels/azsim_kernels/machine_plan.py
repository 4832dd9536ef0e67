"""What is known of VECTOR commands before a step: their beats, conflicts and durations."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import PRODUCT
from azsim_kernels.machine_types import VECTOR_CLASS, Plan, Records
from azsim_kernels.vector_cost import vector_cost


@kernel
def plan_vectors(params: Records, plan: Plan, abuf_bytes: int) -> None:
    """Fill in the VECTOR fields of all commands. `params` is one PARAMS record."""
    for command in range(plan.commands.size):
        planned = plan.commands[command]
        opcode = planned["opcode"]
        if opcode <= PRODUCT:
            continue
        beats, conflicts, elements = vector_cost(opcode, plan.args[command], params, abuf_bytes)
        kind = VECTOR_CLASS[opcode]
        latency = params["vector_latency_cycles"][kind]
        interval = params["vector_interval_cycles"][kind]
        planned["fits"] = 1 if elements > 0 else 0
        planned["duration"] = max(1, latency + beats * interval + conflicts)
        planned["beats"] = beats
        planned["conflicts"] = conflicts
        planned["elements"] = elements
