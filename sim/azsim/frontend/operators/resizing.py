"""Resize: nearest neighbours become a choice of entries, linear a blend of two, all else a constant
matrix, axis by axis."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.resize_weights import Kernel, resize_matrix
from azsim.frontend.parts import Parts
from azsim.frontend.rules import Support, constant_parameters, float_data
from azsim.graph.text import quoted
from azsim.graph.types import Attribute

COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners",
    "tf_crop_and_resize",
)  # fmt: skip
POLICIES = ("stretch", "not_larger", "not_smaller")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
ROI, SCALES, SIZES = 1, 2, 3
HALF = Fraction(1, 2)


# -- rules --------------------------------------------------------------------------------------


def mode_is_known(node: OnnxNode) -> str | None:
    """mode must be nearest, linear or cubic; antialias, exclude_outside and tf_crop_and_resize only
    with linear or cubic."""
    mode = node.word("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        return quoted(mode)
    for name in ("antialias", "exclude_outside"):
        if node.whole(name, 0) and mode == "nearest":
            return f"{name} {node.whole(name, 0)} with nearest"
    return "a crop with nearest" if _is_crop(node) and mode == "nearest" else None


def cubic_number_is_finite(node: OnnxNode) -> str | None:
    """cubic_coeff_a must be finite and at most 4 in size."""
    number = node.real("cubic_coeff_a", -0.75)
    return None if abs(number) <= 4 else f"{number:g}"


def crop_is_sound(node: OnnxNode) -> str | None:
    """tf_crop_and_resize must have a roi with a finite start and end for each axis (all of it where
    the size stays: else ONNX and ONNX Runtime differ), and where these leave the input
    extrapolation_value must be 0."""
    if not _is_crop(node):
        return None
    roi, count = _given(node, ROI), 2 * len(_chosen_axes(node))
    if len(roi) != count or not all(abs(entry) < 1 << 20 for entry in roi):
        return f"({', '.join(f'{entry:g}' for entry in roi[:8])})"
    value = node.real("extrapolation_value", 0.0)
    shape, target = node.require(0).shape, resized(node) or []
    moved = [k for k, (new, _) in enumerate(target) if new == shape[k] and _is_moved(node, k)]
    if moved:
        return f"a part of axis {moved[0]}"
    outside = any(
        place is None
        for axis, (new, scale) in enumerate(target)
        for place in places_of(node, axis, shape[axis], new, scale)
    )
    return f"{value:g}" if outside and value != 0.0 else None


def coordinates_are_known(node: OnnxNode) -> str | None:
    """coordinate_transformation_mode must be half_pixel, half_pixel_symmetric, pytorch_half_pixel,
    asymmetric, align_corners or tf_crop_and_resize."""
    mode = node.word("coordinate_transformation_mode", "half_pixel")
    return None if mode in COORDINATES else quoted(mode)


def rounding_is_known(node: OnnxNode) -> str | None:
    """nearest_mode must be round_prefer_floor, round_prefer_ceil, floor or ceil."""
    mode = node.word("nearest_mode", ROUNDINGS[0])
    return None if mode in ROUNDINGS else quoted(mode)


def aligned_corners_are_whole(node: OnnxNode) -> str | None:
    """with align_corners, scales must give whole sizes (elsewhere ONNX and ONNX Runtime differ)."""
    if node.word("coordinate_transformation_mode", "half_pixel") != "align_corners":
        return None
    for old, (new, scale) in zip(node.require(0).shape, resized(node) or (), strict=False):
        if old * scale != new:
            return f"{float(old * scale):g}"
    return None


def policy_is_known(node: OnnxNode) -> str | None:
    """keep_aspect_ratio_policy must be stretch, not_larger or not_smaller."""
    policy = node.word("keep_aspect_ratio_policy", "stretch")
    return None if policy in POLICIES else quoted(policy)


def target_is_sound(node: OnnxNode) -> str | None:
    """scales or sizes must be given, one positive entry per dimension (or per axis of axes)."""
    if resized(node) is not None:
        return None
    given = _given(node, SCALES) + _given(node, SIZES)
    return f"({', '.join(f'{entry:g}' for entry in given[:8])})"


# -- geometry -----------------------------------------------------------------------------------


def _given(node: OnnxNode, position: int) -> tuple[float, ...]:
    operand = node.operand(position)
    if operand is None or operand.data is None:
        return ()
    return tuple(float(entry) for entry in np.asarray(operand.data).reshape(-1))


def _is_crop(node: OnnxNode) -> bool:
    return node.word("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"


def _chosen_axes(node: OnnxNode) -> tuple[int, ...]:
    return node.wholes("axes") or tuple(range(len(node.require(0).shape)))


def resized(node: OnnxNode) -> list[tuple[int, Fraction]] | None:
    """New size and scale of every dimension; None where they do not work out."""
    shape = node.require(0).shape
    axes = _chosen_axes(node)
    if any(not -len(shape) <= axis < len(shape) for axis in axes):
        return None
    scales, sizes = _given(node, SCALES), _given(node, SIZES)
    given = scales or sizes
    is_sound = all(math.isfinite(entry) and entry > 0 for entry in given)
    if len(given) != len(axes) or (scales and sizes) or not is_sound:
        return None
    found = [(size, Fraction(1)) for size in shape]
    wanted = zip(axes, given, strict=True)
    common = _common_scale(node, [Fraction(int(entry), shape[axis]) for axis, entry in wanted])
    for axis, entry in zip(axes, given, strict=True):
        old = shape[axis]
        new = math.floor(old * entry) if scales else int(entry)
        # ONNX takes the stated scale where there is one; it is a float32
        scale = _rational(entry) if scales else Fraction(new, old)
        if sizes and common is not None:
            scale, new = common, math.floor(old * common + HALF)
        if not 1 <= new <= 1 << 20:
            return None
        found[axis] = (new, scale)
    return found


def _common_scale(node: OnnxNode, scales: list[Fraction]) -> Fraction | None:
    """The scale of all axes where the aspect ratio is kept, None where each has its own."""
    policy = node.word("keep_aspect_ratio_policy", "stretch")
    return {"not_larger": min, "not_smaller": max}[policy](scales) if policy != "stretch" else None


def _rational(scale: float) -> Fraction:
    """The fraction that a float32 scale stands for: 2/3 is not 0.6666667."""
    near = Fraction(scale).limit_denominator(4096)
    return near if np.float32(float(near)) == np.float32(scale) else Fraction(scale)


def coordinate(output: int, old: int, new: int, scale: Fraction, mode: str) -> Fraction:
    """Where output entry `output` lies among the `old` entries."""
    if mode == "align_corners":
        return Fraction(output * (old - 1), new - 1) if new > 1 else Fraction(0)
    if mode == "asymmetric":
        return output / scale
    if mode == "pytorch_half_pixel" and new == 1:
        return Fraction(0)
    if mode == "half_pixel_symmetric":  # the output stands in the middle of its unrounded size
        shift = Fraction(old, 2) * (1 - Fraction(new) / (old * scale))
        return shift + (output + HALF) / scale - HALF
    return (output + HALF) / scale - HALF


def places_of(
    node: OnnxNode, axis: int, old: int, new: int, scale: Fraction
) -> list[Fraction | None]:
    """Where the entries of a new axis lie; None outside of a crop's input."""
    mode = node.word("coordinate_transformation_mode", "half_pixel")
    if mode != "tf_crop_and_resize":
        return [coordinate(output, old, new, scale, mode) for output in range(new)]
    rank, axes = len(node.require(0).shape), [*_chosen_axes(node)]
    roi = [Fraction(entry) for entry in _given(node, ROI)]
    start, end = Fraction(0), Fraction(1)
    for position, chosen in enumerate(axes):
        if chosen % rank == axis:
            start, end = roi[position], roi[position + len(axes)]
    found: list[Fraction | None] = []
    for output in range(new):
        step = Fraction(output, new - 1) if new > 1 else HALF
        place = (start + step * (end - start)) * (old - 1)
        found.append(place if 0 <= place <= old - 1 else None)
    return found


