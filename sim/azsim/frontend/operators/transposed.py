"""ConvTranspose as one Conv that makes all of its phases, and their interleaving.

With stride s, the outputs at places q * s + r (phase r of s) meet the weights r, r + s, r + 2s, ...
only. So one Conv of stride 1 with s times the outputs and ceil(k / s) taps makes every result, and
the phases side by side, in channels-last order, are the larger image itself. That is k / s products
for each result and channel of an axis, as many as are needed (where s does not divide k, some meet
a weight of 0); a Conv over an input with zeros put between its entries takes k, s times as many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.windows import (
    MAX_WINDOW,
    auto_pad_is_known,
    data_is_computed_image,
    kernel_integers_fit,
    kernel_is_constant,
    kernel_of,
    kernel_shape_agrees,
    window_lists_fit,
)
from azsim.frontend.parts import Parts
from azsim.frontend.rules import Support, float_inputs, scales_off_axis
from azsim.graph import StoredIntegers
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Axis:
    """One spatial axis: `taps` weights of a phase, `dilation` apart; `front` and `behind` are what
    the convolution pads the input with (below 0: entries that are left out). Of the results of all
    `windows`, `stride` each, `outputs` are kept from `begin` on."""

    stride: int
    taps: int
    dilation: int
    front: int
    behind: int
    begin: int
    outputs: int
    windows: int


# -- geometry -----------------------------------------------------------------------------------


def _reach(node: OnnxNode) -> list[int]:
    dilations = node.wholes("dilations") or (1,) * len(kernel_of(node))
    return [d * (k - 1) + 1 for d, k in zip(dilations, kernel_of(node), strict=True)]


def _whole_pads(node: OnnxNode) -> list[tuple[int, int, int]]:
    """Pads in front and behind and the output's size, for each axis."""
    spatial = node.require(0).shape[2:]
    rank, word = len(spatial), node.word("auto_pad", "NOTSET")
    strides = node.wholes("strides") or (1,) * rank
    more = node.wholes("output_padding") or (0,) * rank
    wanted, pads = node.wholes("output_shape"), node.wholes("pads") or (0,) * (2 * rank)
    if wanted is None and word.startswith("SAME"):
        wanted = tuple(size * s for size, s in zip(spatial, strides, strict=True))
    found = []
    for axis, (size, reach) in enumerate(zip(spatial, _reach(node), strict=True)):
        full = (size - 1) * strides[axis] + reach + more[axis]
        front, behind = pads[axis], pads[axis + rank]
        if wanted is not None:
            total = full - wanted[axis]
            front = total // 2 if word == "SAME_UPPER" else total - total // 2
            behind = total - front
        found.append((front, behind, full - front - behind))
    return found


