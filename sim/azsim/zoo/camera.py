"""The camera nets: person detector, wink classifier, segmentation, and public anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from azsim.zoo.camera_blocks import Block, Map, block, conv, depthwise, eighths, image, mean
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import RELU_RMS, Net, Recipe

PUBLIC, RECONSTRUCTION = "public shapes", "reconstruction"
FRAME_MS = 100  # 10 pictures a second, assumed for all

# -- MobileNetV2: outputs, expansion, repeats, stride of the first --------------------------------

_V2_STAGES = (
    (16, 1, 1, 1), (24, 6, 2, 2), (32, 6, 3, 2), (64, 6, 4, 2), (96, 6, 3, 1), (160, 6, 3, 2),
    (320, 6, 1, 1),
)  # fmt: skip
_V2_LAST = 1280


def _backbone(maker: NetMaker, x: Map, blocks: Sequence[Block]) -> Map:
    for number, shape in enumerate(blocks):
        x = block(maker, f"block{number}", x, shape)
    return x


def _v2_blocks(fused: Sequence[int] = (), dilated_from: int = 99) -> list[Block]:
    """Blocks of MobileNetV2. `fused`: numbers of the stages (0 is the first with expansion) whose
    blocks are fused; from stage `dilated_from` on, strides are dilations instead."""
    blocks: list[Block] = []
    dilation = 1
    for number, (outputs, expansion, repeats, stride) in enumerate(_V2_STAGES, start=-1):
        kind = "fused" if number in fused else "ibn"
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            kernel_dilation = dilation
            if number >= dilated_from and step > 1:
                dilation, step = dilation * step, 1
            shape = Block(kind, outputs, expansion, 3, step)
            blocks.append(replace(shape, dilation=kernel_dilation))
    return blocks


def _mobilenet_v2(maker: NetMaker, side: int, classes: int) -> None:
    x = conv(maker, "stem", image(maker, side), 32, 3, 2)
    x = _backbone(maker, x, _v2_blocks())
    x = conv(maker, "last", x, _V2_LAST)
    _scores(maker, x, classes)


def _scores(maker: NetMaker, x: Map, classes: int) -> None:
    # a mean of many positions deviates less than one of them; bias and few outputs bear it
    y = maker.dense(DenseLayer("dense", x.channels, classes), mean(maker, x), RELU_RMS)
    maker.operator("Identity", "output", [y], "scores")
    maker.output("scores", (1, classes))


# -- MobileNetEdgeTPU ---------------------------------------------------------------------------


def _edgetpu_blocks(width: float) -> list[Block]:
    def stage(
        kind: str, outputs: int, repeats: int, stride: int, first: float, rest: float, kernel: int
    ) -> list[Block]:
        channels = eighths(outputs * width)
        head = Block(kind, channels, first, kernel, stride, residual=False)
        return [head, *[Block(kind, channels, rest, kernel)] * (repeats - 1)]

    return [
        *stage("fused", 16, 1, 1, 1, 1, 3),
        *stage("fused", 32, 4, 2, 8, 4, 3),
        *stage("fused", 48, 4, 2, 8, 4, 3),
        *stage("ibn", 96, 4, 2, 8, 4, 3),
        *stage("ibn", 96, 4, 1, 8, 4, 3),
        *stage("ibn", 160, 4, 2, 8, 4, 5),
        *stage("ibn", 192, 1, 1, 8, 8, 3),
    ]


def _mobilenet_edgetpu(maker: NetMaker, width: float) -> None:
    x = conv(maker, "stem", image(maker, 224), eighths(32 * width), 3, 2)
    x = _backbone(maker, x, _edgetpu_blocks(width))
    x = conv(maker, "last", x, 1280)
    _scores(maker, x, 1001)


# -- MobileDet with SSDLite heads ---------------------------------------------------------------

_ANCHORS, _BOX = 6, 4
# maps behind the backbone: outputs; each halves the side
_EXTRA_MAPS = (512, 256, 256, 128)


def _mobiledet_blocks(mixed: bool) -> list[list[Block]]:
    """Backbone of MobileDet-EdgeTPU up to C4 and to C5; not `mixed`: all inverted residuals."""
    full = "fused" if mixed else "ibn"

    def group(*shapes: Block) -> list[Block]:
        return [replace(shapes[0], residual=False), *shapes[1:]]

    first = (
        Block("tucker", 16, 0.25, output_share=0.75) if mixed else Block("ibn", 16, 2)
    )  # the first is our own choice for the net without full convolutions
    c4 = [
        *group(first),
        *group(Block(full, 16, 8, 3, 2), Block(full, 16, 4), Block(full, 16, 8),
               Block(full, 16, 4)),
        *group(Block(full, 40, 8, 5, 2), *[Block(full, 40, 4)] * 3),
        *group(Block("ibn", 72, 8, 3, 2), Block("ibn", 72, 8), *[Block(full, 72, 4)] * 2),
        *group(Block("ibn", 96, 8, 5), Block("ibn", 96, 8, 5), *[Block("ibn", 96, 8)] * 2),
    ]  # fmt: skip
    c5 = [
        *group(Block("ibn", 120, 8, 5, 2), Block("ibn", 120, 8), Block("ibn", 120, 4, 5),
               Block("ibn", 120, 8)),
        *group(Block("ibn", 384, 8, 5)),
    ]  # fmt: skip
    return [c4, c5]


def _mobiledet(
    maker: NetMaker, side: int, mixed: bool, width: float, classes: int, heads: bool = True
) -> None:
    """MobileDet-EdgeTPU on pictures of `side`; `width` scales channels; `classes` counts the
    background. Outputs: scores and boxes of each of six maps (none without `heads`)."""
    x = conv(maker, "stem", image(maker, side), eighths(32 * width), 3, 2)
    maps: list[Map] = []
    number = 0
    for part in _mobiledet_blocks(mixed):
        for shape in part:
            scaled = replace(shape, outputs=eighths(shape.outputs * width))
            x = block(maker, f"block{number}", x, scaled)
            number += 1
        maps.append(x)
    if heads:
        _ssdlite(maker, maps, classes)


def _ssdlite(maker: NetMaker, maps: list[Map], classes: int) -> None:
    for number, outputs in enumerate(_EXTRA_MAPS):
        x = conv(maker, f"extra{number}.reduce", maps[-1], outputs // 2)
        x = depthwise(maker, f"extra{number}.depthwise", x, 3, 2)
        maps.append(conv(maker, f"extra{number}.expand", x, outputs))
    for number, x in enumerate(maps):
        for kind, columns in (("boxes", _ANCHORS * _BOX), ("scores", _ANCHORS * classes)):
            name = f"{kind}{number}"
            y = depthwise(maker, f"{name}.depthwise", x, 3)
            conv(maker, f"{name}.project", y, columns, relu=False, result=name)
            maker.output(name, (1, columns, y.height, y.width))


# -- segmentation -------------------------------------------------------------------------------

_SEG_HIDDEN, _SEG_CLASSES = 128, 32


def _segmentation(maker: NetMaker, side: int, fused: Sequence[int]) -> None:
    """MobileNetV2 to a sixteenth of the side, 1x1 to 128, 1x1 to 32 classes; `fused` stages."""
    x = conv(maker, "stem", image(maker, side), 32, 3, 2)
    x = _backbone(maker, x, _v2_blocks(fused, dilated_from=4))
    x = conv(maker, "hidden", x, _SEG_HIDDEN)
    x = conv(maker, "classes", x, _SEG_CLASSES, relu=False, result="scores")
    maker.output("scores", (1, _SEG_CLASSES, x.height, x.width))


# -- wink classifier ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plain:
    """Plain 3x3 convolutions: outputs of the first, then outputs and repeats, halving each time."""

    stem: int
    stages: tuple[tuple[int, int], ...]


def _blink(maker: NetMaker, side: int, shape: _Plain) -> None:
    x = conv(maker, "stem", image(maker, side), shape.stem, 3, 2)
    for stage, (outputs, repeats) in enumerate(shape.stages):
        for repeat in range(repeats):
            stride = 2 if repeat == 0 else 1
            x = conv(maker, f"stage{stage}.{repeat}", x, outputs, 3, stride)
    _scores(maker, x, 2)


# -- the table ----------------------------------------------------------------------------------

_DETECTOR = (
    "Backbone and heads of the public MobileDet code (EdgeTPU variant) and SSDLite, 2 classes with"
    " the background; that the product's detector is like it is our assumption."
)
_INVERTED = " Without full convolutions it is our own variant of it."
_EDGETPU = "Public MobileNetEdgeTPU v1 code (990 M and 624 M MACs published), 1001 classes."
_BLINK_BASE = "Public MobileNetV2 x1.0 at 160 x 160, 2 classes."
_BLINK = (
    "Reconstruction: a net of plain convolutions with 47 % less weights and activations than"
    " `blink_base`; layers are ours."
)
_SEGMENTATION = (
    "Reconstruction: public MobileNetV2 to a sixteenth of the side, 1x1 to 128, 32 classes; sizes"
    " and fused stages are ours."
)
_BLINK_EXPERT = _Plain(46, ((64, 1), (64, 2), (72, 3), (152, 5)))


def _entry(name: str, summary: str, label: str, source: str, net: Net) -> ZooEntry:
    return ZooEntry(name, None, summary, label, source, FRAME_MS, 8, 0.0, net)


def _presence(name: str, mixed: bool, width: float) -> ZooEntry:
    kinds = "full convolutions in the early stages" if mixed else "inverted residuals only"
    net = Recipe(partial(_mobiledet, side=320, mixed=mixed, width=width, classes=2))
    summary = f"Person detector, 320 x 320: {kinds}, width x{width:g}, SSDLite heads."
    source = _DETECTOR if mixed else _DETECTOR + _INVERTED
    return _entry(name, summary, RECONSTRUCTION, source, net)


def _seg(name: str, side: int, *fused: int) -> ZooEntry:
    stages = ", ".join(map(str, fused))
    how = f"stages {stages} fused" if fused else "inverted residuals"
    net = Recipe(partial(_segmentation, side=side, fused=fused))
    summary = f"Segmentation, {side} x {side}, 32 classes: {how}."
    return _entry(name, summary, RECONSTRUCTION, _SEGMENTATION, net)


def _anchor(name: str, width: float) -> ZooEntry:
    summary = f"MobileNetEdgeTPU v1 x{width:g}, 224 x 224, 1001 classes."
    return _entry(name, summary, PUBLIC, _EDGETPU, Recipe(partial(_mobilenet_edgetpu, width=width)))


ENTRIES: tuple[ZooEntry, ...] = (
    _presence("presence_v0", mixed=False, width=1.0),
    _presence("presence_v1", mixed=False, width=0.75),
    _presence("presence_v2", mixed=True, width=1.0),
    _presence("presence_v3", mixed=True, width=0.75),
    _entry(
        "blink_base",
        "Wink classifier before the search: MobileNetV2 x1.0, 160 x 160, 2 classes.",
        PUBLIC,
        _BLINK_BASE,
        Recipe(partial(_mobilenet_v2, side=160, classes=2)),
    ),
    _entry(
        "blink_expert",
        "Wink classifier by hand: plain 3x3 convolutions 46-64-64x2-72x3-152x5, 160 x 160.",
        RECONSTRUCTION,
        _BLINK,
        Recipe(partial(_blink, side=160, shape=_BLINK_EXPERT)),
    ),
    _seg("seg_base", 512),
    _seg("seg_a", 512, 0),
    _seg("seg_b", 512, 0, 1),
    _seg("seg_c", 384),
    _seg("seg_d", 384, 0, 1),
    _seg("seg_e", 256, 0, 1, 2),
    _anchor("mnet_edgetpu", 1.0),
    _anchor("mnet_edgetpu_075", 0.75),
)
