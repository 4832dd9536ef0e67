"""Frozen types of a program: one step of a compressed net as commands and memory images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

# One compressed tile: where its stream words are, and which commands' layer it belongs to.
TILE_DTYPE = np.dtype(
    [
        ("address", np.int64),  # byte address of its first word, in DRAM or in the weight store
        ("words", np.int32),  # LEN, 64-bit words
        ("weights", np.int32),  # N, padded to a multiple of 256
        ("index", np.int32),  # index within its tensor's container
        ("layer", np.int32),
        ("source", np.int32),  # 0 = DRAM, 1 = weight store
        ("rows", np.int32),
        ("columns", np.int32),
        ("decode_cycles", np.int32),  # by the decoder law, with words always there
    ],
    align=True,
)


@dataclass(frozen=True)
class LayerInfo:
    """One row of the report: a node of the integer graph that costs something.

    `rows`, `columns`: the weight matrix, 0 for layers without weights. `weights`, `nonzeros` count
    matrix entries, `stream_bytes` the compressed stream they become, `activation_columns` the
    columns multiplied with each weight.
    """

    name: str
    operator: str
    rows: int = 0
    columns: int = 0
    activation_columns: int = 0
    bits: int = 0
    weights: int = 0
    nonzeros: int = 0
    stream_bytes: int = 0
    entropy_bytes: int = 0
    resident_bytes: int = 0  # of stream_bytes, kept in the on-chip weight store


@dataclass(frozen=True)
class Port:
    """A graph input or output in DRAM: real value = (integer - zero_point) * scale."""

    name: str
    address: int
    shape: tuple[int, ...]
    element: str  # int8, int16, int32
    scale: float
    zero_point: int
    index_rows: int = 0  # > 0: an index input; each number must be in 0..index_rows-1

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * np.dtype(self.element).itemsize


@dataclass(frozen=True)
class Region:
    """A named byte range of a memory ("dram", "abuf" or "store")."""

    memory: str
    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class Program:
    """One step. `commands` has dtype `azsim_kernels.isa.COMMAND`, `tiles` has `TILE_DTYPE`.

    `dram` and `store` are the memory images before the first step (uint8); `dram_bytes` is the part
    of DRAM that the program uses (image, inputs, outputs). `semaphore_kinds` and
    `semaphore_initial` are int64 arrays. `states` are the ranges of ABUF or DRAM that
    live from step to step; `config_hash` names the chip it was compiled for.
    """

    name: str
    chip: str
    config_hash: str
    commands: npt.NDArray[np.void]
    semaphore_kinds: npt.NDArray[np.int64]
    semaphore_initial: npt.NDArray[np.int64]
    tiles: npt.NDArray[np.void]
    layers: tuple[LayerInfo, ...]
    dram: npt.NDArray[np.uint8]
    store: npt.NDArray[np.uint8]
    dram_bytes: int
    abuf_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[Region, ...] = ()
    regions: tuple[Region, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
