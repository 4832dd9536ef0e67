"""A worker process of a local sweep: takes jobs from its pipe, journals and answers each.

It ends when its pipe closes, or when the process that started it has gone: a killed sweep leaves no
worker behind that would go on computing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from azsim.errors import AzsimError
from azsim.session import Session
from azsim.sweep.jobs import Outcome, Work
from azsim.sweep.journal import Journal
from azsim.sweep.materials import Materials

_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Setup:
    """First message to a worker."""

    materials: Materials
    journal: Path


@dataclass(frozen=True)
class Stopped:
    """A worker's last message: why nothing can be computed or kept, in one line, or a traceback."""

    text: str
    is_bug: bool


Message = Outcome | Stopped | None  # None: all jobs of a message are done


def serve(connection: Connection) -> None:
    """Answer messages until the pipe closes."""
    setup: Setup = connection.recv()
    journal, session = Journal(setup.journal), Session()
    while True:
        jobs: Sequence[Work] = connection.recv()
        for job in jobs:
            message = _answer(job, setup.materials, session, journal)
            connection.send(message)
            if isinstance(message, Stopped):
                return
        connection.send(None)


def _answer(job: Work, materials: Materials, session: Session, journal: Journal) -> Message:
    try:
        outcome = job.compute(materials, session)
        journal.add(outcome)
        return outcome
    except AzsimError as error:
        return Stopped(str(error), is_bug=False)
    except MemoryError:
        return Stopped("not enough memory on this computer", is_bug=False)
    except Exception:  # told by the process that the user sees
        return Stopped(traceback.format_exc(), is_bug=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve the pipe whose number is the first argument."""
    connection = Connection(int(sys.argv[1]))
    parent = int(sys.argv[2])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        serve(connection)
    except (EOFError, ConnectionError, BrokenPipeError):
        return  # the sweep is over
