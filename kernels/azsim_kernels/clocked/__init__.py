"""The machine as small ticked blocks in plain Python: the timing specification
(docs/timing_model.md).

Shares no timing code with the fast engine; may not import numba.
"""

from azsim_kernels.clocked.machine import ClockedMachine

__all__ = ["ClockedMachine"]
