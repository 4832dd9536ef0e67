"""Layers of a program grouped for a figure: the matrices and the cell of one LSTM are one group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.program import LayerInfo

# Okabe and Ito's palette for colour-blind readers (jfly.uni-koeln.de/color), without black and
# yellow.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREY = "#8C8C8C"
TRANSFERS = "DMA"  # operator of the row that takes loads of inputs and stores of outputs
NO_GROUP = -1


@dataclass(frozen=True)
class LayerGroups:
    """`names` in model order. `of_layer`: group of each layer row; the last place is no layer."""

    names: tuple[str, ...]
    of_layer: npt.NDArray[np.int64]

    def colour(self, group: int) -> str:
        """Colour of a group; neighbours differ."""
        return PALETTE[group % len(PALETTE)]

    def colour_numbers(self) -> npt.NDArray[np.int64]:
        """Place in (*PALETTE, GREY) of each layer row; grey for transfers and no layer."""
        numbers: npt.NDArray[np.int64] = np.where(
            self.of_layer == NO_GROUP, len(PALETTE), self.of_layer % len(PALETTE)
        )
        return numbers


def layer_groups(layers: tuple[LayerInfo, ...]) -> LayerGroups:
    """Group neighbours that share the part of their names before the last '/'."""
    names: list[str] = []
    of_layer: list[int] = []
    for layer in layers:
        if layer.operator == TRANSFERS:
            of_layer.append(NO_GROUP)
            continue
        name = layer.name.rpartition("/")[0] or layer.name
        if not names or names[-1] != name:
            names.append(name)
        of_layer.append(len(names) - 1)
    return LayerGroups(tuple(names), np.array([*of_layer, NO_GROUP], np.int64))
