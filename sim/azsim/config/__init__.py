"""Chip files: schema, loading with overrides, area proxy. Knows no program and no engine."""

from azsim.config.area import AreaProxy, AreaRow, area_proxy
from azsim.config.chip import ChipConfig
from azsim.config.load import chip_names, chip_to_yaml, load_chip, override_chip, parse_chip
from azsim.config.schema import (
    OP_CLASSES,
    ActivationBuffer,
    Dma,
    Energy,
    LeakageRange,
    MacArray,
    Memory,
    OpClass,
    Sequencer,
    VectorOp,
    VectorUnit,
    WeightBuffer,
    WeightDecoder,
    WeightStore,
)

__all__ = [
    "OP_CLASSES",
    "ActivationBuffer",
    "AreaProxy",
    "AreaRow",
    "ChipConfig",
    "Dma",
    "Energy",
    "LeakageRange",
    "MacArray",
    "Memory",
    "OpClass",
    "Sequencer",
    "VectorOp",
    "VectorUnit",
    "WeightBuffer",
    "WeightDecoder",
    "WeightStore",
    "area_proxy",
    "chip_names",
    "chip_to_yaml",
    "load_chip",
    "override_chip",
    "parse_chip",
]
