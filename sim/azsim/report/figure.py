"""Figures that are equal for equal runs, without a display and without the user's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsim._atomic import replaced_file
from azsim.errors import ConfigError

if TYPE_CHECKING:  # loaded when a figure is drawn: it takes longer to load than everything else
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
DOTS_PER_INCH = 130


def save_figure(draw: Callable[[], Figure], path: Path) -> None:
    """Draw a figure; the suffix of `path` (.png, .pdf, .svg) is the format.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ConfigError(f"{path}: must end in .png, .pdf or .svg")
    import matplotlib

    no_date: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None},
        "svg": {"Date": None},
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "azsim"})
        figure = draw()
        with replaced_file(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=no_date[kind])


def plain(text: Any) -> None:
    """Show a name as it is: '$' in it starts no formula."""
    text.set_parse_math(False)
