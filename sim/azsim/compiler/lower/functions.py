"""Functions of one number, int8 to int8: a table of all 256 results, each rounded once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext
from azsim.compiler.formats import Format
from azsim.graph import Node
from azsim.graph.formulas import Formula, check_formula, evaluate_formula
from azsim.graph.integer import IntegerKind, IntegerTensor, LookUp, Table8, View

Floats = npt.NDArray[np.float64]

GATE_STEPS = 4096.0  # table input: Q3.12
UNIT_STEPS = 2.0**-15  # table output: Q0.15


def lower_function(node: Node, context: LoweringContext) -> None:
    """Function: a table for the formula."""
    formula = check_formula(node.attributes.get("formula"))
    _add_table(node, context, context.int8(node.inputs[0]), formula)


def lower_look_up(node: Node, context: LoweringContext) -> None:
    """Sigmoid or Tanh: a table of its own for int8, the machine's table for wider tensors."""
    x = context.tensor(node.inputs[0])
    form = context.formats[node.outputs[0]]
    if x.element == "int8" and form.element == "int8":
        _add_table(node, context, x, ("x", node.operator))
        return
    y = context.declare(node.outputs[0])
    table = node.operator.lower()
    in_multiplier, in_shift = context.multiplier(node.name, x.scale * GATE_STEPS)
    out_multiplier, out_shift = context.multiplier(node.name, UNIT_STEPS / y.scale)
    context.add(
        LookUp(node.name, table, x.name, y.name, in_multiplier, in_shift, out_multiplier, out_shift)
    )


def _add_table(node: Node, context: LoweringContext, x: IntegerTensor, formula: Formula) -> None:
    name = node.outputs[0]
    form = context.formats[name]
    if form.element == "int8":
        y = context.declare(name)
        context.add(Table8(node.name, x.name, y.name, _table(context, x, form, formula)))
        return
    # a wider result, a cell state say, takes the eight bits that the table gives
    narrow = Format("int8", form.scale * (np.iinfo(form.element).max + 1) / 128)
    part = context.new_tensor(f"{node.name}/table", x.shape, narrow)
    context.add(Table8(f"{node.name}/look", x.name, part.name, _table(context, x, narrow, formula)))
    source = context.convert(part.name, form)
    context.add(View(node.name, source, context.declare(name).name))


def _table(context: LoweringContext, x: IntegerTensor, form: Format, formula: Formula) -> str:
    """Return the name of the constant that holds the table, one for equal tables."""
    entries = table_entries(formula, (x.scale, x.zero_point), form)
    label = f"table/{entries.tobytes().hex()}"
    if label not in context.tables:
        name = f"table{len(context.tables)}"
        context.tables[label] = name
        context.tensors[name] = IntegerTensor(
            name, (256,), "int8", form.scale, form.zero_point, IntegerKind.CONSTANT, entries
        )
    return context.tables[label]


def table_entries(
    formula: Formula, source: tuple[float, int], form: Format
) -> npt.NDArray[np.int8]:
    """Return int8 results (256,) for x = -128..127, `source` being scale and zero point of x.

    Rounded to nearest: halves away from zero, or to even where the model states the format, as
    ONNX does. What lies beyond the format saturates; outside the function's domain (NaN) the
    nearest result inside is taken, 0 if there is none.
    """
    scale, zero = source
    numbers: Floats = (np.arange(-128, 128) - zero).astype(np.float64) * scale
    real = evaluate_formula(formula, numbers)
    steps = _filled(real) / form.scale
    rounded = np.rint(steps) if form.stated else np.copysign(np.floor(np.abs(steps) + 0.5), steps)
    entries: npt.NDArray[np.int8] = np.clip(rounded + form.zero_point, -128, 127).astype(np.int8)
    return entries


def _filled(real: Floats) -> Floats:
    known = np.flatnonzero(~np.isnan(real))
    if known.size == 0:
        return np.zeros(real.shape)
    places = np.arange(real.size)
    nearest = known[np.abs(places[:, None] - known).argmin(axis=1)]
    filled: Floats = real[nearest]
    return filled
