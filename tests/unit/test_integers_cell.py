"""The integer LSTM cell follows the float one over many steps."""

from __future__ import annotations

import numpy as np
import pytest

from azsim.graph.integer import IntegerGraph, IntegerKind, IntegerTensor, LstmCell
from azsim.graph.types import StatePair
from azsim.reference.integers import run_integers
from azsim_kernels.reference.arith import quantize_multiplier

pytestmark = pytest.mark.small

HIDDEN = 64
STEPS = 150
H_SCALE = 1 / 127


def sqnr_db(exact: np.ndarray, got: np.ndarray) -> float:
    """Signal to quantization noise ratio in decibels."""
    return float(10 * np.log10(np.sum(exact**2) / np.sum((exact - got) ** 2)))


def float_cell(gates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States c and h over the steps, in float64; gates (steps, 4 * HIDDEN) in order i, o, f, c."""
    c = np.zeros(HIDDEN)
    states, outputs = [], []
    for step in gates:
        i, o, f = (1 / (1 + np.exp(-part)) for part in np.split(step, 4)[:3])
        c = f * c + i * np.tanh(step[3 * HIDDEN :])
        states.append(c)
        outputs.append(o * np.tanh(c))
    return np.array(states), np.array(outputs)


def cell_graph(fraction_bits: int) -> IntegerGraph:
    h_scale = quantize_multiplier(2.0**-30 / H_SCALE)
    scale = 2.0**-fraction_bits
    shape = (1, HIDDEN)
    tensors = [
        IntegerTensor("gates", (1, 4 * HIDDEN), "int16", 2.0**-12, kind=IntegerKind.INPUT),
        IntegerTensor("c", shape, "int16", scale, kind=IntegerKind.STATE),
        IntegerTensor("c_next", shape, "int16", scale),
        IntegerTensor("h", shape, "int8", H_SCALE),
    ]
    node = LstmCell("cell", "gates", "c", "c_next", "h", fraction_bits, *h_scale)
    states = (StatePair("c", "c_next"),)
    by_name = {t.name: t for t in tensors}
    return IntegerGraph("cell", (node,), by_name, ("gates",), ("h",), states)


@pytest.mark.parametrize(
    ("fraction_bits", "c_floor_db", "h_floor_db"), [(12, 70, 40), (13, 75, 40), (9, 52, 40)]
)
def test_signal_to_noise_over_many_steps(fraction_bits, c_floor_db, h_floor_db):
    rng = np.random.default_rng(11)
    gates = np.clip(rng.normal(0, 1.5, (STEPS, 4 * HIDDEN)), -7.9, 7.9)
    frames = np.rint(gates * 4096).astype(np.int64)
    steps = list(run_integers(cell_graph(fraction_bits), [{"gates": g[None]} for g in frames]))
    c = np.concatenate([values["c_next"] for values in steps]) * 2.0**-fraction_bits
    h = np.concatenate([values["h"] for values in steps]) * H_SCALE
    exact_c, exact_h = float_cell(frames / 4096)
    assert np.abs(exact_c).max() < 4  # the int16 state with 13 fraction bits holds it
    assert sqnr_db(exact_c, c) > c_floor_db
    assert sqnr_db(exact_h, h) > h_floor_db
