"""Einsum of one or two tensors: sums, transpositions, a product of rows, or of entries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand, present
from azsim.frontend.operators.products import lower_matmul
from azsim.frontend.parts import Parts
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits
from azsim.graph.text import quoted, shape_text

DOTS = "0123456789"  # dimensions that "..." stands for, counted from the last
FORM = re.compile(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)")


@dataclass(frozen=True)
class Plan:
    """Letters of each input and of the output, "..." written out; the size of each letter."""

    terms: tuple[str, ...]
    output: str
    sizes: dict[str, int]


def _term(text: str, rank: int) -> str | None:
    """The letters of an input of `rank` dimensions; None where they do not fit it."""
    found = FORM.fullmatch(text)
    if found is None:
        return None
    before, dots, after = found.groups()
    hidden = rank - len(before) - len(after)
    if not (0 <= hidden <= len(DOTS) if dots else hidden == 0):
        return None
    letters = before + DOTS[:hidden][::-1] + after
    return letters if len(set(letters)) == len(letters) else None


def _implied(left: str, letters: set[str]) -> str:
    """The output of an equation that states none: "...", then the letters that stand once."""
    return "..." + "".join(sorted(k for k in letters if k.isalpha() and left.count(k) == 1))


def _sizes(terms: list[str], shapes: list[tuple[int, ...]]) -> dict[str, int] | None:
    sizes: dict[str, int] = {}
    for letters, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known != size and (letter.isalpha() or 1 not in (known, size)):
                return None
            sizes[letter] = max(known, size)
    return sizes


def plan_of(node: OnnxNode) -> Plan | None:
    """What the equation says of these shapes; None where it does not fit them."""
    text = node.word("equation", "").replace(" ", "")
    left, arrow, right = text.partition("->")
    shapes = [operand.shape for operand in present(node.inputs)]
    words = left.split(",")
    if len(words) != len(shapes):
        return None
    found = [_term(word, len(shape)) for word, shape in zip(words, shapes, strict=True)]
    terms = [term for term in found if term is not None]
    sizes = _sizes(terms, shapes) if len(terms) == len(found) else None
    if sizes is None:
        return None
    hidden = "".join(sorted((k for k in sizes if k.isdigit()), reverse=True))
    right = right if arrow else _implied(left, set(sizes))
    rest = right.replace("...", "", 1)
    output = right.replace("...", hidden, 1)
    known = all(letter in sizes for letter in output) and len(set(output)) == len(output)
    if not known or (not rest.isalpha() and rest) or ("..." not in right and hidden):
        return None
    return Plan(tuple(terms), output, sizes)


# -- rules --------------------------------------------------------------------------------------


def one_or_two_inputs(node: OnnxNode) -> str | None:
    """there must be one or two inputs, one of them computed."""
    given = present(node.inputs)
    if len(given) > 2:
        return str(len(given))
    is_constant = all(operand.data is not None for operand in given)
    return "constants only" if is_constant else None


def equation_fits(node: OnnxNode) -> str | None:
    """equation must have a term for each input, of different letters (and ...), one size for each
    letter, and an output of these letters."""
    if plan_of(node) is not None:
        return None
    shapes = " and ".join(shape_text(operand.shape) for operand in present(node.inputs))
    return f"{quoted(node.word('equation', ''))} with {shapes}"


def einsum_scales_fit(node: OnnxNode) -> str | None:
    """scales of quantized weights must be one, or one per entry of a dimension that only the
    weights and the output have."""
    plan = plan_of(node)
    for place, operand in enumerate(present(node.inputs)):
        if operand.stored is None or plan is None:
            continue
        others = "".join(t for k, t in enumerate(plan.terms) if k != place)
        for letter, size in zip(plan.terms[place], operand.stored.scale.shape, strict=True):
            if size > 1 and (letter in others or letter not in plan.output):
                return f"one per entry of {quoted(letter)} of {quoted(operand.name)}"
    return None


def einsum_integers_fit(node: OnnxNode) -> str | None:
    """quantized weights less their zero point must be -128 to 127."""
    found = (integers_beyond_8_bits(operand) for operand in present(node.inputs))
    return next((text for text in found if text is not None), None)


# -- lowering -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One input on its way: its letters, and a value that was put or a constant."""

    letters: str
    operand: Operand


