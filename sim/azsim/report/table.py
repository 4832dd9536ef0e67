"""Tables in the form of SCALE-Sim: its header word for word, then columns of our own.

The leading columns are written the way SCALE-Sim writes them (", " between them, a comma behind
them), so that scripts that cut its lines keep working; docs/reports.md says what each column means
here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from azsim._atomic import replaced_file

Row = tuple[Sequence[str], Sequence[object]]  # leading cells, our cells


def write_table(path: Path, header: str, ours: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table to `path`; `header` ends with a comma, `ours` are the columns behind it.

    Raises:
        ConfigError: the file cannot be written.
    """
    lines = [header + _line(ours)]
    lines += [", ".join(leading) + "," + _line(own) for leading, own in rows]
    # a name from a model file may hold half of a surrogate pair, which UTF-8 has no bytes for
    with replaced_file(path) as temporary:
        temporary.write_text(
            "".join(lines), encoding="utf-8", errors="backslashreplace", newline=""
        )


def quotient(value: int, divisor: int) -> str:
    """Return a quotient with four decimals; 0 if there is nothing to divide by."""
    return f"{value / divisor if divisor else 0.0:.4f}"


def percent(value: int, whole: int) -> str:
    """Return a share in percent with four decimals; 0 if there is no whole."""
    return quotient(100 * value, whole)


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
