"""Sizes of the net, and the bits and zeros it is trained with."""

from __future__ import annotations

from dataclasses import dataclass

from tiny_rnnt.grammar import SYMBOLS

FEATURES = 192  # 3 frames of 64
STACK = 2  # outputs of the first layer side by side
LSTMS: dict[str, tuple[int, int]] = {  # inputs, cells
    "encoder.pre.0": (FEATURES, 256),
    "encoder.post.0": (STACK * 256, 256),
    "encoder.post.1": (256, 256),
    "prediction.0": (64, 128),
}
DENSES: dict[str, tuple[int, int]] = {  # inputs, outputs
    "joint.encoded": (256, 128),
    "joint.predicted": (128, 128),
    "joint.output": (128, SYMBOLS),
    "ctc": (256, SYMBOLS),  # in training only
}
EMBEDDING = "prediction.embedding.table"
EMBEDDED = 64

OUTPUT = "joint.output.W"  # makes the logits: always 8 bits
STORED_BITS = 8
MATRICES = (
    *(f"{name}.{part}" for name in LSTMS for part in ("W", "R")),
    *(f"{name}.W" for name in DENSES if name != "ctc"),
)


@dataclass(frozen=True)
class Setting:
    """Bits of the weights (None: floats) and share of zeros of every matrix; `steps`: batches that
    the float model is trained on with them."""

    name: str
    bits: int | None
    sparsity: float
    steps: int = 300

    def bits_of(self, name: str) -> int | None:
        """Bits of a matrix or of the table; biases stay as they are."""
        if name in (OUTPUT, EMBEDDING):
            return None if self.bits is None else STORED_BITS
        return self.bits if name in MATRICES else None


FLOAT = Setting("float", None, 0.0)
SETTINGS = (
    Setting("w8", 8, 0.0),
    Setting("w5", 5, 0.0),
    Setting("w4", 4, 0.0),
    Setting("w3", 3, 0.0),
    Setting("w2", 2, 0.0),
    Setting("w8_s50", 8, 0.5),
    Setting("w8_s75", 8, 0.75, steps=1500),
    Setting("w5_s50", 5, 0.5),
)
