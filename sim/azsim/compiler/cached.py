"""Compiled programs kept by content: graph, ranges, plan, chip and azsim's own sources."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from azsim.cache import DEFAULT_LIMIT_BYTES, ContentCache, cache_folder, content_key, source_key
from azsim.compiler import compile_graph, program_limits
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.ranges import Ranges
from azsim.config import ChipConfig
from azsim.errors import CompileError, ConfigError, ModelError
from azsim.graph import Graph
from azsim.graph.text import quoted
from azsim.program import Program, load_program, verify_program, write_program

LIMIT_VARIABLE = "AZSIM_CACHE_MB"
_LIMIT_DIGITS = 9


def compile_cached(
    graph: Graph, chip: ChipConfig, ranges: Ranges, plan: CompressionPlan
) -> Program:
    """`compile_graph`, or the program it made for the same content before.

    Raises:
        ModelError: a cache entry that is damaged; it names the file to delete.
        ConfigError: $AZSIM_CACHE_MB is not a whole number.
    """
    cache = ContentCache(cache_folder("programs"), ".azp", _limit_bytes())
    key = content_key(_parts(graph, chip, ranges, plan))
    entry = cache.find(key)
    program = None if entry is None else _loaded(entry, chip)
    if program is None:
        program = compile_graph(graph, chip, ranges, plan).program
        cache.store(key, partial(write_program, program))
    return program


def _loaded(entry: Path, chip: ChipConfig) -> Program | None:
    """The program of a cache entry, checked as any program from a file; None if it has gone.

    Raises:
        ModelError: the entry is damaged.
    """
    try:
        program = load_program(entry)
        verify_program(program, program_limits(chip))
    except (ModelError, CompileError):
        if not entry.exists():  # another process has just made room
            return None
        raise ModelError(f"{entry}: cache entry is damaged and must be deleted") from None
    return program


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return DEFAULT_LIMIT_BYTES
    if not (text.isascii() and text.isdecimal() and len(text) <= _LIMIT_DIGITS):
        raise ConfigError(f"${LIMIT_VARIABLE}: must be a whole number of MB, not {quoted(text)}")
    return int(text) << 20


def _parts(
    graph: Graph, chip: ChipConfig, ranges: Ranges, plan: CompressionPlan
) -> Iterator[bytes | memoryview | str]:
    """Everything a program depends on."""
    yield source_key()
    yield chip.config_hash()
    yield plan.to_json()
    yield json.dumps([sorted(ranges.peak.items()), sorted(ranges.cell_peak.items())])
    yield repr((graph.name, graph.nodes, graph.inputs, graph.outputs, graph.states))
    yield json.dumps(sorted(graph.metadata.items()))
    for name, value in sorted(graph.values.items()):
        yield repr((name, value.shape, value.kind.value, value.is_index, value.quantization))
        arrays = [] if value.data is None else [value.data]
        if value.stored is not None:
            arrays += [value.stored.integers, value.stored.scale]
            yield f"stored in {value.stored.bits} bits"
        for array in arrays:
            data = np.ascontiguousarray(array)
            yield data.dtype.str
            yield data.reshape(-1).view(np.uint8).data
