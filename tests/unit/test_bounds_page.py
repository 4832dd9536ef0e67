"""docs/bounds.md: every net on it spends at most 1.15 times its bound, or the page says why."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
from command import REPOSITORY

from azsim.zoo import zoo_table


def _tool() -> Any:
    spec = spec_from_file_location("bounds_tool", REPOSITORY / "tools" / "bounds.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["bounds_tool"] = module  # its data classes look themselves up
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
TEXT = TOOL.PAGE.read_text(encoding="utf-8")
ROWS = TOOL.read_page(TEXT)


def test_the_page_says_what_its_rows_say() -> None:
    """Order, figures and reasons are made anew from the numbers; a row that nothing explains is an
    error there."""
    assert len(ROWS) > 60
    names = [name for name in TOOL.shipped() if (name, "az1") in ROWS]
    assert TOOL.page_text(ROWS, names) == TEXT


def test_every_reason_is_explained() -> None:
    used = {row.reason() for row in ROWS.values()} - {""}
    explained = set(re.findall(r"^\* `(\w+)`:", TEXT, re.MULTILINE))
    assert used <= explained | set(TOOL.REASONS.values())


def test_a_row_beyond_the_rule_without_reason_is_an_error() -> None:
    row = next(row for row in ROWS.values() if not row.reason())
    slow = replace(row, cycles=10 * max(row.bound, row.in_turn) + 10**6 * row.layers)
    with pytest.raises(ValueError, match=r"^\S+ on \w+: [\d.]+ times its bound must have a reason"):
        slow.reason()


def test_small_nets_are_on_the_page_on_every_chip() -> None:
    """`tools/bounds.py --check` names those that lack."""
    first = [e.full_name for e in zoo_table() if e.name == "ep_final"]
    exported = [name for name in TOOL.shipped() if name.startswith("torch_export/")]
    assert len(first) == 3
    assert len(exported) == 3
    for name in (*first, *exported, "tiny_lstm"):
        assert all((name, chip) in ROWS for chip in TOOL.CHIPS), name


def test_figures_are_those_of_today() -> None:
    for name in ("tiny_lstm", "ep_final:decision"):
        for row in TOOL.measure(name, TOOL.shipped()[name]):
            assert row == ROWS[name, row.chip]
