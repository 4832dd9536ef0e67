"""The last operand that is taken and the first that is refused, for both implementations."""

from __future__ import annotations

import numpy as np
import pytest

from azsim_kernels import execute, isa
from azsim_kernels.reference import execute as reference

pytestmark = pytest.mark.small

SIZE = 256
LANES, DEPTH = 4, 8

COPY = {
    "element_bytes": 1, "shape0": 1, "shape1": 1, "shape2": 2, "shape3": 3, "src": 0, "dst": 100,
    "src_stride2": 3, "src_stride3": 1, "dst_stride2": 3, "dst_stride3": 1,
}  # fmt: skip
REQUANT = {"src": 0, "elements": 8, "src_type": 1, "dst": 64, "dst_type": 1, "multiplier": 5}
ADD = {"a": 0, "a_type": 1, "b": 16, "b_type": 1, "dst": 64, "dst_type": 1, "elements": 8,
       "b_period": 4}  # fmt: skip
LUT = {"src": 0, "src_type": 1, "elements": 8, "dst": 64, "dst_type": 1}
CELL = {"gates": 0, "c_in": 64, "c_out": 80, "h_out": 96, "hidden": 8, "c_fraction_bits": 12}
SOFTMAX = {"src": 0, "rows": 2, "columns": 8, "dst": 64}
RESCALE = {"rows": 6, "acc_base": 0, "columns": 2, "acc_stride": 2, "param_address": 0, "dst": 64,
           "dst_stride_bytes": 12, "dst_type": 1, "addend": 128, "addend_stride_bytes": 24,
           "flags": isa.FLAG_ADDEND}  # fmt: skip
PRODUCT = {"rows": 6, "columns": 8, "activation_address": 0, "activation_columns": 2,
           "activation_stride_bytes": 8, "acc_base": 0, "acc_stride": 2}  # fmt: skip

LUT8 = {"src": 0, "elements": 8, "dst": 200, "table": 0}
EXTREME = ADD | {"multiplier_a": 1, "multiplier_b": 1}
SELECT = {"cond": 0, "a": 16, "b": 32, "dst": 64, "elements": 8, "element_bytes": 2,
          "cond_period": 8, "a_period": 8, "b_period": 8}  # fmt: skip
REDUCE = {"src": 0, "dst": 100, "channels": 4, "out_h": 2, "out_w": 3, "kernel_h": 2,
          "kernel_w": 2, "src_stride_h": 16, "src_stride_w": 4, "tap_stride_h": 16,
          "tap_stride_w": 4}  # fmt: skip
DEPTHWISE = REDUCE | {"weight_address": 48, "param_address": 64, "dst_pixel_stride_bytes": 5}
ARGREDUCE = {"src": 0, "rows": 2, "columns": 8, "dst": 64, "k": 3, "values": -1}
NORM = {"src": 0, "src_type": 1, "rows": 2, "columns": 8, "dst": 64, "dst_type": 0,
        "param_address": 128}  # fmt: skip
GRU = {"z": 0, "r": 0, "n_x": 16, "n_h": 16, "h_in": 32, "h_out": 48, "y_out": 64, "hidden": 8}
PACK = {"src": 0, "rows": 4, "columns": 8, "row_stride_bytes": 8, "column_stride_bytes": 1}

