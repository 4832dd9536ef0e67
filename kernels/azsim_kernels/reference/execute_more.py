"""The VECTOR commands after SOFTMAX in plain numpy; see `azsim_kernels.reference.execute`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from azsim_kernels import isa
from azsim_kernels.reference import arith, arith_rows
from azsim_kernels.reference.operands import (
    BadOperandError,
    Bytes,
    Integers,
    Operands,
    Weights,
    check_point,
    check_scale,
    named,
    require,
    rows_of,
    span,
    write_result,
)
from azsim_kernels.reference.windows import Windows, depthwise, reduce_windows


def _wide(abuf: Bytes, address: int, count: int, element: int) -> Integers:
    return span(abuf, address, count, element).astype(np.int64)


def _lut8(arg: Operands, abuf: Bytes) -> None:
    """LUT8: y = table[x + 128]."""
    a = named(isa.LUT8, arg)
    x = _wide(abuf, a["src"], a["elements"], isa.INT8)
    table = span(abuf, a["table"], 256, isa.INT8)
    span(abuf, a["dst"], a["elements"], isa.INT8)[...] = table[x + 128]


def _extreme(arg: Operands, abuf: Bytes) -> None:
    """EXTREME: min or max of two rescaled tensors."""
    a = named(isa.EXTREME, arg)
    n, factors = a["elements"], (a["multiplier_a"], a["multiplier_b"])
    first = _wide(abuf, a["a"], n, a["a_type"])
    second = _wide(abuf, a["b"], a["b_period"], a["b_type"])
    dst = span(abuf, a["dst"], n, a["dst_type"])
    for name in ("a", "b", "dst"):
        check_point(a[f"{name}_zero_point"], a[f"{name}_type"])
    for factor in factors:
        check_scale(factor, a["shift"])
    require(a["kind"] in (isa.EXTREME_MIN, isa.EXTREME_MAX))
    y = arith_rows.extreme(
        first - a["a_zero_point"],
        np.resize(second, n) - a["b_zero_point"],
        factors,
        a["shift"],
        a["kind"],
    )
    write_result(dst, y + a["dst_zero_point"], 0, 0)


def _select(arg: Operands, abuf: Bytes) -> None:
    """SELECT: a where the condition is not 0, else b."""
    a = named(isa.SELECT, arg)
    require(a["element_bytes"] in isa.ELEMENT_BYTES)
    element, n = isa.ELEMENT_BYTES.index(a["element_bytes"]), a["elements"]
    dst = span(abuf, a["dst"], n, element)
    cond = np.resize(span(abuf, a["cond"], a["cond_period"], isa.INT8), n)
    first = np.resize(span(abuf, a["a"], a["a_period"], element), n)
    second = np.resize(span(abuf, a["b"], a["b_period"], element), n)
    dst[...] = np.where(cond != 0, first, second)


def _windows(abuf: Bytes, a: Mapping[str, int]) -> Windows:
    """The windows of REDUCE or DEPTHWISE, checked; an extent of 1 has no use for its stride."""
    extents = [a[name] for name in ("out_h", "out_w", "kernel_h", "kernel_w")]
    names = ("src_stride_h", "src_stride_w", "tap_stride_h", "tap_stride_w")
    strides = [a[name] if n > 1 else 0 for name, n in zip(names, extents, strict=True)]
    require(a["channels"] >= 1 and min(extents) >= 1)
    require(a["channels"] * int(np.prod(np.array(extents, object))) <= isa.MAX_WORK)
    require(all(0 <= stride <= abuf.size for stride in strides))
    windows = Windows(a["channels"], *extents, *strides)
    require(windows.taps <= isa.MAX_TAPS)
    require(a["src"] >= 0 and a["src"] + windows.last < abuf.size)
    return windows


def _reduce(arg: Operands, abuf: Bytes) -> None:
    """REDUCE: sum, max or min of windows."""
    a = named(isa.REDUCE, arg)
    windows = _windows(abuf, a)
    dst = span(abuf, a["dst"], a["out_h"] * a["out_w"] * a["channels"], isa.INT8)
    require(a["kind"] in (isa.REDUCE_SUM, isa.REDUCE_MAX, isa.REDUCE_MIN))
    check_scale(a["multiplier"], a["shift"])
    check_point(a["src_zero_point"], isa.INT8)
    check_point(a["dst_zero_point"], isa.INT8)
    x = abuf[a["src"] :].view(np.int8)
    total = reduce_windows(x, windows, a["kind"], a["src_zero_point"])
    y = arith.rescale(total, a["multiplier"], a["shift"]) + a["dst_zero_point"]
    write_result(dst, y.ravel(), 0, 0)


def _depthwise(arg: Operands, abuf: Bytes) -> None:
    """DEPTHWISE: one filter per channel."""
    a = named(isa.DEPTHWISE, arg)
    windows, channels, params = _windows(abuf, a), a["channels"], a["param_address"]
    weights = span(abuf, a["weight_address"], windows.taps * channels, isa.INT8).copy()
    multiplier, bias = np.split(_wide(abuf, params, 2 * channels, isa.INT32), 2)
    shift = _wide(abuf, params + 8 * channels, channels, isa.INT8)
    require(bool(np.all((multiplier >= 0) & (shift >= 0) & (shift <= 62))))
    stride, pixels = a["dst_pixel_stride_bytes"], windows.out_h * windows.out_w
    dst = rows_of(abuf, a["dst"], channels, stride, pixels, isa.INT8, least=channels)
    check_point(a["dst_zero_point"], isa.INT8)
    require(a["flags"] in (0, isa.FLAG_RELU))
    x = abuf[a["src"] :].view(np.int8)
    y = depthwise(x, windows, weights.reshape(-1, channels), (multiplier, bias, shift))
    y = y.reshape(pixels, channels) + a["dst_zero_point"]
    for view, values in zip(dst, y, strict=True):
        write_result(view, values, a["dst_zero_point"], a["flags"])


def _arg_reduce(arg: Operands, abuf: Bytes) -> None:
    """ARGREDUCE: the k best of each row."""
    a = named(isa.ARGREDUCE, arg)
    rows, columns, k = a["rows"], a["columns"], a["k"]
    require(rows >= 1 and 1 <= k <= columns and rows * columns * k <= isa.MAX_WORK)
    require(a["kind"] in (isa.ARG_LARGEST, isa.ARG_SMALLEST))
    x = _wide(abuf, a["src"], rows * columns, isa.INT8).reshape(rows, columns)
    dst = span(abuf, a["dst"], rows * k, isa.INT32)
    values = None if a["values"] == -1 else span(abuf, a["values"], rows * k, isa.INT8)
    best = arith_rows.arg_reduce(x, a["kind"], k)
    dst[...] = best.ravel()
    if values is not None:
        values[...] = np.take_along_axis(x, best, axis=-1).ravel()


def _norm(arg: Operands, abuf: Bytes) -> None:
    """NORM: layer norm or RMS norm of rows."""
    a = named(isa.NORM, arg)
    rows, columns = a["rows"], a["columns"]
    require(rows >= 1 and 1 <= columns <= isa.MAX_ROW_COLUMNS)
    require(isa.INT32 not in (a["src_type"], a["dst_type"]))
    x = _wide(abuf, a["src"], rows * columns, a["src_type"]).reshape(rows, columns)
    dst = span(abuf, a["dst"], rows * columns, a["dst_type"])
    gamma, beta = np.split(_wide(abuf, a["param_address"], 2 * columns, isa.INT32), 2)
    require(a["kind"] in (isa.NORM_LAYER, isa.NORM_RMS))
    require(0 <= a["epsilon"] <= 2**60 and 0 <= a["shift"] <= 62)
    check_point(a["src_zero_point"], a["src_type"])
    check_point(a["dst_zero_point"], a["dst_type"])
    d = x - a["src_zero_point"]
    y = arith_rows.normalize(d, a["kind"], a["epsilon"], (gamma, beta), a["shift"])
    write_result(dst, (y + a["dst_zero_point"]).ravel(), 0, 0)


def _log_softmax(arg: Operands, abuf: Bytes) -> None:
    """LOG_SOFTMAX over rows of int8, to int8."""
    a = named(isa.LOG_SOFTMAX, arg)
    rows, columns = a["rows"], a["columns"]
    require(rows >= 1 and 1 <= columns <= isa.MAX_ROW_COLUMNS)
    x = _wide(abuf, a["src"], rows * columns, isa.INT8).reshape(rows, columns)
    dst = span(abuf, a["dst"], rows * columns, isa.INT8)
    scales = [(a[f"{end}_multiplier"], a[f"{end}_shift"]) for end in ("in", "out")]
    for scale in scales:
        check_scale(*scale)
    check_point(a["dst_zero_point"], isa.INT8)
    y = arith_rows.log_softmax(x, *scales)
    write_result(dst, (y + a["dst_zero_point"]).ravel(), 0, 0)


def _gru_cell(arg: Operands, abuf: Bytes) -> None:
    """GRU_CELL: one time step; writes h_out, then y_out."""
    a = named(isa.GRU_CELL, arg)
    hidden = a["hidden"]
    require(a["reset"] in (0, 1))
    z, n_x, h = (_wide(abuf, a[name], hidden, isa.INT16) for name in ("z", "n_x", "h_in"))
    reset = None
    if a["reset"]:
        reset = (
            _wide(abuf, a["r"], hidden, isa.INT16),
            _wide(abuf, a["n_h"], hidden, isa.INT16),
        )
    h_out = span(abuf, a["h_out"], hidden, isa.INT16)
    y_out = span(abuf, a["y_out"], hidden, isa.INT8)
    check_scale(a["y_multiplier"], a["y_shift"])
    check_point(a["y_zero_point"], isa.INT8)
    h_next = arith.gru_cell(z, n_x, h, reset)
    y = arith.rescale(h_next, a["y_multiplier"], a["y_shift"]) + a["y_zero_point"]
    write_result(h_out, h_next, 0, 0)
    write_result(y_out, y, 0, 0)


OPERATIONS: dict[int, Callable[[Operands, Bytes], None]] = {
    isa.LUT8: _lut8,
    isa.EXTREME: _extreme,
    isa.SELECT: _select,
    isa.REDUCE: _reduce,
    isa.ARGREDUCE: _arg_reduce,
    isa.NORM: _norm,
    isa.LOG_SOFTMAX: _log_softmax,
    isa.DEPTHWISE: _depthwise,
    isa.GRU_CELL: _gru_cell,
}


def pack_matrix(arg: Operands, weights: Weights, abuf: Bytes) -> int:
    """Write the int8 matrix of a PACK command to the first rows x columns `weights` of its slot,
    row-major; return DONE, or BAD_OPERAND with nothing changed.
    """
    a = named(isa.PACK, arg)
    rows, columns = a["rows"], a["columns"]
    try:
        require(rows >= 1 and columns >= 1 and rows * columns <= weights.size)
        strides = [
            stride if n > 1 else 0
            for n, stride in ((rows, a["row_stride_bytes"]), (columns, a["column_stride_bytes"]))
        ]
        require(all(0 <= stride <= abuf.size for stride in strides))
        last = a["src"] + (rows - 1) * strides[0] + (columns - 1) * strides[1]
        require(a["src"] >= 0 and last < abuf.size)
    except BadOperandError:
        return isa.BAD_OPERAND
    places = np.arange(rows)[:, None] * strides[0] + np.arange(columns) * strides[1]
    weights[: rows * columns] = abuf.view(np.int8)[a["src"] + places].ravel()
    return isa.DONE
