"""The screen: as wide as the terminal; 100 columns in a pipe or file, so that scripts see the same
lines everywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from azsim.cli import drop_output

PLAIN_COLUMNS = 100


class _Screen(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Tell the caller; Rich itself would exit with code 1."""
        raise BrokenPipeError


def screen() -> Console:
    """The console for results on standard output; $COLUMNS, if set, decides its width.

    Raises BrokenPipeError when the reader has gone.
    """
    console = _Screen(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = PLAIN_COLUMNS
    return console


def plain_table(*titles: str, numbers: Collection[str] = ()) -> Table:
    """A table without lines whose last column takes what is left of the width; the columns
    `numbers` end at the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True, justify="right" if title in numbers else "left")
    table.add_column(titles[-1], overflow="fold")
    return table


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print inside; if the reader of a pipe goes away (`| head`), what is left is not printed."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
