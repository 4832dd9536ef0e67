"""The `azsim` command: the only place that prints, catches `AzsimError` and sets exit codes.

0: done; 1: a check the user asked for did not hold; 2: something the user must mend, said in one
line; 130: Ctrl-C (143: terminated). Results go to standard output, everything else to standard
error.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from azsim.errors import AzsimError

if TYPE_CHECKING:
    from typer.exceptions import TyperException

DONE, USER_ERROR, INTERRUPTED, TERMINATED = 0, 2, 130, 143


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    _prepare_streams()
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: list[str]) -> int:
    """Run one command line; return its exit code. Errors of the user are printed in one line."""
    try:
        code = _run(arguments)
        sys.stdout.flush()  # a full disk shows here at the latest
        return code
    except AzsimError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # `azsim disasm ... | head`: the reader has seen enough
        drop_output()
        return DONE
    except OSError as error:
        drop_output()
        where = "output" if error.filename is None else error.filename
        return _fail(f"{where}: {error.strerror or error}")
    except MemoryError:
        return _fail("not enough memory on this computer")


def _run(arguments: list[str]) -> int:
    import typer
    from typer.exceptions import TyperException

    from azsim.cli.app import app_for
    from azsim.cli.completing import answer_completion

    answer_completion()
    command = typer.main.get_command(app_for(arguments))
    try:
        # not app(...): it would turn Ctrl-C and closed pipes into exit codes of its own
        with command.make_context("azsim", list(arguments)) as context:
            result = command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        return _usage(error)
    return result if isinstance(result, int) else DONE


def _usage(error: TyperException) -> int:
    """Wrong words on the command line: one line, or the help if there were none."""
    show = getattr(error, "show", None)
    if type(error).__name__ == "NoArgsIsHelpError" and show is not None:
        show()
        return USER_ERROR
    return _fail(error.format_message())


def _fail(text: str) -> int:
    # names come from files: nothing in them may end the line or steer the terminal
    line = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    print(f"azsim: {line}", file=sys.stderr)
    return USER_ERROR


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C, so that nothing half-written is left behind."""
    raise SystemExit(TERMINATED)


def _prepare_streams() -> None:
    """Make sure that output can always be written: closed streams, names that are not Unicode."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  open to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def drop_output() -> None:
    """Send what is left for standard output nowhere, so that Python's exit stays quiet too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return  # no stream of the system, such as one that a test has put there
    finally:
        os.close(nowhere)