# opcode, operands, operand to change, last value taken, first value refused
EDGES = [
    (isa.COPY, COPY, "src", SIZE - 6, SIZE - 5),
    (isa.COPY, COPY, "dst", 0, -1),
    (isa.COPY, COPY, "dst_stride2", SIZE - 103, SIZE - 102),
    (isa.COPY, COPY, "dst_stride2", -100, -101),
    (isa.COPY, COPY, "src_stride2", 0, -1),
    (isa.COPY, COPY, "element_bytes", 1, 3),
    (isa.COPY, COPY, "shape0", 1, 0),
    (isa.COPY, COPY | {"src_stride0": 0, "dst_stride0": 0}, "shape0", 42, 43),  # 6 bytes each
    (isa.COPY, COPY | {"element_bytes": 2, "src_stride3": 2, "src_stride2": 6,
                       "dst_stride3": 2}, "dst_stride2", 6, 7),
    (isa.REQUANT, REQUANT, "src", SIZE - 16, SIZE - 14),
    (isa.REQUANT, REQUANT, "src", 2, 1),
    (isa.REQUANT, REQUANT, "dst", SIZE - 16, SIZE - 15),
    (isa.REQUANT, REQUANT, "elements", 96, 97),
    (isa.REQUANT, REQUANT, "elements", 1, 0),
    (isa.REQUANT, REQUANT, "src_type", 2, 3),
    (isa.REQUANT, REQUANT, "dst_type", 0, -1),
    (isa.REQUANT, REQUANT, "multiplier", 2**31 - 1, 2**31),
    (isa.REQUANT, REQUANT, "multiplier", 0, -1),
    (isa.REQUANT, REQUANT, "shift", 62, 63),
    (isa.REQUANT, REQUANT, "shift", 0, -1),
    (isa.REQUANT, REQUANT, "src_zero_point", -32768, -32769),
    (isa.REQUANT, REQUANT, "dst_zero_point", 32767, 32768),
    (isa.REQUANT, REQUANT, "flags", 2, 1),
    (isa.REQUANT, REQUANT, "flags", 2, 4),
    (isa.ADD, ADD, "b", SIZE - 8, SIZE - 6),
    (isa.ADD, ADD, "b_period", 120, 121),
    (isa.ADD, ADD, "b_period", 1, 0),
    (isa.ADD, ADD, "multiplier_a", 2**30 - 1, 2**30),
    (isa.ADD, ADD, "multiplier_b", -(2**30), -(2**30) - 1),
    (isa.ADD, ADD, "a_type", 2, 3),
    (isa.ADD, ADD, "b_zero_point", 32767, 32768),
    (isa.ADD, ADD, "shift", 62, 63),
    (isa.MUL, ADD, "a_type", 1, 2),
    (isa.MUL, ADD, "b_type", 1, 2),
    (isa.MUL, ADD, "multiplier_a", 2**31 - 1, 2**31),
    (isa.MUL, ADD, "multiplier_b", 2**62, None),  # not an operand of MUL
    (isa.MUL, ADD, "flags", 2, 3),
    (isa.LUT, LUT, "table", 1, 2),
    (isa.LUT, LUT, "in_shift", 62, 63),
    (isa.LUT, LUT, "out_multiplier", 2**31 - 1, -1),
    (isa.LUT, LUT, "dst_zero_point", -32768, -32769),
    (isa.LUT, LUT, "src", SIZE - 16, SIZE - 14),
    (isa.LSTM_CELL, CELL, "gates", SIZE - 64, SIZE - 62),
    (isa.LSTM_CELL, CELL, "c_in", SIZE - 16, SIZE - 14),
    (isa.LSTM_CELL, CELL, "c_out", SIZE - 16, SIZE - 15),
    (isa.LSTM_CELL, CELL, "h_out", SIZE - 8, SIZE - 7),
    (isa.LSTM_CELL, CELL, "c_fraction_bits", 15, 16),
    (isa.LSTM_CELL, CELL, "c_fraction_bits", 0, -1),
    (isa.LSTM_CELL, CELL, "hidden", 32, 33),
    (isa.LSTM_CELL, CELL, "h_zero_point", -128, -129),
    (isa.LSTM_CELL, CELL | {"couple": 1}, "gates", SIZE - 48, SIZE - 46),
    (isa.LSTM_CELL, CELL, "couple", 2, 3),
    (isa.LSTM_CELL, CELL, "couple", 0, -1),
    (isa.LUT8, LUT8, "table", 0, 1),  # 256 bytes of 256
    (isa.LUT8, LUT8, "src", SIZE - 8, SIZE - 7),
    (isa.LUT8, LUT8, "dst", SIZE - 8, SIZE - 7),
    (isa.LUT8, LUT8, "elements", 56, 57),
    (isa.LUT8, LUT8, "elements", 1, 0),
    (isa.EXTREME, EXTREME, "kind", 1, 2),
    (isa.EXTREME, EXTREME, "kind", 0, -1),
    (isa.EXTREME, EXTREME, "multiplier_a", 2**31 - 1, 2**31),
    (isa.EXTREME, EXTREME, "multiplier_b", 0, -1),
    (isa.EXTREME, EXTREME, "shift", 62, 63),
    (isa.EXTREME, EXTREME, "b_period", 120, 121),
    (isa.EXTREME, EXTREME, "a_zero_point", -32768, -32769),
    (isa.EXTREME, EXTREME, "dst", SIZE - 16, SIZE - 14),
    (isa.SELECT, SELECT, "element_bytes", 4, 3),
    (isa.SELECT, SELECT, "cond", SIZE - 8, SIZE - 7),
    (isa.SELECT, SELECT, "a", SIZE - 16, SIZE - 14),
    (isa.SELECT, SELECT, "b", 30, 31),
    (isa.SELECT, SELECT, "b_period", 1, 0),
    (isa.SELECT, SELECT, "a_period", 120, 121),
    (isa.SELECT, SELECT, "dst", SIZE - 16, SIZE - 14),
    # The last byte read is src + 16 + 8 + 16 + 4 + 3 = src + 47.
    (isa.REDUCE, REDUCE, "src", SIZE - 48, SIZE - 47),
    (isa.REDUCE, REDUCE, "src_stride_h", SIZE - 32, SIZE - 31),
    (isa.REDUCE, REDUCE, "tap_stride_w", 0, -1),
    (isa.REDUCE, REDUCE | {"kernel_h": 1}, "tap_stride_h", -(2**63), None),
    (isa.REDUCE, REDUCE, "dst", SIZE - 24, SIZE - 23),
    (isa.REDUCE, REDUCE | {"tap_stride_h": 0}, "kernel_h", 32768, 32769),  # 65,536 taps
    (isa.REDUCE, REDUCE, "kind", 2, 3),
    (isa.REDUCE, REDUCE, "shift", 62, 63),
    (isa.REDUCE, REDUCE, "src_zero_point", -128, -129),
    (isa.REDUCE, REDUCE, "dst_zero_point", 127, 128),
    (isa.REDUCE, REDUCE, "channels", 1, 0),
    (isa.DEPTHWISE, DEPTHWISE, "src", SIZE - 48, SIZE - 47),
    (isa.DEPTHWISE, DEPTHWISE, "weight_address", SIZE - 16, SIZE - 15),
    (isa.DEPTHWISE, DEPTHWISE, "param_address", 220, 221),
    (isa.DEPTHWISE, DEPTHWISE, "param_address", 220, 224),
    (isa.DEPTHWISE, DEPTHWISE, "dst_pixel_stride_bytes", 30, 31),
    (isa.DEPTHWISE, DEPTHWISE, "dst_pixel_stride_bytes", 4, 3),
    (isa.DEPTHWISE, DEPTHWISE, "flags", 2, 1),
    (isa.DEPTHWISE, DEPTHWISE, "dst_zero_point", 127, 128),
    (isa.ARGREDUCE, ARGREDUCE, "k", 8, 9),
    (isa.ARGREDUCE, ARGREDUCE, "k", 1, 0),
    (isa.ARGREDUCE, ARGREDUCE, "values", SIZE - 6, SIZE - 5),
    (isa.ARGREDUCE, ARGREDUCE, "values", -1, -2),
    (isa.ARGREDUCE, ARGREDUCE, "dst", SIZE - 24, SIZE - 20),
    (isa.ARGREDUCE, ARGREDUCE, "dst", 4, 6),
    (isa.ARGREDUCE, ARGREDUCE, "src", SIZE - 16, SIZE - 15),
    (isa.ARGREDUCE, ARGREDUCE, "kind", 1, 2),
    (isa.NORM, NORM, "src_type", 1, 2),
    (isa.NORM, NORM, "dst_type", 1, 2),
    (isa.NORM, NORM, "param_address", SIZE - 64, SIZE - 60),
    (isa.NORM, NORM, "param_address", 4, 6),
    (isa.NORM, NORM, "epsilon", 2**60, 2**60 + 1),
    (isa.NORM, NORM, "epsilon", 0, -1),
    (isa.NORM, NORM, "shift", 62, 63),
    (isa.NORM, NORM, "kind", 1, 2),
    (isa.NORM, NORM, "src_zero_point", -32768, -32769),
    (isa.NORM, NORM, "dst_zero_point", 127, 128),
    (isa.NORM, NORM, "src", SIZE - 32, SIZE - 30),
    (isa.LOG_SOFTMAX, SOFTMAX, "dst", SIZE - 16, SIZE - 15),
    (isa.LOG_SOFTMAX, SOFTMAX, "rows", 24, 25),
    (isa.LOG_SOFTMAX, SOFTMAX, "dst_zero_point", 127, 128),
    (isa.GRU_CELL, GRU, "r", -1, None),  # not read
    (isa.GRU_CELL, GRU | {"reset": 1}, "r", 0, -1),
    (isa.GRU_CELL, GRU | {"reset": 1}, "n_h", SIZE - 16, SIZE - 14),
    (isa.GRU_CELL, GRU, "reset", 1, 2),
    (isa.GRU_CELL, GRU, "h_out", SIZE - 16, SIZE - 15),
    (isa.GRU_CELL, GRU, "y_out", SIZE - 8, SIZE - 7),
    (isa.GRU_CELL, GRU, "y_zero_point", -128, -129),
    (isa.PACK, PACK, "src", SIZE - 32, SIZE - 31),
    (isa.PACK, PACK, "rows", 8, 9),  # 64 weights
    (isa.PACK, PACK, "columns", 16, 17),
    (isa.PACK, PACK, "row_stride_bytes", 0, -1),
    (isa.PACK, PACK | {"columns": 1}, "column_stride_bytes", -1, None),
    (isa.SOFTMAX, SOFTMAX, "dst", SIZE - 16, SIZE - 15),
    (isa.SOFTMAX, SOFTMAX, "rows", 24, 25),
    (isa.SOFTMAX, SOFTMAX, "columns", 96, 97),
    (isa.SOFTMAX, SOFTMAX, "dst_zero_point", 127, 128),
    (isa.RESCALE, RESCALE, "acc_base", DEPTH - 4, DEPTH - 3),
    (isa.RESCALE, RESCALE, "acc_stride", DEPTH - 2, DEPTH - 1),
    (isa.RESCALE, RESCALE, "acc_stride", 0, -1),
    (isa.RESCALE, RESCALE, "acc_base", 0, -1),
    (isa.RESCALE, RESCALE, "dst_stride_bytes", 12, 10),
    (isa.RESCALE, RESCALE, "dst_stride_bytes", 14, 15),
    (isa.RESCALE, RESCALE, "dst_stride_bytes", SIZE - 64 - 12, SIZE - 64 - 10),
    (isa.RESCALE, RESCALE, "addend_stride_bytes", 0, -4),
    (isa.RESCALE, RESCALE, "addend", SIZE - 48, SIZE - 44),
    (isa.RESCALE, RESCALE, "addend", 4, 2),
    (isa.RESCALE, RESCALE, "param_address", SIZE - 56, SIZE - 52),  # 54 bytes, in fours
    (isa.RESCALE, RESCALE, "param_address", 4, 2),
    (isa.RESCALE, RESCALE, "flags", 7, 8),
    (isa.RESCALE, RESCALE, "dst_zero_point", -32768, -32769),
    (isa.RESCALE, RESCALE, "columns", 3, 5),
    (isa.PRODUCT, PRODUCT, "acc_base", DEPTH - 4, DEPTH - 3),
    (isa.PRODUCT, PRODUCT, "acc_stride", 2, 1),
    (isa.PRODUCT, PRODUCT, "acc_stride", DEPTH - 2, DEPTH - 1),
    (isa.PRODUCT, PRODUCT, "activation_address", SIZE - 16, SIZE - 15),
    (isa.PRODUCT, PRODUCT, "activation_stride_bytes", 0, -1),
    (isa.PRODUCT, PRODUCT, "activation_stride_bytes", SIZE - 8, SIZE - 7),
    (isa.PRODUCT, PRODUCT, "columns", 10, 11),  # the slot holds 64 weights
    (isa.PRODUCT, PRODUCT, "rows", 8, 9),
    (isa.PRODUCT, PRODUCT, "activation_columns", 4, 5),
    (isa.PRODUCT, PRODUCT, "activation_columns", 1, 0),
]  # fmt: skip


