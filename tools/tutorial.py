"""The tutorial: its commands for a test to run, and the same as a notebook.

    python tools/tutorial.py EMPTY_FOLDER    run all commands there, check what they print
    python tools/tutorial.py --notebook      write docs/tutorial.ipynb anew

Each ```sh block is a script; a ```text block behind it is what it must print, `...` standing for
anything, as in Python's doctest.
"""

from __future__ import annotations

import doctest
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import v4

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "tutorial.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
TIMEOUT_S = 900


@dataclass(frozen=True)
class Step:
    """A script and what it must print; "" if the page does not say."""

    script: str
    printed: str


def steps(text: str) -> Iterator[Step]:
    """Yield the scripts of the page with what is printed behind them."""
    blocks = BLOCK.findall(text)
    for number, (kind, body) in enumerate(blocks):
        following = blocks[number + 1] if number + 1 < len(blocks) else ("", "")
        if kind == "sh":
            yield Step(body, following[1] if following[0] == "text" else "")


def run_step(step: Step, folder: Path, environment: dict[str, str]) -> str:
    """Run a script in `folder`; return what is wrong with what it did, "" if nothing."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step.script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0 or done.stderr:
        return f"{step.script}exit code {done.returncode}\n{done.stderr}{done.stdout}"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if step.printed and not doctest.OutputChecker().check_output(step.printed, done.stdout, flags):
        return f"{step.script}must print\n{step.printed}but printed\n{done.stdout}"
    return ""


def environment() -> dict[str, str]:
    """What the scripts find: azsim of this Python, and the checkout."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "AZSIM_CHECKOUT": str(REPOSITORY)}


def notebook_text() -> str:
    """Return the notebook: the page's words as cells of text, its scripts as cells of bash."""
    text = PAGE.read_text(encoding="utf-8")
    text = text.replace("The same steps as a notebook:\n[tutorial.ipynb](tutorial.ipynb).\n", "")
    cells = []
    at = 0
    for found in BLOCK.finditer(text):
        cells.append(_cell("markdown", text[at : found.start()]))
        if found[1] == "sh":
            cells.append(_cell("code", "%%bash\n" + found[2]))
        at = found.end()
    cells.append(_cell("markdown", text[at:]))
    book = v4.new_notebook(cells=[cell for cell in cells if cell["source"]])
    book["metadata"]["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    nbformat.validate(book)
    return nbformat.writes(book) + "\n"


def _cell(kind: str, source: str) -> nbformat.NotebookNode:
    """Return a cell whose name follows from its text, so that equal pages give equal files."""
    make = v4.new_code_cell if kind == "code" else v4.new_markdown_cell
    name = hashlib.sha256(source.encode()).hexdigest()[:8]
    return make(source=source.strip(), id=name)


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    if arguments == ["--notebook"]:
        NOTEBOOK.write_text(notebook_text(), encoding="utf-8")
        return 0
    if len(arguments) != 1 or not Path(arguments[0]).is_dir() or os.listdir(arguments[0]):
        sys.stderr.write("usage: python tools/tutorial.py EMPTY_FOLDER | --notebook\n")
        return 2
    for step in steps(PAGE.read_text(encoding="utf-8")):
        wrong = run_step(step, Path(arguments[0]), environment())
        if wrong:
            sys.stderr.write(wrong)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