def nearest(place: Fraction, mode: str) -> int:
    """The entry nearest to a coordinate."""
    if mode == "floor":
        return math.floor(place)
    if mode == "ceil":
        return math.ceil(place)
    return math.ceil(place - HALF) if mode == "round_prefer_floor" else math.floor(place + HALF)


# -- lowering -----------------------------------------------------------------------------------


def _lower_resize(node: OnnxNode, builder: GraphBuilder) -> None:
    target = resized(node) or []
    shape = node.require(0).shape
    changed = [axis for axis, (new, _) in enumerate(target) if new != shape[axis]]
    if not changed:
        builder.drop(node, node.require(0))
        return
    x = builder.use(node.require(0))
    for count, axis in enumerate(changed, 1):
        is_last = count == len(changed)
        y = node.outputs[0] if is_last else builder.fresh_value(f"{node.name}.axis{axis}")
        name = node.name if is_last else builder.fresh_node(f"{node.name}.axis{axis}")
        _lower_axis(node, builder, (name, x, y), axis, target[axis])
        x = y


def _is_moved(node: OnnxNode, axis: int) -> bool:
    """True if a crop takes other entries of an axis that keeps its size."""
    old = node.require(0).shape[axis]
    wanted = [Fraction(output) for output in range(old)]
    return _is_crop(node) and places_of(node, axis, old, old, Fraction(1)) != wanted


