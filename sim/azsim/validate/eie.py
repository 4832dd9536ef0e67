"""EIE on the lanes of its chip file `eie64`: a caller's own arrays, and the published table.

Same law of lanes as az1. What EIE adds stands here: the entries with their padding
(`validate.entries`) and the bubbles of its non-zero detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import MacArray, load_chip
from azsim.engine.lanes_api import LaneTimes, lane_cycles_of
from azsim.errors import ConfigError, ModelError
from azsim.validate.draws import draw_mask, draw_positions
from azsim.validate.entries import lane_entries
from azsim.validate.published import EIE_LAYERS, EIE_MEAN_TOLERANCE, EIE_SOURCE, EieLayer
from azsim.validate.tables import Check, Context, Table

CHIP = "eie64"
SEEDS = (1, 2, 3, 4, 5)
DETECT_GROUP = 64  # activations that non-zero detection looks at together
MAX_PE = 1024
MAX_FIFO = 4097
MAX_COLUMNS = 1 << 24
ACTUAL_US = "actual us"
_BLOCK_WEIGHTS = 1 << 22  # of a matrix, worked on at the same time

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Block = tuple[Ints, Ints]


@dataclass(frozen=True)
class EieRun:
    """One matrix-vector product on EIE: time, and what it consisted of.

    `entries` (with `padding`) are those of the broadcast columns; `bubble_cycles` those of
    non-zero detection; `empty_column_slots` pairs of PE and broadcast column without an entry.
    """

    pe: int
    fifo: int
    clock_mhz: int
    rows: int
    columns: int
    cycles: int
    broadcasts: int
    entries: int
    padding: int
    bubble_cycles: int
    broadcast_stall_cycles: int
    empty_column_slots: int

    @property
    def theoretical_cycles(self) -> float:
        """Entries divided evenly over the PEs."""
        return self.entries / self.pe

    @property
    def ratio(self) -> float | None:
        """Actual to theoretical time; None without entries."""
        return self.cycles / self.theoretical_cycles if self.entries else None

    def counters(self) -> dict[str, Any]:
        """Return everything under the names that the command prints."""
        return {
            **vars(self),
            "theoretical_cycles": self.theoretical_cycles,
            "actual_over_theoretical": self.ratio,
            "time_us": self.cycles / self.clock_mhz,
        }


def eie_array(pe: int | None = None, fifo: int | None = None) -> MacArray:
    """Return the lanes of `eie64`, with another number of PEs or another queue if asked for.

    fifo  size B of each PE's circular queue, which holds B - 1 waiting activations

    Raises:
        ConfigError: a number outside 1..1024 (pe) or 2..4097 (fifo).
    """
    array = load_chip(CHIP).mac_array
    changes: dict[str, int] = {}
    if pe is not None:
        changes["lanes"] = _in_range("--pe", pe, 1, MAX_PE)
    if fifo is not None:
        changes["lane_queue"] = _in_range("--fifo", fifo, 2, MAX_FIFO) - 1
    return array.model_copy(update=changes)


def _in_range(option: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ConfigError(f"{option}: must be {least} to {most}, not {value}")
    return value


def run_eie(weights: npt.NDArray[Any], activations: npt.NDArray[Any], array: MacArray) -> EieRun:
    """Return what EIE does with a caller's own arrays.

    weights      (rows, columns); zeros are no entries
    activations  (columns,); those that are not 0 are broadcast. No bias column is added

    Raises:
        ModelError: shapes that do not fit each other, or more than 2^24 columns.
    """
    _check_shapes(weights, activations)
    active = np.flatnonzero(activations)
    return _run(_own_blocks(weights, active, array.lanes), active, weights.shape, array)


def _check_shapes(weights: npt.NDArray[Any], activations: npt.NDArray[Any]) -> None:
    if weights.ndim != 2 or 0 in weights.shape:
        raise ModelError(f"weights must be (rows, columns), not {_shape(weights)}")
    if activations.shape != weights.shape[1:]:
        raise ModelError(
            f"activations must be one for each of the {weights.shape[1]} columns, "
            f"not {_shape(activations)}"
        )
    if weights.shape[1] > MAX_COLUMNS:
        raise ModelError(f"weights must have at most {MAX_COLUMNS} columns, not {weights.shape[1]}")


def _shape(array: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a scalar"


def _own_blocks(weights: npt.NDArray[Any], active: Ints, lanes: int) -> Iterator[tuple[Ints, int]]:
    step = max(1, _BLOCK_WEIGHTS // max(weights.shape[0], lanes))
    for first in range(0, len(active), step):
        columns = weights[:, active[first : first + step]]
        yield lane_entries((columns != 0).T, lanes)


def _run(
    blocks: Iterator[tuple[Ints, int]], active: Ints, shape: tuple[int, ...], array: MacArray
) -> EieRun:
    """Pass the entries of the active columns, in blocks, through the lanes."""
    groups = active // DETECT_GROUP
    gaps = np.diff(groups, prepend=groups[:1])  # one bubble per group left behind
    padding = 0

    def items() -> Iterator[Block]:
        nonlocal padding
        first = 0
        for entries, padded in blocks:
            padding += padded
            yield entries, gaps[first : first + len(entries)]
            first += len(entries)

    times: LaneTimes = lane_cycles_of(items(), array)
    return EieRun(
        pe=array.lanes,
        fifo=array.lane_queue + 1,
        clock_mhz=load_chip(CHIP).core.clock_mhz,
        rows=shape[0],
        columns=shape[1],
        cycles=times.cycles,
        broadcasts=times.items,
        entries=times.products,
        padding=padding,
        bubble_cycles=int(gaps.sum()),
        broadcast_stall_cycles=times.broadcast_stall_cycles,
        empty_column_slots=times.idle_item_slots,
    )


def run_random_layer(layer: EieLayer, array: MacArray, seed: int) -> EieRun:
    """Return a run of `layer` with random masks of its printed densities.

    The share of activations is met exactly, that of weights on average. Only the broadcast columns
    are drawn: the others take no part.
    """
    generator = np.random.PCG64(seed)
    count = round(layer.inputs * layer.activation_percent / 100)
    active = draw_positions(generator, layer.inputs, count)
    if layer.bias_column:
        active = np.append(active, layer.inputs)
    columns = layer.inputs + layer.bias_column
    blocks = _random_blocks(generator, layer, count, array.lanes)
    return _run(blocks, active, (layer.outputs, columns), array)


def _random_blocks(
    generator: np.random.PCG64, layer: EieLayer, count: int, lanes: int
) -> Iterator[tuple[Ints, int]]:
    step = _BLOCK_WEIGHTS // layer.outputs
    for first in range(0, count, step):
        shape = (min(step, count - first), layer.outputs)
        yield lane_entries(draw_mask(generator, shape, layer.weight_percent), lanes)
    if layer.bias_column:
        yield lane_entries(np.ones((1, layer.outputs), np.bool_), lanes)


@cache
def eie_table() -> Table:
    """Return EIE's nine layers, simulated: median of five seeds, queue of 8."""
    return Table(
        name=CHIP,
        title="EIE, nine fully connected layers",
        quantity="actual / theoretical time",
        source=EIE_SOURCE,
        method=(
            "Random masks of the printed densities, the bias as one more column with activation 1 "
            f"(NT-LSTM counts it among its inputs), median of the seeds {SEEDS[0]} to {SEEDS[-1]}, "
            "queue of 8."
        ),
        checks=tuple(_check(layer) for layer in EIE_LAYERS),
        mean_tolerance=EIE_MEAN_TOLERANCE,
    )


@cache
def layer_runs(layer: EieLayer) -> tuple[EieRun, ...]:
    """Return a run of `layer` for each of `SEEDS`."""
    array = eie_array()
    return tuple(run_random_layer(layer, array, seed) for seed in SEEDS)


def _check(layer: EieLayer) -> Check:
    runs = layer_runs(layer)
    theoretical = median(run.theoretical_cycles / run.clock_mhz for run in runs)
    actual = median(run.cycles / run.clock_mhz for run in runs)
    return Check(
        name=layer.name,
        published=layer.actual_us / layer.theoretical_us,
        simulated=median(run.cycles / run.theoretical_cycles for run in runs),
        tolerance=layer.tolerance,
        context=(
            Context("theory us", layer.theoretical_us, theoretical),
            Context(ACTUAL_US, layer.actual_us, actual),
        ),
    )
