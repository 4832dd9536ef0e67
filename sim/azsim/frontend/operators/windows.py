"""Conv and pooling: operators that slide a window over one or two spatial dimensions."""

from __future__ import annotations

import math

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
MAX_WINDOW = 1 << 20  # of a size, stride, dilation or padding


# -- rules --------------------------------------------------------------------------------------


def data_is_computed_image(node: OnnxNode) -> str | None:
    """the first input must be a computed tensor of 3 or 4 dimensions (batch, channels, ...)."""
    first = node.require(0)
    if first.data is not None:
        return f"the constant {quoted(first.name)}"
    return None if len(first.shape) in (3, 4) else f"of shape {shape_text(first.shape)}"


def kernel_is_constant(node: OnnxNode) -> str | None:
    """weights must be a constant with as many dimensions as the first input."""
    second = node.require(1)
    if second.data is None:
        return f"the computed {quoted(second.name)}"
    rank = len(node.require(0).shape)
    return None if len(second.shape) == rank else f"of shape {shape_text(second.shape)}"


def bias_is_constant(node: OnnxNode) -> str | None:
    """the bias must be a constant, one number per output channel."""
    third = node.operand(2)
    if third is None:
        return None
    if third.data is None:
        return f"the computed {quoted(third.name)}"
    outputs = node.require(1).shape[0]
    return None if third.shape == (outputs,) else f"of shape {shape_text(third.shape)}"


def kernel_scales_are_per_output(node: OnnxNode) -> str | None:
    """scales of quantized weights must be one, or one per output channel (dimension 0)."""
    return scales_off_axis(node.require(1), 0)


def kernel_integers_fit(node: OnnxNode) -> str | None:
    """quantized weights less their zero point must be -128 to 127."""
    return integers_beyond_8_bits(node.require(1))


def channels_fit_groups(node: OnnxNode) -> str | None:
    """group must be 1 or more and divide channels and outputs as the weights say."""
    group, weight, x = node.whole("group", 1), node.require(1).shape, node.require(0).shape
    if group < 1 or weight[0] % group or weight[1] * group != x[1]:
        return f"{group} with weights {shape_text(weight)} and {x[1]} channels"
    return None


def kernel_shape_agrees(node: OnnxNode) -> str | None:
    """kernel_shape must be the spatial shape of the weights."""
    stated = node.wholes("kernel_shape")
    actual = node.require(1).shape[2:]
    return None if stated is None or stated == actual else shape_text(stated)


def window_lists_fit(node: OnnxNode) -> str | None:
    """strides and dilations (1 or more) and pads (0 or more) must have one entry per spatial
    dimension, pads two."""
    rank = len(node.require(0).shape) - 2
    for name, count, least in (("strides", rank, 1), ("dilations", rank, 1), ("pads", 2 * rank, 0)):
        entries = node.wholes(name)
        if entries is None:
            continue
        if len(entries) != count or any(not least <= e <= MAX_WINDOW for e in entries):
            return f"{name} {shape_text(entries)}"
    return None


def auto_pad_is_known(node: OnnxNode) -> str | None:
    """auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, the latter without pads."""
    word = node.word("auto_pad", "NOTSET")
    if word not in AUTO_PADS:
        return quoted(word)
    both = word != "NOTSET" and any(node.wholes("pads") or ())
    return f"{word} with pads {shape_text(node.wholes('pads') or ())}" if both else None


def window_fits(node: OnnxNode) -> str | None:
    """the window must fit the padded input in each dimension."""
    spatial = node.require(0).shape[2:]
    attributes = window_attributes(node, kernel_of(node))
    pads, dilations = attributes["pads"], attributes["dilations"]
    for axis, size in enumerate(spatial):
        whole = size + pads[axis] + pads[axis + len(spatial)]
        reach = dilations[axis] * (kernel_of(node)[axis] - 1) + 1
        if reach > whole:
            return f"{reach} over {whole}"
    return None


def pool_window_is_known(node: OnnxNode) -> str | None:
    """kernel_shape must have one entry of 1 or more per spatial dimension."""
    stated, rank = node.wholes("kernel_shape") or (), len(node.require(0).shape) - 2
    is_right = len(stated) == rank and all(1 <= k <= MAX_WINDOW for k in stated)
    return None if is_right else shape_text(stated)


def only_largest_are_wanted(node: OnnxNode) -> str | None:
    """the output of indices must not be used, storage_order must be 0."""
    if len(node.outputs) > 1 and node.outputs[1]:
        return quoted(node.outputs[1])
    order = node.whole("storage_order", 0)
    return f"storage_order {order}" if order else None


def pads_are_smaller_than_the_window(node: OnnxNode) -> str | None:
    """each padding must be smaller than the window's reach."""
    kernel = kernel_of(node)
    attributes = window_attributes(node, kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, attributes["dilations"], strict=True)]
    pads = attributes["pads"]
    wrong = any(pad >= r for pad, r in zip(pads, (*reach, *reach), strict=True))
    return shape_text(pads) if wrong else None


# -- geometry -----------------------------------------------------------------------------------


def kernel_of(node: OnnxNode) -> tuple[int, ...]:
    """Spatial sizes of the window."""
    return node.wholes("kernel_shape") or node.require(1).shape[2:]