def _arranged(side: Side, groups: tuple[str, ...], sizes: dict[str, int], parts: Parts) -> Operand:
    """The operand with one dimension for each group of letters."""
    order = "".join(groups)
    perm = tuple(side.letters.index(letter) for letter in order)
    target = tuple(int(np.prod([sizes[k] for k in group], dtype=int)) for group in groups)
    operand = side.operand
    if operand.data is None:
        turned = parts.transpose("turned", operand.name, perm)
        return Operand(parts.reshape("formed", turned, target), target)
    name = parts.builder.fresh_value(f"{parts.root}.constant")
    stored = operand.stored
    if stored is not None:
        scale = stored.scale.transpose(perm)
        wide = [letter for letter, size in zip(order, scale.shape, strict=True) if size > 1]
        spread = [sizes[k] if wide and wide[0] in g else 1 for g in groups for k in g]
        form = tuple(
            int(np.prod([sizes[k] for k in g], dtype=int)) if wide and wide[0] in g else 1
            for g in groups
        )
        integers = stored.integers.transpose(perm).reshape(target)
        stored = replace(
            stored, integers=integers, scale=np.broadcast_to(scale, spread).reshape(form)
        )
    return Operand(name, target, operand.data.transpose(perm).reshape(target), stored=stored)


def _reduced(side: Side, kept: set[str], sizes: dict[str, int], parts: Parts) -> Side:
    """The side without the letters that nothing else has (they are summed), and without those
    dimensions of size 1 that stand for more."""
    operand, letters = side.operand, side.letters
    gone = tuple(k for k, letter in enumerate(letters) if letter not in kept)
    thin = tuple(
        k for k, letter in enumerate(letters) if operand.shape[k] == 1 and sizes[letter] > 1
    )
    left = "".join(letter for k, letter in enumerate(letters) if k not in (*gone, *thin))
    if not gone and not thin:
        return side
    shape = tuple(size for k, size in enumerate(operand.shape) if k not in (*gone, *thin))
    if operand.data is not None:
        with np.errstate(over="ignore"):  # an infinite constant is refused where it is used
            summed = operand.data.astype(np.float32).sum(axis=gone).reshape(shape)
        name = parts.builder.fresh_value(f"{parts.root}.summed")
        return Side(left, Operand(name, shape, summed))
    name = operand.name
    if gone:
        name = parts.put("summed", "Reduce", name, attributes={"kind": "sum", "axes": gone})
    return Side(left, Operand(parts.reshape("thin", name, shape), shape))


def _finish(name: str, letters: str, plan: Plan, parts: Parts) -> None:
    """The result's dimensions in the order of the output."""
    shape = tuple(plan.sizes[k] for k in letters)
    apart = parts.reshape("apart", name, shape)
    perm = tuple(letters.index(k) for k in plan.output)
    made = parts.transpose("result", apart, perm)
    parts.put("", "Reshape", made, target=parts.shape(made), output=parts.node.outputs[0])


def _multiplied(sides: list[Side], plan: Plan, parts: Parts) -> None:
    """No letter is summed over both: entries are multiplied."""
    names = []
    for side in sides:
        order = "".join(k for k in plan.output if k in side.letters)
        operand = _arranged(side, tuple(order), plan.sizes, parts)
        shape = tuple(plan.sizes[k] if k in order else 1 for k in plan.output)
        if operand.data is not None:
            names.append(parts.constant("factor", operand.data.reshape(shape)))
        else:
            names.append(parts.reshape("spread", operand.name, shape))
    made = parts.put("product", "Mul", *names)
    _finish(made, plan.output, plan, parts)


def _lower_einsum(node: OnnxNode, builder: GraphBuilder) -> None:
    plan = plan_of(node)
    assert plan is not None  # a rule
    parts, sides = Parts(node, builder), []
    for place, (letters, operand) in enumerate(zip(plan.terms, present(node.inputs), strict=True)):
        others = "".join(t for k, t in enumerate(plan.terms) if k != place)
        if operand.data is None:
            builder.use(operand)
        sides.append(_reduced(Side(letters, operand), {*others, *plan.output}, plan.sizes, parts))
    if len(sides) == 1:
        _finish(sides[0].operand.name, sides[0].letters, plan, parts)
        return
    first, second = sides if sides[0].operand.data is None else sides[::-1]
    shared = [k for k in first.letters if k in second.letters]
    inner = "".join(k for k in shared if k not in plan.output)
    if not inner:
        _multiplied([first, second], plan, parts)
        return
    batch = "".join(k for k in shared if k in plan.output)
    left = "".join(k for k in first.letters if k not in shared)
    right = "".join(k for k in second.letters if k not in shared)
    front = (batch,) if batch else ()
    a = _arranged(first, (*front, left, inner), plan.sizes, parts)
    b = _arranged(second, (*front, inner, right), plan.sizes, parts)
    product = builder.fresh_value(f"{node.name}.product")
    label = builder.fresh_node(f"{node.name}.product")
    lower_matmul(OnnxNode(label, "MatMul", node.opset, (a, b), (product,)), builder)
    _finish(product, batch + left + right, plan, parts)


SUPPORT = (
    Support(
        "Einsum",
        "MatMul, MatMulRows or Mul (between Reduce, Transpose, Reshape)",
        (float_inputs, one_or_two_inputs, equation_fits, einsum_scales_fit, einsum_integers_fit),
        _lower_einsum,
    ),
)
