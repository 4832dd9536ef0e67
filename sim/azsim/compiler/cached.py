"""Compiled programs kept by content: graph, ranges, plan, azsim's own sources, and of the chip the
keys that the compiler read: chips that differ in others share a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from azsim.cache import ContentCache, content_key, content_parts, open_cache, source_key
from azsim.compiler import lower_integers, program_limits
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.ranges import Ranges
from azsim.compiler.reads import read_values, recorded_chip
from azsim.config import ChipConfig
from azsim.errors import CacheError, CompileError, ModelError
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.program import Program, load_program, verify_program, write_program


def graph_key(graph: Graph) -> str:
    """Hash over everything a graph is: nodes, constants, grids, properties."""
    return content_key(content_parts(graph))


def compile_cached(
    chip: ChipConfig,
    ranges: Ranges,
    plan: CompressionPlan,
    key: str,
    integers: Callable[[], IntegerGraph],
) -> Program:
    """The program of `lower_integers`, or the one it made for the same content before.

    `key` names the content of the float graph; `integers` gives its integer graph, and is not
    called where the program is known.

    Raises:
        CacheError: a cache entry that is damaged; it names the file to delete.
        ConfigError: $AZSIM_CACHE_MB is not a whole number.
    """
    cache = open_cache()
    index = _Index(cache, content_key(content_parts(("program", source_key(), key, ranges, plan))))
    program = index.find(chip)
    if program is None:
        recorded, reads = recorded_chip(chip)
        program = lower_integers(integers(), recorded)
        index.store(program, chip, tuple(sorted(reads)))
    return program


class _Index:
    """Programs of one graph and plan for all chips: by the keys that the compiler read of a chip.

    Which keys these were is an entry too. It may lose what another process adds at the same moment;
    then a program is compiled once more.
    """

    def __init__(self, cache: ContentCache, about: str) -> None:
        self._cache, self._about = cache, about

    def find(self, chip: ChipConfig) -> Program | None:
        """The program for `chip`, stamped with its name; None if there is none."""
        for names in self._known():
            name = self._program_name(chip, names)
            entry = None if name is None else self._cache.find(name)
            program = None if entry is None else _loaded(entry, chip)
            if program is not None:
                return replace(program, chip=chip.name, config_hash=chip.config_hash())
        return None

    def store(self, program: Program, chip: ChipConfig, names: tuple[str, ...]) -> None:
        """Keep a program that was compiled for `chip` with a look at the keys `names`."""
        name = self._program_name(chip, names)
        if name is None:
            return
        self._cache.store(name, partial(write_program, program))
        known = self._known()
        if names not in known:
            text = json.dumps([*known, names])
            self._cache.store(f"{self._about}.json", lambda path: _write_new(path, text))

    def _known(self) -> list[tuple[str, ...]]:
        entry = self._cache.find(f"{self._about}.json")
        if entry is None:
            return []
        try:
            return [tuple(map(str, names)) for names in json.loads(entry.read_bytes())]
        except (OSError, ValueError, TypeError):
            if not entry.exists():  # another process has just made room
                return []
            raise CacheError(f"{entry}: cache entry is damaged and must be deleted") from None

    def _program_name(self, chip: ChipConfig, names: tuple[str, ...]) -> str | None:
        values = read_values(chip, names)
        if values is None:
            return None
        return f"{content_key(content_parts((self._about, values)))}.azp"


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


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
