"""ESE's recurrent matrices on the lanes of its chip file `ese`."""

from __future__ import annotations

from functools import cache
from statistics import median

import numpy as np

from azsim.config import load_chip
from azsim.engine.lanes_api import LaneTimes, lane_cycles_of
from azsim.validate.draws import draw_positions
from azsim.validate.published import ESE_MATRICES, ESE_SOURCE, ESE_TOLERANCE, EseMatrix
from azsim.validate.tables import Check, Context, Table

CHIP = "ese"
SEEDS = (1, 2, 3, 4, 5)


def run_random_matrix(matrix: EseMatrix, seed: int) -> LaneTimes:
    """Return what one channel does with `matrix`.

    Entries are exactly balanced over the PEs, as published, and stand at random positions of a
    PE's rows and columns; padding is among the published entries, so none is added. Every column
    is broadcast. The 32 channels work on 32 voices with the same weights, so one is all.
    """
    array = load_chip(CHIP).mac_array
    lane_entries, left = divmod(matrix.entries, array.lanes)
    lane_rows = matrix.rows // array.lanes
    if left or lane_rows * array.lanes != matrix.rows:
        raise ValueError(f"{matrix.name} must divide evenly over {array.lanes} PEs")
    generator = np.random.PCG64(seed)
    work = np.zeros((matrix.columns, array.lanes), np.int64)
    for lane in range(array.lanes):
        places = draw_positions(generator, lane_rows * matrix.columns, lane_entries)
        work[:, lane] = np.bincount(places // lane_rows, minlength=matrix.columns)
    return lane_cycles_of([(work, np.zeros(matrix.columns, np.int64))], array)


@cache
def ese_table() -> Table:
    """Return the four recurrent matrices, simulated: median of five seeds."""
    return Table(
        name=CHIP,
        title="ESE, four recurrent matrices of the LSTM",
        quantity="real time in us",
        source=ESE_SOURCE,
        method=(
            "The published number of entries, exactly balanced over the PEs, at random positions; "
            f"median of the seeds {SEEDS[0]} to {SEEDS[-1]}. The depth of the queues is not "
            "published: 8 as in EIE."
        ),
        checks=tuple(_check(matrix) for matrix in ESE_MATRICES),
    )


def _check(matrix: EseMatrix) -> Check:
    chip = load_chip(CHIP)
    cycles = median(run_random_matrix(matrix, seed).cycles for seed in SEEDS)
    theoretical = matrix.entries / chip.mac_array.lanes / chip.core.clock_mhz
    return Check(
        name=matrix.name,
        published=matrix.actual_us,
        simulated=cycles / chip.core.clock_mhz,
        tolerance=ESE_TOLERANCE,
        context=(Context("theory us", matrix.theoretical_us, theoretical),),
    )
