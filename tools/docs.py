"""Write the generated pages of docs/ anew, or with `--check` say which are stale (exit code 1)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from azsim.config.reference import config_markdown
from azsim.frontend import operators_markdown
from azsim.validate import validation_markdown
from azsim.zoo import zoo_markdown

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "config_reference.md": config_markdown,
    "operators.md": operators_markdown,
    "validation.md": validation_markdown,
    "zoo.md": zoo_markdown,
}


def stale_pages(folder: Path) -> list[str]:
    """Return the names of the generated pages that are missing in `folder` or differ from it."""
    return [name for name, text in PAGES.items() if read(folder / name) != text()]


def write_pages(folder: Path) -> None:
    """Write every generated page into `folder`, each first under a temporary name."""
    for name, text in PAGES.items():
        temporary = folder / f".{name}.tmp"
        temporary.write_text(text(), encoding="utf-8")
        os.replace(temporary, folder / name)


def read(path: Path) -> str | None:
    """Return the text of `path`, or None if there is no such file."""
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main(arguments: Sequence[str], folder: Path = DOCS) -> int:
    """Do what the command line says; return the exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python tools/docs.py [--check]\n")
        return 2
    if not arguments:
        write_pages(folder)
    for name in stale_pages(folder):
        sys.stderr.write(f"docs/{name}: must be what the sources say: run 'make docs'\n")
    return 1 if stale_pages(folder) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
