"""Processes of this computer that run jobs; one that is killed is replaced."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Protocol

import azsim_kernels
from azsim.engine.warm import Warming
from azsim.errors import SweepError
from azsim.sweep.jobs import Outcome, Work
from azsim.sweep.journal import Journal
from azsim.sweep.materials import Materials
from azsim.sweep.worker import Setup, Stopped

MAX_DEATHS = 3  # of workers on the same job
LARGEST_CHUNK = 32
_CHUNKS_PER_WORKER = 16
_STOP_SECONDS = 5.0
_WORKER = "from azsim.sweep.worker import main; main()"
# One thread each: workers are as many as there are cores, and sums of floats must not depend on how
# many threads made them.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Pool(Protocol):
    """Something that runs jobs, in any order."""

    def run(self, jobs: Sequence[Work]) -> Iterator[Outcome]:
        """Yield the outcome of each job once it is in the journal."""
        ...


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def chunks_of(jobs: Sequence[Work], workers: int) -> list[list[Work]]:
    """Split jobs into parts for one worker each: of one group, small enough to share out evenly."""
    size = max(1, min(LARGEST_CHUNK, len(jobs) // (workers * _CHUNKS_PER_WORKER)))
    groups: dict[str, list[Work]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return [group[k : k + size] for group in groups.values() for k in range(0, len(group), size)]


class _Worker:
    """One process with its pipe, and the jobs that it has not answered yet."""

    def __init__(self, setup: Setup) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = _start(theirs)
        self.connection = Connection(ours.detach())
        self.jobs: deque[Work] = deque()
        self.send(setup)

    def send(self, message: object) -> None:
        """Send; a worker that has died is noticed when it is listened to."""
        with suppress(OSError):
            self.connection.send(message)

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _start(end: socket.socket) -> subprocess.Popen[bytes]:
    kernels = Path(str(azsim_kernels.__file__)).parents[1]
    path = [
        str(Path(__file__).parents[2]),
        str(kernels),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(end.fileno()), str(os.getpid())],
        env={
            **os.environ,
            **dict.fromkeys(_ONE_THREAD, "1"),
            "PYTHONPATH": os.pathsep.join(path),
        },
        pass_fds=[end.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the process that asked for the work
    )


class LocalPool:
    """Up to `workers` processes that share `materials` and write to the same journal."""

    def __init__(self, workers: int, materials: Materials, journal: Journal) -> None:
        self._size = workers
        self._journal = journal
        self._setup = Setup(materials, journal.folder)
        self._workers: list[_Worker] = []
        self._deaths: Counter[str] = Counter()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def run(self, jobs: Sequence[Work]) -> Iterator[Outcome]:
        """Yield the outcome of each job once it is in the journal.

        Raises:
            SweepError: the journal cannot be written, a damaged cache, or workers that die.
        """
        waiting = deque(chunks_of(jobs, self._size))
        if not self._workers:
            with Warming() as warming:  # once, not in every worker
                warming.wait()
        while len(self._workers) < min(self._size, len(waiting)):
            self._workers.append(_Worker(self._setup))
        for worker in self._workers:
            _give(worker, waiting)
        while any(worker.jobs for worker in self._workers):
            busy = {worker.connection: worker for worker in self._workers if worker.jobs}
            for connection in wait(list(busy)):
                yield from self._listen(busy[connection], waiting)  # type: ignore[index]

    def _listen(self, worker: _Worker, waiting: deque[list[Work]]) -> Iterator[Outcome]:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, waiting)
            return
        if isinstance(message, Stopped):
            if message.is_bug:
                raise RuntimeError(f"in a worker:\n{message.text}")
            raise SweepError(message.text)
        if message is None:
            return
        worker.jobs.popleft()
        if not worker.jobs:
            _give(worker, waiting)
        yield message

    def _bury(self, worker: _Worker, waiting: deque[list[Work]]) -> Iterator[Outcome]:
        """Replace a worker that has died; what it had journalled is not computed again."""
        self._workers.remove(worker)
        worker.stop()
        left = list(worker.jobs)
        done = self._journal.find(left[0].name)
        if done is not None:
            left.pop(0)
            yield done
        else:
            self._blame(left[0], worker)
        if left:
            waiting.appendleft(left)
        replacement = _Worker(self._setup)
        self._workers.append(replacement)
        _give(replacement, waiting)

    def _blame(self, job: Work, worker: _Worker) -> None:
        self._deaths[job.name] += 1
        if self._deaths[job.name] >= MAX_DEATHS:
            raise SweepError(
                f"worker processes end by themselves (code {worker.process.returncode}; out of"
                " memory?): what is done is kept, run the command again"
            )


def _give(worker: _Worker, waiting: deque[list[Work]]) -> None:
    if waiting:
        jobs = waiting.popleft()
        worker.jobs.extend(jobs)
        worker.send(jobs)