def run(module, opcode: int, operands: dict[str, int], size: int = SIZE) -> int:
    """Status of a command on memories of zeros."""
    arg = np.zeros(isa.N_ARGS, dtype=np.int64)
    names = isa.OPCODE_ARGS[isa.ADD if opcode == isa.MUL else opcode]  # MUL with ADD's names
    for name, value in operands.items():
        arg[names.index(name)] = value
    abuf = np.zeros(size, dtype=np.uint8)
    accumulators = np.zeros((LANES, DEPTH), dtype=np.int32)
    if opcode == isa.PRODUCT:
        return module.mac_accumulate(arg, np.zeros(64, dtype=np.int8), abuf, accumulators)
    if opcode == isa.PACK:
        return module.pack_matrix(arg, np.zeros(64, dtype=np.int8), abuf)
    return module.execute_vector(opcode, arg, abuf, accumulators)


@pytest.mark.parametrize("module", [execute, reference], ids=["kernel", "reference"])
@pytest.mark.parametrize(("opcode", "operands", "name", "taken", "refused"), EDGES)
def test_edges(module, opcode, operands, name, taken, refused):
    assert run(module, opcode, operands | {name: taken}) == isa.DONE
    if refused is not None:
        assert run(module, opcode, operands | {name: refused}) == isa.BAD_OPERAND