def _lower_matrix(
    node: OnnxNode,
    builder: GraphBuilder,
    names: tuple[str, str, str],
    axis: int,
    target: tuple[int, Fraction],
) -> None:
    """One axis as a product with a constant matrix."""
    (name, x, y), (new, scale), old = names, target, node.require(0).shape[axis]
    builder.spend(node, old * new)
    kernel = Kernel(
        node.word("mode", "linear"),
        node.real("cubic_coeff_a", -0.75),
        bool(node.whole("antialias", 0)),
        bool(node.whole("exclude_outside", 0)),
    )
    matrix = resize_matrix(places_of(node, axis, old, new, scale), old, scale, kernel)
    Parts(node, builder, name).along("", axis, x, matrix, y)


def _lower_axis(
    node: OnnxNode,
    builder: GraphBuilder,
    names: tuple[str, str, str],
    axis: int,
    target: tuple[int, Fraction],
) -> None:
    """One axis: a Take of the nearest entries, or a Blend of the two around each output."""
    mode, word = (
        node.word("coordinate_transformation_mode", "half_pixel"),
        node.word("mode", "nearest"),
    )
    special = any(node.whole(key, 0) for key in ("antialias", "exclude_outside"))
    if word == "cubic" or special or _is_crop(node):
        _lower_matrix(node, builder, names, axis, target)
        return
    (name, x, y), (new, scale), old = names, target, node.require(0).shape[axis]
    places = [coordinate(output, old, new, scale, mode) for output in range(new)]
    if word == "nearest":
        rounding = node.word("nearest_mode", ROUNDINGS[0])
        indices = tuple(min(max(nearest(place, rounding), 0), old - 1) for place in places)
        builder.emit(name, "Take", (x,), (y,), {"axis": axis, "indices": indices})
        return
    clamped = [min(max(place, Fraction(0)), Fraction(old - 1)) for place in places]
    low = tuple(min(math.floor(place), old - 1) for place in clamped)
    high = tuple(min(index + 1, old - 1) for index in low)
    weights = tuple(float(place - index) for place, index in zip(clamped, low, strict=True))
    attributes: dict[str, Attribute] = {"axis": axis, "low": low, "high": high, "weights": weights}
    builder.emit(name, "Blend", (x,), (y,), attributes)


SUPPORT = (
    Support(
        "Resize",
        "Take (nearest), Blend (linear) or MatMul (cubic, antialias, crop), axis by axis",
        (
            float_data,
            constant_parameters,
            mode_is_known,
            coordinates_are_known,
            rounding_is_known,
            policy_is_known,
            target_is_sound,
            aligned_corners_are_whole,
            cubic_number_is_finite,
            crop_is_sound,
        ),
        _lower_resize,
    ),
)
