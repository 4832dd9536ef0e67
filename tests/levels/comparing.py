"""Field-by-field comparison of the clocked model and the fast engine on one case."""

from __future__ import annotations

from typing import Any

import numpy as np
from strategies import Case

from azsim.engine.fast_machine import FastMachine
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine


def difference(case: Case, steps: int = 2, **more: Any) -> tuple[str, int]:
    """Run both machines; return what differs first ("" if nothing) and the last status.

    Compared after each step: every field of the result, and the bytes of DRAM, ABUF, slots and
    accumulators. A step after one that failed goes on from the memories as they are.
    """
    clocked, fast = case.build(ClockedMachine), case.build(FastMachine, **more)
    status = isa.DONE
    for step in range(steps):
        want, got = clocked.run_step(max_cycles=200_000), fast.run_step(max_cycles=200_000)
        status = want.status
        for name, a, b in zip(want._fields, want, got, strict=True):
            if not np.array_equal(a, b):
                return f"step {step}: {name}: {_where(a, b)}", status
        found = _memories(clocked, fast, timing_only=bool(more.get("timing_only")))
        if found:
            return f"step {step}: {found}", status
    return "", status


def _memories(clocked: ClockedMachine, fast: FastMachine, timing_only: bool) -> str:
    if timing_only:
        return ""
    pairs = {
        "dram": (clocked.storage.dram, fast.dram),
        "abuf": (clocked.storage.abuf, fast.abuf),
        "wbuf": (clocked.wbuf, fast.wbuf),
        "accumulators": (clocked.accumulators, fast.accumulators),
    }
    for name, (a, b) in pairs.items():
        if not np.array_equal(a, b):
            return f"{name}: {_where(a, b)}"
    return ""


def _where(want: Any, got: Any) -> str:
    a, b = np.asarray(want), np.asarray(got)
    if a.ndim == 0 or a.shape != b.shape:
        return f"clocked {want}, fast {got}"
    place = tuple(int(axis[0]) for axis in np.nonzero(a != b))
    return f"at {place}: clocked {a[place]}, fast {b[place]} ({int((a != b).sum())} differ)"