@pytest.mark.parametrize("module", [execute, reference], ids=["kernel", "reference"])
def test_softmax_takes_32768_columns(module):
    operands = {"src": 0, "dst": 0, "rows": 1}
    assert run(module, isa.SOFTMAX, operands | {"columns": 32768}, 65536) == isa.DONE
    assert run(module, isa.SOFTMAX, operands | {"columns": 32769}, 65536) == isa.BAD_OPERAND


@pytest.mark.parametrize("module", [execute, reference], ids=["kernel", "reference"])
def test_strides_of_a_single_column_are_not_looked_at(module):
    unused = {"columns": 1, "acc_stride": -1, "dst_stride_bytes": -1, "addend_stride_bytes": 3}
    assert run(module, isa.RESCALE, RESCALE | unused) == isa.DONE
    unused = {"activation_columns": 1, "acc_stride": -1, "activation_stride_bytes": -1}
    assert run(module, isa.PRODUCT, PRODUCT | unused) == isa.DONE
    unused = {"src_stride0": 2**62, "dst_stride0": -(2**63)}
    assert run(module, isa.COPY, COPY | unused) == isa.DONE


@pytest.mark.parametrize("module", [execute, reference], ids=["kernel", "reference"])
@pytest.mark.parametrize(("place", "value"), [(3, 0x80), (48, 63), (48, 0xFF), (53, 63)])
def test_a_parameter_out_of_range_in_abuf_is_refused(module, place, value):
    """Byte 3 is the sign of the first multiplier, bytes 48 to 53 are the shifts of six rows."""
    arg = np.zeros(isa.N_ARGS, dtype=np.int64)
    for name, operand in RESCALE.items():
        arg[isa.RESCALE_ARGS.index(name)] = operand
    abuf = np.zeros(SIZE, dtype=np.uint8)
    abuf[48:54] = 62
    accumulators = np.ones((LANES, DEPTH), dtype=np.int32)
    assert module.execute_vector(isa.RESCALE, arg, abuf, accumulators) == isa.DONE
    abuf[place] = value
    abuf[64:] = 99
    assert module.execute_vector(isa.RESCALE, arg, abuf, accumulators) == isa.BAD_OPERAND
    assert (abuf[64:] == 99).all()
