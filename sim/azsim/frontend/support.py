"""The table of supported ONNX operators, and the manual page made from it."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.frontend.fold import FOLDABLE
from azsim.frontend.operators import (
    choices,
    einsum,
    elementwise,
    functions,
    maps,
    movement,
    padding,
    powers,
    products,
    quantized,
    recurrent,
    resizing,
    rows,
    shaping,
    transposed,
    truths,
    windows,
)
from azsim.frontend.rules import Support, rule_text

OPERATORS: dict[str, Support] = {
    support.operator: support
    for family in (
        products,
        einsum,
        recurrent,
        elementwise,
        functions,
        rows,
        maps,
        powers,
        movement,
        choices,
        padding,
        shaping,
        truths,
        quantized,
        windows,
        transposed,
        resizing,
    )
    for support in family.SUPPORT
}

_FOLDED = (
    ("Constant", ("value must be numbers",)),
    ("Shape", ()),
    ("Size", ()),
)

_COMPOSED = """\
* Bool tensors are graph inputs or computed by comparisons, and are 0 and 1 inside. A comparison
  sees 8-bit numbers: what differs by less than a step of theirs may come out either way.
* Operators that are not listed but that ONNX defines by others (Attention,
  GroupNormalization, ReduceL1, ReduceL2, ReduceSumSquare, ...) are written out in those.
* Integer operators with scales of their own are written out with QuantizeLinear and
  DequantizeLinear: QLinearConv, QLinearMatMul, ONNX Runtime's QGemm, QLinearAdd,
  QLinearAveragePool, QLinearConcat, QLinearGlobalAveragePool, QLinearLeakyRelu, QLinearMul,
  QLinearSigmoid and QLinearSoftmax. MatMulInteger and ConvInteger behind a DynamicQuantizeLinear
  (with Cast and Mul by the scales) and DynamicQuantizeMatMul keep the weights' integers; their
  input gets the fixed range of calibration, where ONNX Runtime measures one in every step.
* What exporters write with several nodes becomes one: layer norm and RMS norm (means,
  differences, roots), any chain of element-wise operators on one tensor and single numbers
  (SiLU, GELU with Erf, hard swish, ...), factors and offsets per output behind a product
  (batch norm). Quantized models keep their nodes apart: a quantizer ends a chain.
* A quotient of two computed tensors is the product with a table of reciprocals, rounded to
  8 bits: its relative error is that of the 8 bits of the divisor and of its reciprocal.
* Entries of -10000 or less in a constant of Add or Where are a mask: in front of a Softmax
  they leave a share of 0, and do not stretch the calibrated range (12 below the rest). So are
  computed numbers of -10000 or less that are added in front of a Softmax (a mask given as an
  input), as far as calibration sees one. A row that is masked as a whole gets equal
  shares (0 where the model says so by a constant or bool mask)."""


@dataclass(frozen=True)
class SupportRow:
    """One operator of the manual: what it becomes in the graph and the rules it must keep."""

    operator: str
    becomes: str
    rules: tuple[str, ...]


def support_table() -> list[SupportRow]:
    """Return the supported ONNX operators in alphabetical order."""
    rows = [
        SupportRow(support.operator, support.becomes, tuple(map(rule_text, support.rules)))
        for support in OPERATORS.values()
    ]
    rows += [SupportRow(operator, "a constant", rules) for operator, rules in _FOLDED]
    return sorted(rows, key=lambda row: row.operator)


def operators_markdown() -> str:
    """Return docs/operators.md: the table and the rules, as the refusals say them."""
    lines = [
        "# Supported ONNX operators",
        "",
        "Made from the support rules in `sim/azsim/frontend`; `azsim ops` prints the same.",
        "A node that breaks a rule is refused with the rule's text and what the node has instead.",
        "",
        "* Opset 13 or newer, ONNX's own domain; no local functions, subgraphs or sparse tensors.",
        *_COMPOSED.splitlines(),
        "* All dimensions are numbers, or get one from `--dim NAME=N`. float16 and float64, stored",
        "  or computed, count as float32; weights must be finite.",
        "* Each node that computes something from the inputs must lead to an output.",
        "* Integer graph inputs (int32, int64) and what ArgMax, ArgMin and TopK find may only",
        "  choose rows of a table (Gather) or be outputs.",
        "* 8-bit integers (int8, uint8) come from QuantizeLinear or are graph inputs; they may be",
        "  moved (Reshape, Slice, Split, Gather, Transpose, Concat and the like) and must go",
        "  through DequantizeLinear before anything else: see quantized_models.md.",
        "* Nodes that hang on constants only are folded, also for these further operators:",
        f"  {_further_folded()}.",
        "* Recurrent states: model property `azsim.state`, a JSON object",
        '  `{"state input": "state output"}`; both have the same shape.',
        "",
        "| operator | becomes | rules |",
        "|---|---|---|",
    ]
    for row in support_table():
        lines.append(f"| {row.operator} | {row.becomes} | {'; '.join(row.rules) or '-'} |")
    return "\n".join(lines) + "\n"


def _further_folded() -> str:
    return ", ".join(sorted(set(FOLDABLE) - set(OPERATORS)))