def _axes(node: OnnxNode) -> list[Axis]:
    spatial = node.require(0).shape[2:]
    strides = node.wholes("strides") or (1,) * len(spatial)
    dilations = node.wholes("dilations") or (1,) * len(spatial)
    found = []
    for axis, (size, reach) in enumerate(zip(spatial, _reach(node), strict=True)):
        stride, (front, _, outputs) = strides[axis], _whole_pads(node)[axis]
        # weights between dilated ones are written as zeros where phases pick among them
        taps, dilation = -(-reach // stride), 1
        if stride == 1:
            taps, dilation = kernel_of(node)[axis], dilations[axis]
        first, last = front // stride, (front + outputs - 1) // stride
        before = dilation * (taps - 1) - first
        begin = front - first * stride
        behind = last - (size - 1)
        windows = last - first + 1
        found.append(Axis(stride, taps, dilation, before, behind, begin, outputs, windows))
    return found


# -- rules --------------------------------------------------------------------------------------


def transposed_groups_fit(node: OnnxNode) -> str | None:
    """group must be 1 or more and divide channels, which the weights have in dimension 0."""
    group, weight, x = node.whole("group", 1), node.require(1).shape, node.require(0).shape
    if group < 1 or x[1] % group or weight[0] != x[1]:
        return f"{group} with weights {shape_text(weight)} and {x[1]} channels"
    return None


def transposed_bias_fits(node: OnnxNode) -> str | None:
    """the bias must be a constant, group times as many numbers as dimension 1 of the weights."""
    third = node.operand(2)
    if third is None:
        return None
    if third.data is None:
        return f"the computed {quoted(third.name)}"
    outputs = node.require(1).shape[1] * node.whole("group", 1)
    return None if third.shape == (outputs,) else f"of shape {shape_text(third.shape)}"


def transposed_scales_are_per_output(node: OnnxNode) -> str | None:
    """scales of quantized weights must be one, or one per output of a group (dimension 1)."""
    return scales_off_axis(node.require(1), 1)


def output_lists_fit(node: OnnxNode) -> str | None:
    """output_padding (0 or more, below stride or dilation) and output_shape (1 or more) must have
    one entry per spatial dimension."""
    rank = len(node.require(0).shape) - 2
    strides = node.wholes("strides") or (1,) * rank
    dilations = node.wholes("dilations") or (1,) * rank
    for name, least in (("output_padding", 0), ("output_shape", 1)):
        entries = node.wholes(name)
        if entries is None:
            continue
        most = [max(pair) - 1 for pair in zip(strides, dilations, strict=True)]
        most = most if name == "output_padding" else [MAX_WINDOW] * rank
        if len(entries) != rank or any(
            not least <= e <= m for e, m in zip(entries, most, strict=True)
        ):
            return f"{name} {shape_text(entries)}"
    return None


def outputs_meet_the_input(node: OnnxNode) -> str | None:
    """pads must leave results of the input, and auto_pad and output_shape not ask for more than
    kernel, stride and output_padding make (one more for output_shape)."""
    # beyond that ONNX and ONNX Runtime differ in where the results lie
    found, given = _whole_pads(node), node.wholes("output_shape") is not None
    least = -1 if given else 0
    if any(front < 0 or behind < least or outputs < 1 for front, behind, outputs in found):
        fronts, behinds, outputs = zip(*found, strict=True)
        return f"pads {shape_text((*fronts, *behinds))} for outputs {shape_text(outputs)}"
    for size, axis in zip(node.require(0).shape[2:], _axes(node), strict=True):
        if size + min(axis.front, 0) + min(axis.behind, 0) < 1:
            return f"{axis.outputs} of {size} entries"
    return None


# -- lowering -----------------------------------------------------------------------------------


def _phased(node: OnnxNode, axes: list[Axis], data: Numbers) -> Numbers:
    """Weights (channels, outputs / group, *kernel) as those of the Conv: (group, *phases, outputs /
    group) in dimension 0, then channels / group and the taps, which run backwards."""
    group, (channels, outputs), kernel = node.whole("group", 1), data.shape[:2], data.shape[2:]
    dilations = node.wholes("dilations") or (1,) * len(kernel)
    phases = [axis.stride for axis in axes]
    wide = np.zeros((channels, outputs, *(a.taps * a.stride for a in axes)), data.dtype)
    steps = (
        slice(0, (k - 1) * (1 if a.stride == 1 else d) + 1, 1 if a.stride == 1 else d)
        for k, d, a in zip(kernel, dilations, axes, strict=True)
    )
    wide[(slice(None), slice(None), *steps)] = data
    split = [size for axis in axes for size in (axis.taps, axis.stride)]
    wide = wide.reshape(group, channels // group, outputs, *split)
    rank = len(axes)
    taps, phase = [3 + 2 * k for k in range(rank)], [4 + 2 * k for k in range(rank)]
    turned = np.flip(wide, tuple(taps)).transpose(0, *phase, 2, 1, *taps)
    whole = group * outputs * int(np.prod(phases))
    return turned.reshape(whole, channels // group, *(a.taps for a in axes))


def _repeated(node: OnnxNode, axes: list[Axis], row: Numbers) -> Numbers:
    """A number per output, or one per output of a group, for each phase of each output."""
    group, phases = node.whole("group", 1), int(np.prod([axis.stride for axis in axes]))
    outputs = node.require(1).shape[1]
    grouped = row.reshape(group if row.size == group * outputs else 1, 1, outputs)
    return np.broadcast_to(grouped, (group, phases, outputs)).reshape(-1)


def _weights(node: OnnxNode, axes: list[Axis], parts: Parts) -> list[str]:
    weight, bias = node.require(1), node.operand(2)
    assert weight.data is not None  # a rule
    channels, outputs = weight.shape[:2]
    taps = math.prod(axis.taps * axis.stride for axis in axes)
    parts.builder.spend(node, channels * outputs * taps)
    stored: StoredIntegers | None = weight.stored
    if stored is not None:
        scale = stored.scale.reshape(-1)
        if scale.size > 1:
            scale = _repeated(node, axes, scale)
        scale = scale.reshape(-1, *(1,) * (len(weight.shape) - 1))
        stored = replace(stored, integers=_phased(node, axes, stored.integers), scale=scale)
    names = [parts.constant("weight", _phased(node, axes, weight.data), stored)]
    if bias is not None and bias.data is not None:
        names.append(_bias(node, axes, parts))
    return names


def _bias(node: OnnxNode, axes: list[Axis], parts: Parts) -> str:
    bias = node.require(2)
    assert bias.data is not None  # a rule
    stored = bias.stored
    if stored is not None:
        scale = stored.scale if stored.scale.size == 1 else _repeated(node, axes, stored.scale)
        stored = replace(stored, integers=_repeated(node, axes, stored.integers), scale=scale)
    return parts.constant("bias", _repeated(node, axes, bias.data), stored)


def _lower_conv_transpose(node: OnnxNode, builder: GraphBuilder) -> None:
    axes, parts = _axes(node), Parts(node, builder)
    source = builder.use(node.require(0))
    # results far from the rim do not meet the first and last entries
    shape = parts.shape(source)
    ends = (size + min(0, axis.behind) for size, axis in zip(shape[2:], axes, strict=True))
    starts = (max(0, -axis.front) for axis in axes)
    source = parts.box("used", source, (0, 0, *starts), (*shape[:2], *ends))
    attributes: dict[str, Attribute] = {
        "strides": (1,) * len(axes),
        "dilations": tuple(axis.dilation for axis in axes),
        "pads": (*(max(0, a.front) for a in axes), *(max(0, a.behind) for a in axes)),
        "group": node.whole("group", 1),
    }
    is_plain = all(axis.stride == 1 for axis in axes)
    output = node.outputs[0] if is_plain else ""
    inputs = (source, *_weights(node, axes, parts))
    made = parts.put(
        "" if is_plain else "phases", "Conv", *inputs, attributes=attributes, output=output
    )
    if not is_plain:
        _interleave(node, axes, parts, made)


def _interleave(node: OnnxNode, axes: list[Axis], parts: Parts, made: str) -> None:
    """Channels (group, *phases, outputs) of each pixel become pixels, in channels-last order."""
    rank, batch = len(axes), node.require(0).shape[0]
    group, outputs = node.whole("group", 1), node.require(1).shape[1]
    last = parts.transpose("last", made, (0, *range(2, rank + 2), 1))
    phases = [axis.stride for axis in axes]
    windows = [axis.windows for axis in axes]
    apart = parts.reshape("apart", last, (batch, *windows, group, *phases, outputs))
    pairs = [place for k in range(rank) for place in (1 + k, 2 + rank + k)]
    beside = parts.transpose("beside", apart, (0, *pairs, 1 + rank, 2 + 2 * rank))
    sizes = [count * phase for count, phase in zip(windows, phases, strict=True)]
    image = parts.reshape("image", beside, (batch, *sizes, group * outputs))
    kept = parts.transpose("first", image, (0, rank + 1, *range(1, rank + 1)))
    begin = (axis.begin for axis in axes)
    end = (axis.begin + axis.outputs for axis in axes)
    kept = parts.box("kept", kept, (0, 0, *begin), (*parts.shape(kept)[:2], *end))
    parts.put("", "Reshape", kept, target=parts.shape(kept), output=node.outputs[0])


SUPPORT = (
    Support(
        "ConvTranspose",
        "Conv of all phases; Reshape and Transpose interleave them, Slice",
        (
            float_inputs,
            data_is_computed_image,
            kernel_is_constant,
            transposed_bias_fits,
            transposed_scales_are_per_output,
            kernel_integers_fit,
            transposed_groups_fit,
            kernel_shape_agrees,
            window_lists_fit,
            output_lists_fit,
            auto_pad_is_known,
            outputs_meet_the_input,
        ),
        _lower_conv_transpose,
    ),
)
