"""Attribution: the class of every engine in a cycle (section 9 of the timing model)."""

from __future__ import annotations

from azsim_kernels import isa
from azsim_kernels.clocked.decoder import WeightDecoder
from azsim_kernels.clocked.dma_w import DmaWChannel
from azsim_kernels.clocked.engine import Engine

# When semaphores of several kinds are missing, the first of these names the class.
_BY_PRIORITY = ((isa.DATA, isa.STARVED), (isa.SPACE, isa.BLOCKED), (isa.ORDER, isa.WAITING))


def stall_class(engine: Engine, missing_kinds: set[int], commands_not_started: int) -> int:
    """Return the class of the cycle that `engine` has just been through.

    `missing_kinds` are those of the semaphores its queue head lacked in phase 3.
    """
    if isinstance(engine, DmaWChannel) and engine.in_flight:
        return isa.BUSY
    if engine.running is not None:
        return _running_class(engine)
    for kind, class_ in _BY_PRIORITY:
        if kind in missing_kinds:
            return class_
    return isa.WAITING if commands_not_started else isa.IDLE


def _running_class(engine: Engine) -> int:
    if isinstance(engine, DmaWChannel):
        return isa.BLOCKED if engine.lacked_credits else isa.WAITING
    if isinstance(engine, WeightDecoder):
        return isa.BUSY if engine.worked or engine.last_beat_fired else isa.STARVED
    return isa.BUSY
