"""One shipped net on one chip: built, compiled, simulated, compared with the integer reference."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from azsim.api import run
from azsim.cache import content_key, content_parts
from azsim.config import ChipConfig
from azsim.errors import AzsimError, CacheError
from azsim.frontend import Inputs
from azsim.frontend.branches import read_either
from azsim.session import Session
from azsim.sweep.jobs import Outcome, figures_of, files_key
from azsim.sweep.materials import Materials, random_inputs
from azsim.zoo import ZooEntry, build_zoo, save_onnx

SEED = 1  # of weights and frames
STEPS = 4
# A step of an encoder or a camera net is one long program: two show the first load and the rest.
LARGE_MACS, LARGE_STEPS = 20_000_000, 2
# Of quiet frames the nets that choose a branch send none to one of them; log-mel features are loud.
BRANCH_STEPS, BRANCH_DEVIATION = 8, 5


def default_steps(entry: ZooEntry) -> int:
    """Steps that an entry is run for if nobody says: 4, or 2 where a step has 20 M MACs; 8 where
    steps take different branches."""
    if entry.branches:
        return BRANCH_STEPS
    return LARGE_STEPS if entry.macs >= LARGE_MACS else STEPS


def louder(inputs: Inputs) -> Inputs:
    """Frames for nets that choose a branch: random numbers of `BRANCH_DEVIATION`."""
    frames = {
        name: array.astype(np.float32) * BRANCH_DEVIATION
        if np.issubdtype(array.dtype, np.floating)
        else array
        for name, array in inputs.frames.items()
    }
    return Inputs(frames, f"{inputs.source_text}, times {BRANCH_DEVIATION}")


@dataclass(frozen=True)
class ZooJob:
    """A shipped net on a chip over `steps` random frames. `scratch` is a folder for its model."""

    name: str
    entry: ZooEntry
    chip: ChipConfig
    steps: int
    scratch: Path

    @property
    def group(self) -> str:
        """Nets share nothing."""
        return self.entry.full_name

    def compute(self, materials: Materials, session: Session) -> Outcome:
        """Run it; what makes that impossible becomes the outcome's `error`.

        Raises:
            CacheError: a damaged entry of the cache.
            ConfigError: the model cannot be written to `scratch`.
        """
        with self._model() as path:
            try:
                inputs = random_inputs(read_either(path), self.steps, SEED)
                if self.entry.branches:
                    inputs = louder(inputs)
                record = run(
                    path,
                    input=inputs,
                    chip=self.chip,
                    verify=True,
                    cache=False,
                    allow_unused_branch=True,
                )
                figures = figures_of(record)
            except CacheError:
                raise
            except AzsimError as error:
                return Outcome(self.name, str(error).removeprefix(f"{path}: "))
        check = record.verification
        if check is None or check.exact != check.steps:
            reason = check.first_difference if check else "nothing was compared"
            return Outcome(self.name, f"not bit-exact: {reason}", figures)
        return Outcome(self.name, None, figures)

    @contextmanager
    def _model(self) -> Iterator[Path]:
        """The net as a file for as long as it is needed; a killed run's is tidied by the next."""
        entry = self.entry
        path = self.scratch / f".azsim-{secrets.token_hex(6)}.part"
        model = build_zoo(entry.name, entry.part, entry.bits, entry.sparsity, SEED)
        self.scratch.mkdir(exist_ok=True)
        try:
            save_onnx(model, path)
            del model
            yield path
        finally:
            with suppress(OSError):
                path.unlink()


def make_job(entry: ZooEntry, chip: ChipConfig, steps: int | None, scratch: Path) -> ZooJob:
    """The job of an entry; its name is the hash of everything that its result depends on."""
    count = default_steps(entry) if steps is None else steps
    parts = ("zoo", files_key(chip), entry.full_name, SEED, count, chip.config_hash())
    return ZooJob(content_key(content_parts(parts)), entry, chip, count, scratch)
