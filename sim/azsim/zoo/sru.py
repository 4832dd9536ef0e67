"""A transducer's encoder of simple recurrent units: no gate sees the step before, so that all
products of a layer are one matrix on its input, and what recurs is element by element."""

from __future__ import annotations

from functools import partial

from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import Recipe

HIDDEN, PROJECTION, FEATURES = 2048, 640, 512
FAST_LAYERS, LAYERS = 2, 8
PARTS = ("candidate", "resized", "forget", "reset")
MIXED_RMS = 0.63  # of a layer's result in front of its projection


def sru_layer(
    maker: NetMaker, name: str, x: str, features: int, hidden: int, projection: int
) -> str:
    """One layer on x (1, features) of deviation 1; the result is (1, projection).

    c' = f c + (1 - f) candidate; h = r tanh(c') + (1 - r) resized; both written as one product
    each: a + f (b - a).
    """
    old = maker.state(f"{name}.c", (1, hidden))
    sums = maker.dense(DenseLayer(f"{name}.gates", features, 4 * hidden), x, 1.0)
    parts = [f"{name}.{part}" for part in PARTS]
    maker.node("Split", f"{name}.split", [sums], parts, axis=1)
    candidate, resized, forget_sum, reset_sum = parts
    forget = maker.operator("Sigmoid", f"{name}.forget_gate", [forget_sum])
    reset = maker.operator("Sigmoid", f"{name}.reset_gate", [reset_sum])
    new = _between(maker, f"{name}.cell", candidate, old, forget)
    maker.keep(old, new, (1, hidden))
    shown = maker.operator("Tanh", f"{name}.tanh", [new])
    y = _between(maker, f"{name}.mixed", resized, shown, reset)
    layer = DenseLayer(f"{name}.projection", hidden, projection, bias=False)
    return maker.dense(layer, y, MIXED_RMS)


def _between(maker: NetMaker, name: str, a: str, b: str, share: str) -> str:
    """a + share (b - a)."""
    difference = maker.operator("Sub", f"{name}.difference", [b, a])
    step = maker.operator("Mul", f"{name}.step", [share, difference])
    return maker.operator("Add", f"{name}.sum", [a, step])


def sru_encoder(
    maker: NetMaker, source: str, features: int, result: str, first: int, last: int
) -> None:
    """Layers `first` to `last` - 1 of the encoder on input `source` (1, 1, features)."""
    x = maker.reshape("row", maker.input(source, (1, 1, features)), (1, features))
    for number in range(first, last):
        x = sru_layer(maker, f"encoder.{number}", x, features, HIDDEN, PROJECTION)
        features = PROJECTION
    maker.reshape("step", x, (1, 1, PROJECTION))
    maker.operator("Identity", "encoder.output", ["step.y"], result)
    maker.output(result, (1, 1, PROJECTION))


_SOURCE = (
    "Reconstruction (no Amazon layer shape has been published, and this is none):"
    " rnnt_google_edge with an encoder of SRUs, the cheaper cell of a published study (arXiv"
    " 1909.12408); the cell is the public one of Google's lingvo (SRUCell: four matrices, coupled"
    " gates, projection, no norms; its cap of the cell at 10 is left out). That its layers are as"
    " wide as the LSTM's is an assumption; prediction and joint net are rnnt_google_edge's."
)


def _part(part: str, summary: str, frame_ms: int, net: Recipe) -> ZooEntry:
    return ZooEntry(
        "rnnt_google_edge_sru", part, summary, "reconstruction", _SOURCE, frame_ms, 8, 0.7, net
    )


ENTRIES: tuple[ZooEntry, ...] = (
    _part(
        "encoder_fast",
        f"RNN-T encoder, layers 1 and 2 of 8: {FEATURES} features each 30 ms, SRU 2048 projected"
        " to 640.",
        30,
        Recipe(partial(sru_encoder, source="features", features=FEATURES, result="fast",
                       first=0, last=FAST_LAYERS)),
    ),
    _part(
        "encoder_slow",
        "RNN-T encoder, layers 3 to 8 of 8: two results of the fast part each 60 ms, SRU 2048"
        " projected to 640.",
        60,
        Recipe(partial(sru_encoder, source="stacked", features=2 * PROJECTION, result="encoded",
                       first=FAST_LAYERS, last=LAYERS)),
    ),
)  # fmt: skip
