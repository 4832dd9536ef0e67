"""Jobs on a Dask cluster: one that runs already, or one that a batch system starts.

Workers need azsim of the same version, and nothing else: models and frames are sent to them, and
the process that the user started writes the journal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from types import TracebackType
from typing import Any

from azsim.cache import source_key
from azsim.errors import AzsimError, ConfigError, SweepError
from azsim.session import Session
from azsim.sweep.jobs import Outcome, Work
from azsim.sweep.journal import Journal
from azsim.sweep.local import chunks_of
from azsim.sweep.materials import Materials

CONNECT_SECONDS = 10
WORKER_SECONDS = (
    60  # for a worker of a running cluster; batch jobs may wait in their queue for ever
)
BATCH_SYSTEMS = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster"}
_IN_FLIGHT = 4  # chunks per thread of the cluster

_one_at_a_time = threading.Lock()  # a Dask worker may have several threads
_session = Session()


def run_chunk(jobs: Sequence[Work], materials: Materials, sources: str) -> list[Outcome] | str:
    """On a worker: run jobs; a text says why that cannot be done here."""
    if source_key() != sources:
        return "workers must have the same version of azsim as the command"
    try:
        with _one_at_a_time:
            return [job.compute(materials, _session) for job in jobs]
    except AzsimError as error:
        return str(error)
    except MemoryError:
        return "not enough memory on a worker"


def connect(address: str) -> Any:
    """Return a Dask client of the scheduler at `address`, such as tcp://10.0.0.1:8786.

    Raises:
        ConfigError: no scheduler answers there, or Dask is not installed.
    """
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"--scheduler {address}: cannot be reached: {reason}") from None


def start_batch(system: str, workers: int) -> Any:
    """Return a Dask client of a new cluster of `workers` batch jobs; Dask's own configuration
    (`jobqueue.slurm` and so on) says what a job asks for.

    Raises:
        ConfigError: unknown system, not configured, or dask-jobqueue is not installed.
    """
    if system not in BATCH_SYSTEMS:
        raise ConfigError(f"--cluster: must be {', '.join(BATCH_SYSTEMS)}, not '{system}'")
    distributed = _distributed()
    try:
        import dask_jobqueue
    except ImportError:
        raise ConfigError("--cluster: needs dask-jobqueue: pip install 'azsim[sweep]'") from None
    try:
        cluster = getattr(dask_jobqueue, BATCH_SYSTEMS[system])()
        cluster.scale(jobs=workers)
        return distributed.Client(cluster)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"--cluster {system}: {text}") from None


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ConfigError("--scheduler: needs Dask: pip install 'azsim[sweep]'") from None
    # its own words on lost connections are said by us, in one line
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed


class DaskPool:
    """Runs jobs through a Dask client and journals what comes back."""

    def __init__(self, client: Any, materials: Materials, journal: Journal) -> None:
        self._client, self._journal = client, journal
        self._materials = materials

    def __enter__(self) -> DaskPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cluster = getattr(self._client, "cluster", None)
        with suppress(Exception):  # whatever Dask says on the way out concerns nobody any more
            self._client.close(timeout=CONNECT_SECONDS)
        if cluster is not None:
            cluster.close()

    def _wait_for_a_worker(self) -> None:
        """Return when a worker is there; TimeoutError if a cluster that runs already has none."""
        queued = getattr(self._client, "cluster", None) is not None
        end = time.monotonic() + WORKER_SECONDS
        while not self._client.nthreads():
            if not queued and time.monotonic() > end:
                raise TimeoutError(f"it had no worker for {WORKER_SECONDS} s")
            time.sleep(0.1)

    def run(self, jobs: Sequence[Work]) -> Iterator[Outcome]:
        """Yield the outcome of each job once it is in the journal.

        Raises:
            SweepError: workers of another version, a lost scheduler, jobs that kill workers.
        """
        distributed = _distributed()
        lost = (distributed.comm.CommClosedError, CancelledError, OSError, TimeoutError)
        try:
            self._wait_for_a_worker()
            threads = max(1, sum(self._client.nthreads().values()))
            materials = self._client.scatter(self._materials, broadcast=threads > 1, hash=False)
            chunks = iter(chunks_of(jobs, threads))
            done = distributed.as_completed([], with_results=True)
            for _, chunk in zip(range(_IN_FLIGHT * threads), chunks, strict=False):
                done.add(self._submit(chunk, materials))
            for future, result in done:
                future.release()
                for chunk in chunks:
                    done.add(self._submit(chunk, materials))
                    break
                yield from self._kept(result)
        except distributed.KilledWorker:
            raise SweepError("workers of the cluster end by themselves: out of memory?") from None
        except lost as error:
            raise SweepError(f"the cluster was lost: {error or type(error).__name__}") from None

    def _submit(self, chunk: list[Work], materials: Any) -> Any:
        return self._client.submit(run_chunk, chunk, materials, source_key(), pure=False)

    def _kept(self, result: list[Outcome] | str) -> Iterator[Outcome]:
        if isinstance(result, str):
            raise SweepError(result)
        for outcome in result:
            self._journal.add(outcome)
            yield outcome
