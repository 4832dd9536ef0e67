"""Write the API reference as HTML with pdoc: the names of `import azsim` and the rooms behind them.

    python tools/api_docs.py [FOLDER]      (default: build/api)

A name of `__all__` that is not there, or a page that cannot be made, ends with exit code 1.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

import azsim

REPOSITORY = Path(__file__).resolve().parents[1]
# What a user of the Python interface may touch; everything else is ours to change.
ROOMS = (
    "azsim",
    "azsim.codec",
    "azsim.compiler",
    "azsim.config",
    "azsim.counters",
    "azsim.energy",
    "azsim.engine",
    "azsim.errors",
    "azsim.frontend",
    "azsim.graph",
    "azsim.program",
    "azsim.reference",
    "azsim.report",
    "azsim.sweep",
    "azsim.zoo",
)


def write_api(folder: Path) -> None:
    """Write one page a room into `folder`, with an index and a search."""
    resolve_lazy_names()
    pdoc.render.configure(docformat="google", footer_text=f"azsim {azsim_version()}")
    rooms = [name for room in ROOMS for name in (room, f"!{room}.")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*rooms, output_directory=folder)


def resolve_lazy_names() -> None:
    """Load what `import azsim` leaves for later: pdoc reads a module's own names only."""
    for name in azsim.__all__:
        setattr(azsim, name, getattr(azsim, name))


def azsim_version() -> str:
    """Version of the package, for the foot of each page."""
    from azsim.api import azsim_version as version

    return version()


def main(arguments: list[str]) -> int:
    """Write the pages; return the exit code."""
    folder = Path(arguments[0]) if arguments else REPOSITORY / "build" / "api"
    try:
        write_api(folder)
    except (Warning, RuntimeError, AttributeError) as error:
        print(f"api_docs: {error}", file=sys.stderr)
        return 1
    print(folder / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
