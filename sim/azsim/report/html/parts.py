"""What a page consists of: sections with facts, texts, tables and figures; and how values look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from azsim.graph.text import one_line
from azsim.report.html.library import Figure

MOST_CHARACTERS = 120
MOST_LABEL_CHARACTERS = 26
MOST_ROWS = 2000
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Cell:
    """One cell of a table; `key` is what it is sorted by: a number, or else its text."""

    text: str
    key: float | None = None


@dataclass(frozen=True)
class Table:
    """A table that the reader can sort by any column and, if `search`, search for words.

    `numeric`: which columns are aligned right. `left_out`: rows that a page has no room for.
    `fold`: hidden behind `title` until opened.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    search: bool = False
    fold: bool = False
    left_out: int = 0

    @property
    def numeric(self) -> list[bool]:
        """Whether the cells of each column are numbers or empty."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns)
        return [
            any(cell.key is not None for cell in column)
            and all(cell.key is not None or not cell.text for cell in column)
            for column in columns
        ]


@dataclass(frozen=True)
class Plot:
    """A figure with its caption in words. `views`: names of sets of traces of which one is shown.
    `zoom`: gets buttons that move along x."""

    name: str
    caption: str
    figure: Figure
    views: dict[str, list[int]] = field(default_factory=dict)
    zoom: bool = False


@dataclass(frozen=True)
class Section:
    """One part of a page, in this order: texts, facts (name, value, remark), figures, tables."""

    name: str
    title: str
    texts: Sequence[str] = ()
    facts: Sequence[tuple[str, str, str]] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()


def short(name: str, characters: int = MOST_CHARACTERS) -> str:
    """Return a name on one line; of a long one the end, which tells layers apart."""
    text = one_line(name)
    return text if len(text) <= characters else "…" + text[1 - characters :]


def figure_text(name: str, characters: int = MOST_LABEL_CHARACTERS) -> str:
    """Return a name for a figure: plotly reads a few HTML tags in every text, so none may stay."""
    text = short(name, characters)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def number(value: Value, digits: int = 4) -> Cell:
    """Return a cell with a number: whole ones in full, others with some significant digits."""
    if value is None:
        return Cell("")
    if isinstance(value, bool | str):
        return Cell(short(str(value)))
    return Cell(number_text(value, digits), float(value))


def number_text(value: float, digits: int = 4) -> str:
    """Return a number as people read it: 1,234,567, 0.01235, 12.35."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    if abs(value) < 1e-6:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:.10f}".rstrip("0").rstrip(".")
    return text


def words(text: str) -> Cell:
    """Return a cell with a name or words."""
    return Cell(short(text))


def share(value: float, whole: float) -> float:
    """Return value / whole in percent; 0 of nothing."""
    return 100 * value / whole if whole else 0.0


def rounded(value: float, digits: int = 6) -> float:
    """Round to significant digits: what a figure needs, and equal on all machines."""
    return float(f"{value:.{digits}g}")


def axis_of_names(names: Sequence[str]) -> dict[str, Any]:
    """Return a y axis that has these names, which may repeat, from top to bottom at 0, 1, 2 ..."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": [figure_text(name) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "automargin": True,
        "fixedrange": True,
        "zeroline": False,
        "showgrid": False,
    }