def window_attributes(node: OnnxNode, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Strides, dilations and pads of a node, auto_pad worked out."""
    rank = len(kernel)
    strides = node.wholes("strides") or (1,) * rank
    dilations = node.wholes("dilations") or (1,) * rank
    pads = node.wholes("pads") or (0,) * (2 * rank)
    word = node.word("auto_pad", "NOTSET")
    if word.startswith("SAME"):
        pads = _same_pads(node.require(0).shape[2:], kernel, strides, dilations, word)
    return {"strides": strides, "dilations": dilations, "pads": pads}


def _same_pads(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    word: str,
) -> tuple[int, ...]:
    """Padding that makes ceil(size / stride) outputs; the odd one behind (UPPER) or in front."""
    before, behind = [], []
    for size, k, s, d in zip(spatial, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        small, large = total // 2, total - total // 2
        before.append(small if word == "SAME_UPPER" else large)
        behind.append(large if word == "SAME_UPPER" else small)
    return (*before, *behind)


# -- lowering -----------------------------------------------------------------------------------


def _lower_conv(node: OnnxNode, builder: GraphBuilder) -> None:
    operands = [node.require(0), node.require(1), node.operand(2)]
    inputs = tuple(builder.use(operand) for operand in operands if operand is not None)
    attributes: dict[str, Attribute] = dict(window_attributes(node, kernel_of(node)))
    attributes["group"] = node.whole("group", 1)
    builder.emit(node.name, "Conv", inputs, node.outputs, attributes)


def _overhang(node: OnnxNode, attributes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Pads with what ceil_mode adds behind: a last window that still begins inside the image or its
    padding in front."""
    kernel = kernel_of(node)
    rank, pads = len(kernel), list(attributes["pads"])
    for axis, size in enumerate(node.require(0).shape[2:] if node.whole("ceil_mode", 0) else ()):
        stride = attributes["strides"][axis]
        reach = attributes["dilations"][axis] * (kernel[axis] - 1) + 1
        before, whole = pads[axis], size + pads[axis] + pads[axis + rank]
        outputs = -(-(whole - reach) // stride) + 1
        if (outputs - 1) * stride >= size + before:
            outputs -= 1
        pads[axis + rank] += max(0, (outputs - 1) * stride + reach - whole)
    return tuple(pads)


def _counts(
    node: OnnxNode, attributes: dict[str, tuple[int, ...]], pads: tuple[int, ...]
) -> list[int]:
    """How many elements each output row, then each output column, counts in a mean."""
    kernel, own = kernel_of(node), attributes["pads"]
    rank, found = len(kernel), []
    for axis, size in enumerate(node.require(0).shape[2:]):
        stride, dilation = attributes["strides"][axis], attributes["dilations"][axis]
        reach = dilation * (kernel[axis] - 1) + 1
        low, high = 0, size
        if node.whole("count_include_pad", 0):
            low, high = -own[axis], size + own[axis + rank]
        outputs = (size + pads[axis] + pads[axis + rank] - reach) // stride + 1
        for output in range(outputs):
            first = output * stride - pads[axis]
            taps = range(first, first + reach, dilation)
            found.append(sum(low <= tap < high for tap in taps))
    return found


def _lower_pool(node: OnnxNode, builder: GraphBuilder) -> None:
    stated = window_attributes(node, kernel_of(node))
    pads = _overhang(node, stated)
    attributes: dict[str, Attribute] = {**stated, "pads": pads, "kernel": kernel_of(node)}
    attributes["kind"] = "max" if node.operator == "MaxPool" else "mean"
    if node.operator == "AveragePool":
        attributes["counts"] = tuple(_counts(node, stated, pads))
    builder.emit(node.name, "Pool", (builder.use(node.require(0)),), node.outputs[:1], attributes)


def pool_attributes(node: OnnxNode) -> tuple[dict[str, Attribute], int]:
    """Attributes of a mean over whole windows, padding counted as zeros, and a window's size."""
    kernel, stated = kernel_of(node), window_attributes(node, kernel_of(node))
    pads = _overhang(node, stated)
    counts = []
    for axis, size in enumerate(node.require(0).shape[2:]):
        reach = stated["dilations"][axis] * (kernel[axis] - 1) + 1
        whole = size + pads[axis] + pads[axis + len(kernel)]
        counts += [kernel[axis]] * ((whole - reach) // stated["strides"][axis] + 1)
    attributes: dict[str, Attribute] = {
        **stated, "pads": pads, "kernel": kernel, "kind": "mean", "counts": tuple(counts),
    }  # fmt: skip
    return attributes, math.prod(kernel)


def _lower_global(node: OnnxNode, builder: GraphBuilder) -> None:
    spatial = node.require(0).shape[2:]
    ones, none = (1,) * len(spatial), (0,) * (2 * len(spatial))
    attributes: dict[str, Attribute] = {
        "kind": "max" if node.operator == "GlobalMaxPool" else "mean",
        "kernel": spatial, "strides": ones, "dilations": ones, "pads": none, "counts": spatial,
    }  # fmt: skip
    builder.emit(node.name, "Pool", (builder.use(node.require(0)),), node.outputs, attributes)


POOL_RULES = (
    float_inputs,
    data_is_computed_image,
    pool_window_is_known,
    window_lists_fit,
    auto_pad_is_known,
    pads_are_smaller_than_the_window,
    window_fits,
)

SUPPORT = (
    Support("MaxPool", "Pool", (*POOL_RULES, only_largest_are_wanted), _lower_pool),
    Support("AveragePool", "Pool", POOL_RULES, _lower_pool),
    Support("GlobalAveragePool", "Pool", (float_inputs, data_is_computed_image), _lower_global),
    Support("GlobalMaxPool", "Pool", (float_inputs, data_is_computed_image), _lower_global),
    Support(
        "Conv",
        "Conv",
        (
            float_inputs,
            data_is_computed_image,
            kernel_is_constant,
            bias_is_constant,
            kernel_scales_are_per_output,
            kernel_integers_fit,
            channels_fit_groups,
            kernel_shape_agrees,
            window_lists_fit,
            auto_pad_is_known,
            window_fits,
        ),
        _lower_conv,
    ),
)
