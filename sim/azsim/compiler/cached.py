"""Compiled programs kept by content: graph, ranges, plan, chip and azsim's own sources."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from azsim.cache import content_key, content_parts, open_cache, source_key
from azsim.compiler import compress_weights, lower_integers, program_limits
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.ranges import Ranges
from azsim.config import ChipConfig
from azsim.errors import CacheError, CompileError, ModelError
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.program import Program, load_program, verify_program, write_program


def graph_key(graph: Graph) -> str:
    """Hash over everything a graph is: nodes, constants, grids, properties."""
    return content_key(content_parts(graph))


def compile_cached(
    graph: Graph,
    chip: ChipConfig,
    ranges: Ranges,
    plan: CompressionPlan,
    key: str | None = None,
    integers: Callable[[], IntegerGraph] | None = None,
) -> Program:
    """`compile_graph`, or the program it made for the same content before.

    `key` may name the content of `graph`, if the caller knows it already; `integers` may give its
    integer graph.

    Raises:
        CacheError: a cache entry that is damaged; it names the file to delete.
        ConfigError: $AZSIM_CACHE_MB is not a whole number.
    """
    cache = open_cache()
    parts = ("program", source_key(), key or graph_key(graph), chip.config_hash(), ranges, plan)
    name = f"{content_key(content_parts(parts))}.azp"
    entry = cache.find(name)
    program = None if entry is None else _loaded(entry, chip)
    if program is None:
        made = compress_weights(graph, ranges, plan) if integers is None else integers()
        program = lower_integers(made, chip)
        cache.store(name, partial(write_program, program))
    return program


def _loaded(entry: Path, chip: ChipConfig) -> Program | None:
    """The program of a cache entry, checked as any program from a file; None if it has gone.

    Raises:
        CacheError: the entry is damaged.
    """
    try:
        program = load_program(entry)
        verify_program(program, program_limits(chip))
    except (ModelError, CompileError):
        if not entry.exists():  # another process has just made room
            return None
        raise CacheError(f"{entry}: cache entry is damaged and must be deleted") from None
    return program
