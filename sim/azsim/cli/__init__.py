"""The `azsim` command: the only place that prints, catches `AzsimError` and sets exit codes.

0: done; 1: a check the user asked for did not hold; 2: something the user must mend, said in one line; 130: Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from azsim.errors import AzsimError

if TYPE_CHECKING:
    from typer.exceptions import TyperException


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: list[str]) -> int:
    """Run one command line; return its exit code. Errors of the user are printed in one line."""
    import typer
    from typer.exceptions import TyperException

    from azsim.cli.app import app

    try:
        result = app(arguments, prog_name="azsim", standalone_mode=False)
    except AzsimError as error:
        return _fail(str(error))
    except TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        print("azsim: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `azsim disasm ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _usage(error: TyperException) -> int:
    """Wrong words on the command line: one line, or the help if there were none."""
    show = getattr(error, "show", None)
    if type(error).__name__ == "NoArgsIsHelpError" and show is not None:
        show()
        return 2
    return _fail(error.format_message())


def _fail(text: str) -> int:
    print(f"azsim: {' '.join(text.split())}", file=sys.stderr)
    return 2
