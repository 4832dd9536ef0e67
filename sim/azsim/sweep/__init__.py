"""Many runs, one table: plans of axes, local processes or a Dask cluster, search for the front.

    from pathlib import Path
    from azsim.sweep import Workers, run_sweep
    result = run_sweep(Path("plan.yaml"), Path("runs/sweep"), Workers(count=4))

A sweep may be killed at any moment: what is finished is kept in its folder, and the next call
computes the rest.
"""

from azsim.sweep.front import pareto_front
from azsim.sweep.plan import Plan, load_plan
from azsim.sweep.run import SweepResult, Workers, run_sweep
from azsim.sweep.search import run_search

__all__ = [
    "Plan",
    "SweepResult",
    "Workers",
    "load_plan",
    "pareto_front",
    "run_search",
    "run_sweep",
]
