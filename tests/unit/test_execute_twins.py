"""The numba kernels and the numpy reference of VECTOR and MAC commands are the same function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_cases import (
    MORE_COMMANDS,
    SIZE,
    counts,
    elements,
    multipliers,
    point,
    shifts,
    span,
)

from azsim_kernels import execute, isa
from azsim_kernels.reference import execute as reference

pytestmark = pytest.mark.small

ABSURD = (
    -(2**63),
    -(2**31),
    -129,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    17,
    63,
    SIZE,
    2**16,
    2**30,
    2**31,
    2**40,
    2**62,
    2**63 - 1,
)

BYTES = np.array([0, 1, 0x7F, 0x80, 0xFF], dtype=np.uint8)


def noise(seed: int, size: int) -> np.ndarray:
    """Bytes of which half are extremes, in runs of four so that wide integers are extreme too."""
    rng = np.random.default_rng(seed)
    wild = rng.integers(0, 256, size, dtype=np.uint8)
    tame = np.repeat(rng.choice(BYTES, size // 4 + 1), 4)[:size]
    return np.where(np.repeat(rng.random(size // 4 + 1) < 0.5, 4)[:size], wild, tame)


@st.composite
def requant(draw):
    n, a, b = draw(counts), draw(elements), draw(elements)
    return {
        "src": draw(span(n, a)), "elements": n, "src_type": a, "dst": draw(span(n, b)),
        "dst_type": b, "multiplier": draw(multipliers), "shift": draw(shifts),
        "src_zero_point": draw(point(a)), "dst_zero_point": draw(point(b)),
        "flags": draw(st.sampled_from([0, isa.FLAG_RELU])),
    }  # fmt: skip


def pair(largest_type: int, **factors):
    """Strategy of ADD and MUL operands."""

    @st.composite
    def build(draw):
        n, period = draw(counts), draw(counts)
        types = {name: draw(st.integers(0, largest_type)) for name in ("a", "b")}
        types["dst"] = draw(elements)
        args = {f"{name}_type": t for name, t in types.items()}
        args |= {f"{name}_zero_point": draw(point(t)) for name, t in types.items()}
        args |= {name: draw(strategy) for name, strategy in factors.items()}
        return args | {
            "a": draw(span(n, types["a"])), "b": draw(span(period, types["b"])),
            "dst": draw(span(n, types["dst"])), "elements": n, "shift": draw(shifts),
            "flags": draw(st.sampled_from([0, isa.FLAG_RELU])), "b_period": period,
        }  # fmt: skip

    return build()


signed_factors = st.sampled_from([0, -(2**30), 2**30 - 1]) | st.integers(-(2**30), 2**30 - 1)


@st.composite
def lut(draw):
    n, a, b = draw(counts), draw(elements), draw(elements)
    return {
        "src": draw(span(n, a)), "src_type": a, "elements": n, "dst": draw(span(n, b)),
        "dst_type": b, "table": draw(st.integers(0, 1)), "in_multiplier": draw(multipliers),
        "in_shift": draw(shifts), "out_multiplier": draw(multipliers), "out_shift": draw(shifts),
        "src_zero_point": draw(point(a)), "dst_zero_point": draw(point(b)),
    }  # fmt: skip


@st.composite
def lstm_cell(draw):
    n, couple = draw(counts), draw(st.integers(0, 2))
    c_in = draw(span(n, 1))
    return {
        "gates": draw(span((3 if couple else 4) * n, 1)), "c_in": c_in, "couple": couple,
        "c_out": c_in if draw(st.booleans()) else draw(span(n, 1)), "h_out": draw(span(n, 0)),
        "hidden": n, "c_fraction_bits": draw(st.integers(0, 15)),
        "h_multiplier": draw(st.just(2**30) | multipliers),
        "h_shift": draw(st.integers(50, 55) | shifts), "h_zero_point": draw(point(0)),
    }  # fmt: skip


@st.composite
def softmax(draw):
    rows, columns = draw(st.integers(1, 4)), draw(counts)
    return {
        "src": draw(span(rows * columns, 0)), "rows": rows, "columns": columns,
        "dst": draw(span(rows * columns, 0)), "in_multiplier": draw(multipliers),
        "in_shift": draw(shifts), "out_multiplier": draw(multipliers), "out_shift": draw(shifts),
        "dst_zero_point": draw(point(0)),
    }  # fmt: skip


@st.composite
def copy(draw):
    element = draw(elements)
    width = 1 << element
    args = {"element_bytes": width}
    shape = [draw(st.integers(1, 3)) for _ in range(4)]
    args |= {f"shape{d}": n for d, n in enumerate(shape)}
    for side in ("src", "dst"):
        strides = [draw(st.integers(-6, 8)) * width for _ in range(4)]
        args |= {f"{side}_stride{d}": stride for d, stride in enumerate(strides)}
        reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
        low = -sum(min(v, 0) for v in reach) // width
        high = (SIZE - width - sum(max(v, 0) for v in reach)) // width
        args[side] = draw(st.integers(low, high)) * width
    return args


@st.composite
def rescale(draw, lanes: int, depth: int):
    rows, columns = draw(st.integers(1, lanes * 3)), draw(st.integers(1, 3))
    groups = -(-rows // lanes)
    stride = draw(st.integers(0, (depth - groups) // columns))
    element = draw(elements)
    dst_stride = (rows + draw(st.integers(0, 5))) << element
    addend_stride = draw(st.integers(0, rows + 3)) * 4
    last = columns - 1
    return {
        "rows": rows, "acc_base": draw(st.integers(0, depth - groups - last * stride)),
        "columns": columns, "acc_stride": stride, "param_address": draw(span(3 * rows, 2)),
        "dst": draw(span((rows << element) + last * dst_stride, 0)) >> element << element,
        "dst_stride_bytes": dst_stride, "dst_type": element,
        "dst_zero_point": draw(point(element)), "flags": draw(st.integers(0, 7)),
        "addend": draw(span(rows + last * addend_stride // 4, 2)),
        "addend_stride_bytes": addend_stride,
    }  # fmt: skip


@st.composite
def product(draw, lanes: int, depth: int):
    rows, columns, count = draw(st.integers(1, lanes * 3)), draw(counts), draw(st.integers(1, 3))
    groups = -(-rows // lanes)
    stride = draw(st.integers(groups, max(groups, (depth - groups) // count)))
    activation_stride = draw(st.integers(0, columns + 5))
    last = count - 1
    return {
        "rows": rows, "columns": columns, "activation_columns": count,
        "activation_address": draw(span(columns + last * activation_stride, 0)),
        "activation_stride_bytes": activation_stride, "acc_stride": stride,
        "acc_base": draw(st.integers(0, depth - groups - last * stride)),
        "clear": draw(st.integers(0, 1)),
    }  # fmt: skip


LANES, DEPTH = 4, 16
COMMANDS = {
    isa.RESCALE: rescale(LANES, DEPTH),
    isa.COPY: copy(),
    isa.REQUANT: requant(),
    isa.ADD: pair(2, multiplier_a=signed_factors, multiplier_b=signed_factors),
    isa.MUL: pair(1, multiplier=multipliers),
    isa.LUT: lut(),
    isa.LSTM_CELL: lstm_cell(),
    isa.SOFTMAX: softmax(),
    isa.PRODUCT: product(LANES, DEPTH),
    **MORE_COMMANDS,
}


@st.composite
def command(draw, opcode: int) -> tuple[np.ndarray, int]:
    """Operands of a command and the seed of its memories."""
    args = draw(COMMANDS[opcode])
    arg = np.zeros(isa.N_ARGS, dtype=np.int64)
    for name, value in args.items():
        arg[isa.OPCODE_ARGS[opcode].index(name)] = value
    return arg, draw(st.integers(0, 2**16))


def memories(opcode: int, arg: np.ndarray, seed: int):
    """ABUF, accumulators and weights before the command."""
    abuf = noise(seed, SIZE)
    accumulators = noise(seed + 1, LANES * DEPTH * 4).view(np.int32).reshape(LANES, DEPTH)
    weights = noise(seed + 2, LANES * 3 * 20).view(np.int8)
    rows, params = int(arg[0]), int(arg[4])
    if opcode == isa.DEPTHWISE:
        rows, params = int(arg[2]), int(arg[12])
    tabled = opcode in (isa.RESCALE, isa.DEPTHWISE)
    if tabled and 0 < rows <= 64 and 0 <= params <= SIZE - 9 * rows:
        abuf[params + 3 : params + 4 * rows : 4] &= 0x7F  # multipliers that are not negative
        shift = np.random.default_rng(seed).choice([0, 1, 31, 40, 62], rows)
        abuf[params + 8 * rows : params + 9 * rows] = shift
    return abuf, accumulators, weights


def run(module, opcode: int, arg: np.ndarray, seed: int):
    """Status, ABUF and accumulators (PACK: weights) after the command."""
    abuf, accumulators, weights = memories(opcode, arg, seed)
    if opcode == isa.PACK:
        return module.pack_matrix(arg, weights, abuf), abuf, weights
    if opcode == isa.PRODUCT:
        status = module.mac_accumulate(arg, weights, abuf, accumulators)
    else:
        status = module.execute_vector(opcode, arg, abuf, accumulators)
    return status, abuf, accumulators


@pytest.mark.parametrize("opcode", COMMANDS, ids=lambda v: isa.OPCODE_NAMES[v])
def test_valid_commands_agree(opcode):
    @settings(deadline=None, max_examples=80)
    @given(command(opcode))
    def check(case):
        got = run(execute, opcode, *case)
        want = run(reference, opcode, *case)
        assert want[0] == isa.DONE
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[1], want[1])
        np.testing.assert_array_equal(got[2], want[2])

    check()


@pytest.mark.parametrize("opcode", COMMANDS, ids=lambda v: isa.OPCODE_NAMES[v])
def test_impossible_operands_are_refused_alike_and_write_nothing(opcode):
    refused = 0

    @settings(deadline=None, max_examples=150)
    @given(command(opcode), st.integers(0, 15), st.sampled_from(ABSURD))
    def check(case, position, value):
        nonlocal refused
        arg, seed = case
        arg[position] = value
        got = run(execute, opcode, arg, seed)
        want = run(reference, opcode, arg, seed)
        assert got[0] == want[0]
        assert got[0] in (isa.DONE, isa.BAD_OPERAND)
        if got[0] == isa.BAD_OPERAND:
            refused += 1
            before = memories(opcode, arg, seed)
            np.testing.assert_array_equal(got[1], before[0])
            np.testing.assert_array_equal(got[2], before[2 if opcode == isa.PACK else 1])
        np.testing.assert_array_equal(got[1], want[1])
        np.testing.assert_array_equal(got[2], want[2])

    check()
    assert refused > 10


@pytest.mark.parametrize("module", [execute, reference])
def test_an_opcode_of_another_engine_is_refused(module):
    abuf, accumulators = np.zeros(16, np.uint8), np.zeros((1, 1), np.int32)
    arg = np.zeros(isa.N_ARGS, np.int64)
    for opcode in (-1, isa.FETCH, isa.PRODUCT, isa.PACK, len(isa.OPCODE_NAMES)):
        assert module.execute_vector(opcode, arg, abuf, accumulators) == isa.BAD_OPERAND
