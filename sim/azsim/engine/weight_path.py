"""Attribution of a step along the way of the weights, layer by layer.

DRAM bursts and decoders are the machine's own classes up to the end of each layer. The other units
follow from times: the FIFOs from the words, the tile slots from the commands, lanes and MACs from
the lanes' recursion. docs/reports.md ("Weight path") says what each class means.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.counters import LaneSpreads, WeightPath
from azsim.counters.weight_path import DECODER, DRAM_BURST, LANES, MACS, STREAM_FIFO, TILE_SLOT
from azsim.engine.cuts import before_cuts, layer_ends
from azsim.engine.lane_times import BUSY, LATE, MULTIPLIED, STARVED, LaneClock, ProductLanes
from azsim.engine.observed import Observation, ObservedMachine, UnitWords
from azsim.errors import SimulationError
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]
CLASSES = len(isa.STALL_CLASS_NAMES)


def observe_weight_path(
    machine: ObservedMachine, layers: Ints, rows: int, free: Ints
) -> WeightPath:
    """Run the first step again on `machine`, which must be as it was switched on; return the
    attribution, what-ifs left out.

    layers  (commands,) row of the layer table of each command, below `rows`
    free    (commands,) cycles in which the commands were free when the step ran before

    Raises:
        SimulationError: the step is not the same again.
    """
    ends = layer_ends(layers, free, rows)
    cuts = np.unique(ends[ends > 0])
    seen = machine.watch(cuts)
    if not np.array_equal(seen.result.free, free):
        raise SimulationError("the step must take the same times when it is run again")
    return _Path(machine, seen, layers, ends, cuts).weight_path()


class _Path:
    """One observed step on its way to a `WeightPath`; counts are (cuts, 5) until `_per_layer`."""

    def __init__(
        self, machine: ObservedMachine, seen: Observation, layers: Ints, ends: Ints, cuts: Ints
    ) -> None:
        self._machine, self._seen = machine, seen
        self._layers, self._ends, self._cuts = layers, ends, cuts
        self._params = machine.params

    def weight_path(self) -> WeightPath:
        """Put everything together."""
        p = self._params
        lanes, macs, spreads = self._array()
        units = {
            DRAM_BURST: self._seen.stalls[:, : p.units].sum(axis=1),
            STREAM_FIFO: sum((self._fifo(words) for words in self._seen.words), self._nothing()),
            DECODER: self._seen.stalls[:, p.units + 1 : 2 * p.units + 1].sum(axis=1),
            TILE_SLOT: self._slots(),
            LANES: lanes,
            MACS: macs,
        }
        counts = {
            DRAM_BURST: p.units, STREAM_FIFO: p.units, DECODER: p.units, TILE_SLOT: p.tile_slots,
            LANES: p.lanes, MACS: p.lanes * p.macs_per_lane,
        }  # fmt: skip
        classes = {name: self._per_layer(counted) for name, counted in units.items()}
        return WeightPath(np.diff(self._ends, prepend=0), counts, classes, spreads, {})

    def _nothing(self) -> Ints:
        return np.zeros((len(self._cuts), CLASSES), np.int64)

    def _per_layer(self, counted: Ints) -> Ints:
        """From counts before each cut to counts in each layer's span."""
        at_zero = np.vstack([np.zeros((1, CLASSES), np.int64), counted])
        upto = at_zero[np.searchsorted(self._cuts, self._ends, side="right")]
        inside: Ints = np.diff(upto, axis=0, prepend=0)
        return inside

    def _fifo(self, words: UnitWords) -> Ints:
        """Classes of one FIFO, seen from its exit."""
        counted = self._nothing()
        before = np.concatenate([[-1], words.accept])[:-1] + 1
        asked = np.clip(words.fetched, words.opened, words.accept)
        parts = {
            isa.BLOCKED: (before, words.opened),
            isa.WAITING: (words.opened, asked),
            isa.STARVED: (asked, words.accept),
            isa.BUSY: (words.accept, words.accept + 1),
        }
        for stall, (begin, end) in parts.items():
            counted[:, stall] = before_cuts(begin, end, self._cuts)
        counted[:, isa.IDLE] = self._cuts - counted.sum(axis=1)
        return counted

    def _slots(self) -> Ints:
        """Classes of all tile slots, from the commands that write and read them."""
        plan, result = self._machine.program_plan, self._seen.result
        opcode, slot = plan.commands["opcode"], plan.args[:, 0]
        uses = np.isin(opcode, (isa.TILE, isa.RAW, isa.PACK, isa.PRODUCT))
        counted = self._nothing()
        for number in range(self._params.tile_slots):
            mine = np.flatnonzero(uses & (slot == number))
            free_before = np.concatenate([[0], result.free[mine]])[:-1]
            start = np.maximum(result.start[mine], free_before)
            reads = opcode[mine] == isa.PRODUCT
            asked = np.clip(result.dispatch[mine], free_before, start)
            parts = {
                isa.BUSY: (start, result.free[mine]),
                isa.BLOCKED: (free_before, np.where(reads, start, free_before)),
                isa.WAITING: (free_before, np.where(reads, free_before, asked)),
                isa.STARVED: (np.where(reads, start, asked), start),
            }
            sums = {n: before_cuts(*part, self._cuts) for n, part in parts.items()}
            for stall, cycles in sums.items():
                counted[:, stall] += cycles
            counted[:, isa.IDLE] += self._cuts - sum(sums.values(), np.zeros_like(self._cuts))
        return counted

    def _array(self) -> tuple[Ints, Ints, LaneSpreads]:
        """Classes of lanes and of MACs, and how evenly the lanes ended."""
        engine = self._seen.stalls[:, -2].copy()  # the MAC array as one engine
        inside, spreads = self._inside_products()
        if not np.array_equal(inside[:, [BUSY, STARVED, LATE]].sum(axis=1),
                              engine[:, isa.BUSY] * self._params.lanes):  # fmt: skip
            raise SimulationError("the lanes must be busy, starved or late whenever a PRODUCT runs")
        lanes = engine * self._params.lanes
        lanes[:, isa.BUSY] = inside[:, BUSY]
        lanes[:, isa.STARVED] += inside[:, STARVED]
        lanes[:, isa.WAITING] += inside[:, LATE]
        macs = lanes * self._params.macs_per_lane
        macs[:, isa.WAITING] += macs[:, isa.BUSY] - inside[:, MULTIPLIED]
        macs[:, isa.BUSY] = inside[:, MULTIPLIED]
        return lanes, macs, spreads

    def _inside_products(self) -> tuple[Ints, LaneSpreads]:
        """Lane and multiplier cycles inside of PRODUCT commands before each cut, int64 (cuts, 4),
        and the lanes' ends of each."""
        machine, result = self._machine, self._seen.result
        clock, places = LaneClock(self._params), machine.product_tiles()
        gained = np.zeros((len(self._cuts), 4), np.int64)
        rows = []
        for product in places:
            lanes = clock.product(
                machine.program_plan.args[product],
                machine.weights_of(product, places),
                self._seen.activations.get(product),
            )
            start, free = int(result.start[product]), int(result.free[product])
            self._add(gained, lanes, start, free)
            last = lanes.last_ends
            spread = int(last.max() - last.min())
            column = lanes.column_cycles
            rows.append((self._layers[product], column * lanes.columns, column, spread))
        table = np.array(rows, np.int64).reshape(-1, 4).T
        return np.cumsum(gained, axis=0), LaneSpreads(*table)

    def _add(self, gained: Ints, lanes: ProductLanes, start: int, free: int) -> None:
        """Add a PRODUCT to the spans between cuts that it lies in."""
        first = int(np.searchsorted(self._cuts, start, side="right"))
        done = np.zeros(4, np.int64)
        for place in range(first, len(self._cuts)):
            end = min(free, int(self._cuts[place]))
            now = lanes.until(end - start)
            gained[place] += now - done
            done = now
            if end == free:
                return
