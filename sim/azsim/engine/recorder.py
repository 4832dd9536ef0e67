"""Takes notes while a step runs: spans of the engines, words, commands of the memory, samples.

The kernel keeps a little of each; the recorder empties it whenever the kernel stops, which it does
at least every `SAMPLE_CYCLES`. Stopping changes nothing of the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.counters.recording import (
    COMMAND_BYTES,
    ROW_BYTES,
    SAMPLE_BYTES,
    SAMPLED,
    SPAN_BYTES,
    StepRecording,
    opened_rows,
)
from azsim.engine.decoder_spans import UnitTimes, decoder_spans
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.lpddr_types import (
    BEGIN,
    HOST_READ_BYTES,
    HOST_WRITE_BYTES,
    TRACE_AT,
    TRACE_ROOM,
    TRACED,
)
from azsim_kernels.machine_types import (
    ACCEPT,
    COUNT_A_READ,
    COUNT_A_WRITE,
    COUNT_STORE_REQUESTS,
    COUNT_W_REQUESTS,
    FAR,
    FIRE,
    RUN,
    WINDOW,
    Plan,
    Records,
)

Ints = npt.NDArray[np.int64]

SAMPLE_CYCLES = 512  # at most WINDOW / 4: fewer words than are remembered come in that time
MEMORY_ROOM = 1 << 15  # memory commands between two stops
_DECODES = (isa.TILE, isa.TABLE, isa.RAW)


class Recorder:
    """Notes of one step.

    params      of the chip
    plan        the program as the kernels see it
    tiles       the tile table, TILE records
    max_bytes   the recording is cut where it makes about so much of a trace
    """

    def __init__(
        self, params: isa.MachineParams, plan: Plan, tiles: Records, max_bytes: int
    ) -> None:
        self._params, self._plan, self._tiles = params, plan, tiles
        self._max_bytes = max_bytes
        self.begin(np.zeros(0, np.int64))

    def begin(self, lp: Ints) -> None:
        """Forget everything: a step begins with the memory `lp` (empty: the simple one)."""
        units = self._params.units
        self._bytes = len(self._plan.commands) * COMMAND_BYTES
        self._cut = -1
        self._seen = [0] * units
        self._words: list[list[Ints]] = [[np.zeros((3, 0), np.int64)] for _ in range(units)]
        self._spans: list[Ints] = [np.zeros((0, 4), np.int64)]
        self._memory: list[Ints] = [np.zeros((0, 6), np.int64)]
        self._samples: list[list[int]] = []
        self._memory_cycle = 0
        if lp.size:
            self._memory_cycle = int(lp[BEGIN])
            lp[TRACED] = 0
        self._host = self._host_bytes(lp)

    @property
    def next_stop(self) -> int:
        """First cycle in which the kernel shall stop again; `FAR` once the recording is cut."""
        if self._cut >= 0:
            return FAR
        return (self._samples[-1][0] // SAMPLE_CYCLES + 1) * SAMPLE_CYCLES if self._samples else 0

    def take(self, core: Any, lp: Ints, between: bool) -> None:
        """Take over what the kernel has kept; `core` is its record. `between`: it stands between
        two cycles, not within one.
        """
        if self._cut >= 0:
            return
        spans = core["spans"][: int(core["kept_spans"])].copy()
        core["kept_spans"] = 0
        self._spans.append(spans[spans[:, 1] < isa.IDLE])
        self._bytes += len(spans) * SPAN_BYTES
        self._take_words(core)
        if not self._take_memory(lp):  # more than there was room for: it is not known from when on
            self._end_at(self._samples[-1][0] if self._samples else 0, core)
        elif between:
            self._sample(core, lp)
            if self._bytes > self._max_bytes and core["now"] > 0:
                self._end_at(int(core["now"]), core)

    def _end_at(self, cycle: int, core: Any) -> None:
        """Cut the recording: end what is going on; DECODE commands follow from their words."""
        self._cut = max(cycle, 1)
        core["keeps_spans"] = 0
        engines = core["engines"][: isa.engine_count(self._params.units)]
        stall, since = engines["stall"], engines["since"]
        going = np.flatnonzero((stall < isa.IDLE) & (since < self._cut))
        end = np.full(len(going), self._cut, np.int64)
        self._spans.append(np.stack([going, stall[going], since[going], end], axis=1))

    def _take_words(self, core: Any) -> None:
        """Copy times of words that the ring does not hold for ever."""
        for unit, state in enumerate(core["units"][: self._params.units]):
            known = int(state["accepted"] - state["deferred"])
            place = np.arange(self._seen[unit], known) & (WINDOW - 1)
            ring = core["words"][unit]
            part = np.stack([ring[ACCEPT, place], ring[FIRE, place], ring[RUN, place] >> 1])
            self._words[unit].append(part)
            self._seen[unit] = known

    def _take_memory(self, lp: Ints) -> bool:
        """Copy the memory's commands; False if the trace had no room for all of them."""
        if lp.size == 0:
            return True
        count, room = int(lp[TRACED]), int(lp[TRACE_ROOM])
        lp[TRACED] = 0
        if count > room:
            return False
        first = int(lp[TRACE_AT])
        self._memory.append(lp[first : first + 6 * count].reshape(-1, 6).copy())
        self._bytes += opened_rows(self._memory[-1]) * ROW_BYTES
        return True

    def _sample(self, core: Any, lp: Ints) -> None:
        counters, host = core["counters"], self._host_bytes(lp)
        values = (
            core["w_in_flight"], core["dma_a"][0]["in_flight"], counters[COUNT_W_REQUESTS + 1],
            counters[COUNT_A_READ], counters[COUNT_A_WRITE], counters[COUNT_STORE_REQUESTS + 1],
            host[0] - self._host[0], host[1] - self._host[1],
            *core["channels"]["taken"][: self._params.units],
        )  # fmt: skip
        now = int(core["now"])
        if not self._samples or now > self._samples[-1][0]:
            self._samples.append([now, *map(int, values)])
            self._bytes += (len(values) + 1) * SAMPLE_BYTES

    def _host_bytes(self, lp: Ints) -> tuple[int, int]:
        return (int(lp[HOST_READ_BYTES]), int(lp[HOST_WRITE_BYTES])) if lp.size else (0, 0)

    # -- afterwards

    def recording(self, result: isa.StepResult, products: Ints) -> StepRecording:
        """Return what was recorded of the step that ended with `result`.

        Raises:
            SimulationError: the spans are not the cycles that were counted.
        """
        spans = self._all_spans(result)
        if self._cut < 0:
            self._check(spans, result)
        else:
            spans = spans[spans[:, 2] < self._cut]
            spans[:, 3] = np.minimum(spans[:, 3], self._cut)
        return StepRecording(
            result.dispatch,
            result.start,
            result.free,
            products.copy(),
            spans,
            self._with_fifos(),
            np.concatenate(self._memory),
            self._memory_cycle,
            self._cut,
        )

    def _all_spans(self, result: isa.StepResult) -> Ints:
        kept = np.concatenate(self._spans)
        parts = [kept]
        for unit in range(self._params.units):
            inside = self._decoder(unit, result)
            engine = np.full((len(inside), 1), self._params.units + 1 + unit, np.int64)
            parts.append(np.concatenate([engine, inside], axis=1))
        spans = np.concatenate(parts)
        return _joined(spans[np.lexsort((spans[:, 2], spans[:, 0]))])

    def _decoder(self, unit: int, result: isa.StepResult) -> Ints:
        commands = self._plan.commands
        fetches = np.flatnonzero(commands["engine"] == unit)
        mine = commands["engine"] == self._params.units + 1 + unit
        decodes = np.flatnonzero(mine & np.isin(commands["opcode"], _DECODES))
        known = self._times(unit)
        return decoder_spans(
            known,
            commands["words"][fetches[: len(decodes)]].astype(np.int64),
            result.start[decodes],
            result.free[decodes],
            self._holds(commands["tile"][decodes].tolist()),
        )

    def _holds(self, tiles: list[int]) -> Ints:
        """Cycles that each of the tiles of a unit, in order, waits for its table: none if its
        slot's content is in the registers."""
        loaded, holds = 0, []
        for number in tiles:
            tile, hold = self._tiles[number], 0
            slot = int(tile["table_slot"])
            if tile["opcode"] == isa.TABLE:
                loaded = 0 if loaded == slot else loaded
            elif slot > 0 and loaded != slot:
                loaded, hold = slot, int(tile["hold"])
            holds.append(hold)
        return np.array(holds, np.int64)

    def _times(self, unit: int) -> UnitTimes:
        return UnitTimes(*np.concatenate(self._words[unit], axis=1))

    def _check(self, spans: Ints, result: isa.StepResult) -> None:
        sums = np.zeros_like(result.stalls)
        np.add.at(sums, (spans[:, 0], spans[:, 1]), spans[:, 3] - spans[:, 2])
        counted = result.stalls.copy()
        sums[:, isa.IDLE] = counted[:, isa.IDLE] = 0
        if not np.array_equal(sums, counted):
            names = isa.engine_names(self._params.units)
            wrong = names[int(np.flatnonzero((sums != counted).any(axis=1))[0])]
            raise SimulationError(f"recorded spans of {wrong} must be the cycles counted")

    def _with_fifos(self) -> Ints:
        """Samples with the reserved words of each FIFO in place of all that were ever reserved: a
        credit is back in the cycle after its word was accepted."""
        samples = np.array(self._samples, np.int64).reshape(len(self._samples), -1)
        for unit in range(self._params.units):
            accept = self._times(unit).accept
            back = np.searchsorted(accept, samples[:, 0] - 1, side="right")
            samples[:, 1 + len(SAMPLED) + unit] -= back
        return samples


def _joined(spans: Ints) -> Ints:
    """Make one of neighbours that touch and are of one engine and class."""
    if not len(spans):
        return spans
    same = (spans[1:, :2] == spans[:-1, :2]).all(axis=1) & (spans[1:, 2] == spans[:-1, 3])
    new = np.append(True, ~same)
    last = np.append(np.flatnonzero(new)[1:], len(spans)) - 1
    joined: Ints = spans[new].copy()
    joined[:, 3] = spans[last, 3]
    return joined
