"""Valid operands of the VECTOR commands after SOFTMAX, for the comparison of both arithmetics."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from azsim_kernels import isa

SIZE = 1024  # bytes of ABUF

multipliers = st.sampled_from([0, 1, 2**30, 2**31 - 1]) | st.integers(0, 2**31 - 1)
shifts = st.sampled_from([0, 1, 30, 31, 62]) | st.integers(0, 62)
elements = st.integers(0, 2)
counts = st.integers(1, 20)


@st.composite
def span(draw: Any, count: int, element: int) -> int:
    """Address of an aligned span of ABUF."""
    width = 1 << element
    return draw(st.integers(0, (SIZE - count * width) // width)) * width


def point(element: int) -> st.SearchStrategy[int]:
    """Strategy of the zero points of a type."""
    limit = 1 << ((8 << element) - 1)
    return st.sampled_from([0, -limit, limit - 1]) | st.integers(-limit, limit - 1)


@st.composite
def lut8(draw: Any) -> dict[str, int]:
    n = draw(counts)
    return {
        "src": draw(span(n, 0)), "elements": n, "dst": draw(span(n, 0)),
        "table": draw(span(256, 0)),
    }  # fmt: skip


@st.composite
def extreme(draw: Any) -> dict[str, int]:
    n, period = draw(counts), draw(counts)
    types = {name: draw(elements) for name in ("a", "b", "dst")}
    args = {f"{name}_type": t for name, t in types.items()}
    args |= {f"{name}_zero_point": draw(point(t)) for name, t in types.items()}
    return args | {
        "a": draw(span(n, types["a"])), "b": draw(span(period, types["b"])),
        "dst": draw(span(n, types["dst"])), "elements": n, "shift": draw(shifts),
        "multiplier_a": draw(multipliers), "multiplier_b": draw(multipliers),
        "kind": draw(st.integers(0, 1)), "b_period": period,
    }  # fmt: skip


@st.composite
def select(draw: Any) -> dict[str, int]:
    n, element = draw(counts), draw(elements)
    periods = {name: draw(counts) for name in ("cond", "a", "b")}
    args = {f"{name}_period": period for name, period in periods.items()}
    args |= {name: draw(span(periods[name], element)) for name in ("a", "b")}
    return args | {
        "cond": draw(span(periods["cond"], 0)), "dst": draw(span(n, element)),
        "elements": n, "element_bytes": 1 << element,
    }  # fmt: skip


@st.composite
def windows(draw: Any) -> dict[str, int]:
    """Operands that REDUCE and DEPTHWISE have in common, but dst."""
    extents = {name: draw(st.integers(1, 3)) for name in ("out_h", "out_w")}
    extents |= {name: draw(st.integers(1, 4)) for name in ("kernel_h", "kernel_w")}
    args = extents | {"channels": draw(st.sampled_from([1, 1, 2, 5, 9]))}
    reach = args["channels"]
    names = ("src_stride_h", "src_stride_w", "tap_stride_h", "tap_stride_w")
    for name, n in zip(names, extents.values(), strict=True):
        args[name] = draw(st.sampled_from([0, 1, args["channels"]]) | st.integers(0, 40))
        reach += (n - 1) * args[name]
    return args | {"src": draw(span(reach, 0))}


@st.composite
def reduce(draw: Any) -> dict[str, int]:
    args = draw(windows())
    outputs = args["channels"] * args["out_h"] * args["out_w"]
    return args | {
        "dst": draw(span(outputs, 0)), "kind": draw(st.integers(0, 2)),
        "multiplier": draw(multipliers), "shift": draw(shifts),
        "src_zero_point": draw(point(0)), "dst_zero_point": draw(point(0)),
    }  # fmt: skip


@st.composite
def depthwise(draw: Any) -> dict[str, int]:
    args = draw(windows())
    channels, pixels = args["channels"], args["out_h"] * args["out_w"]
    stride = channels + draw(st.integers(0, 4))
    return args | {
        "weight_address": draw(span(channels * args["kernel_h"] * args["kernel_w"], 0)),
        "param_address": draw(span(3 * channels, 2)),
        "dst": draw(span(channels + (pixels - 1) * stride, 0)), "dst_pixel_stride_bytes": stride,
        "dst_zero_point": draw(point(0)), "flags": draw(st.sampled_from([0, isa.FLAG_RELU])),
    }  # fmt: skip


@st.composite
def arg_reduce(draw: Any) -> dict[str, int]:
    rows, columns = draw(st.integers(1, 4)), draw(counts)
    k = draw(st.integers(1, columns))
    return {
        "src": draw(span(rows * columns, 0)), "rows": rows, "columns": columns, "k": k,
        "dst": draw(span(rows * k, 2)), "kind": draw(st.integers(0, 1)),
        "values": draw(st.just(-1) | span(rows * k, 0)),
    }  # fmt: skip


@st.composite
def norm(draw: Any) -> dict[str, int]:
    rows, columns = draw(st.integers(1, 4)), draw(counts)
    a, b = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    return {
        "src": draw(span(rows * columns, a)), "src_type": a, "rows": rows, "columns": columns,
        "dst": draw(span(rows * columns, b)), "dst_type": b,
        "param_address": draw(span(2 * columns, 2)), "kind": draw(st.integers(0, 1)),
        "epsilon": draw(st.sampled_from([0, 1, 2**60]) | st.integers(0, 10**6)),
        "shift": draw(st.integers(36, 46) | shifts), "src_zero_point": draw(point(a)),
        "dst_zero_point": draw(point(b)),
    }  # fmt: skip


@st.composite
def log_softmax(draw: Any) -> dict[str, int]:
    rows, columns = draw(st.integers(1, 4)), draw(counts)
    return {
        "src": draw(span(rows * columns, 0)), "rows": rows, "columns": columns,
        "dst": draw(span(rows * columns, 0)), "in_multiplier": draw(st.just(2**30) | multipliers),
        "in_shift": draw(st.integers(22, 28) | shifts),
        "out_multiplier": draw(st.just(2**30) | multipliers),
        "out_shift": draw(st.integers(32, 38) | shifts), "dst_zero_point": draw(point(0)),
    }  # fmt: skip


@st.composite
def gru_cell(draw: Any) -> dict[str, int]:
    n = draw(counts)
    args = {name: draw(span(n, 1)) for name in ("z", "r", "n_x", "n_h", "h_in", "h_out")}
    return args | {
        "y_out": draw(span(n, 0)), "hidden": n, "reset": draw(st.integers(0, 1)),
        "y_multiplier": draw(st.just(2**30) | multipliers),
        "y_shift": draw(st.integers(36, 40) | shifts), "y_zero_point": draw(point(0)),
    }  # fmt: skip


@st.composite
def pack(draw: Any) -> dict[str, int]:
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 9))
    strides = [draw(st.integers(0, 30)) for _ in range(2)]
    reach = 1 + (rows - 1) * strides[0] + (columns - 1) * strides[1]
    return {
        "src": draw(span(reach, 0)), "rows": rows, "columns": columns,
        "row_stride_bytes": strides[0], "column_stride_bytes": strides[1],
    }  # fmt: skip


MORE_COMMANDS = {
    isa.LUT8: lut8(),
    isa.EXTREME: extreme(),
    isa.SELECT: select(),
    isa.REDUCE: reduce(),
    isa.ARGREDUCE: arg_reduce(),
    isa.NORM: norm(),
    isa.LOG_SOFTMAX: log_softmax(),
    isa.DEPTHWISE: depthwise(),
    isa.PACK: pack(),
    isa.GRU_CELL: gru_cell(),
}
