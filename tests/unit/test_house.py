"""House rules that no other tool enforces: sizes, who calls kernels, bounds checks at work."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from azsim_kernels._jit import kernel

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted(path for root in ("sim", "kernels") for path in (REPOSITORY / root).rglob("*.py"))
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80
MEAN_FUNCTION_LINES = 14
P95_FUNCTION_LINES = 40


def functions() -> Iterator[tuple[str, int]]:
    """Yield (place, lines of its body without the docstring) of each function of the sources."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
                lines = (node.end_lineno or node.lineno) - first.lineno + 1
                yield f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}", lines


@pytest.mark.small
def test_files_are_short_enough_to_be_read() -> None:
    tests = sorted((REPOSITORY / "tests").rglob("*.py"))
    lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in [*SOURCES, *tests]}
    assert [str(path) for path, lines in lengths.items() if lines >= MAX_FILE_LINES] == []


@pytest.mark.small
def test_functions_are_short_enough_to_be_read() -> None:
    sizes = sorted(functions(), key=lambda item: item[1])
    assert [item for item in sizes if item[1] > MAX_FUNCTION_LINES] == []
    lines = [item[1] for item in sizes]
    assert sum(lines) / len(lines) <= MEAN_FUNCTION_LINES
    assert lines[len(lines) * 95 // 100] <= P95_FUNCTION_LINES


def test_only_the_engine_and_the_codec_call_compiled_kernels() -> None:
    graph = grimp.build_graph("azsim", "azsim_kernels", include_external_packages=True)
    importers = graph.find_modules_that_directly_import("azsim_kernels._jit")
    compiled = {module for module in importers if module.startswith("azsim_kernels.")}
    assert compiled, "no compiled module found: the rule would hold for the wrong reason"
    callers = {
        importer
        for module in compiled
        for importer in graph.find_modules_that_directly_import(module)
        if importer.split(".")[0] == "azsim"
    }
    allowed = ("azsim.engine", "azsim.codec")
    assert [caller for caller in sorted(callers) if not caller.startswith(allowed)] == []


@kernel
def _element(array: NDArray[np.int64], index: int) -> int:
    return int(array[index])


@pytest.mark.small
def test_bounds_are_checked_where_asked_for() -> None:
    """numba's cache forgets whether bounds were checked: an old entry would make the checks a sham.

    The first call fills the cache in a run without checks, so that a run with checks that shares
    the cache fails here.
    """
    assert _element(np.arange(3), 2) == 2
    if numba.config.BOUNDSCHECK or numba.config.DISABLE_JIT:
        with pytest.raises(IndexError):
            _element(np.arange(3), 7)
