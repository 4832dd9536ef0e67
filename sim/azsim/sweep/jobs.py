"""From a point to what a worker runs, and from a run to the figures that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from azsim._resources import data_folder
from azsim.api import run
from azsim.cache import content_key, content_parts, source_key
from azsim.config import ChipConfig, area_proxy, override_chip
from azsim.errors import AzsimError, CacheError, ConfigError
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary
from azsim.session import Session
from azsim.sweep.expressions import Scalar
from azsim.sweep.materials import MaterialReader, Materials, Needed
from azsim.sweep.plan import LAYER_PREFIXES, NO_TRAFFIC, Plan, chip_key, leaves, override_text
from azsim.sweep.points import Settings

# of the summary: what a table has columns of its own for, or no room for
_LEFT_OUT = ("written_by", "version", "model", "chip", "config_hash", "configuration", "layers",
             "plan", "input", "calibration", "frame_ms_source", "timing_only")  # fmt: skip
_MS_PER_S = 1000.0


class Work(Protocol):
    """Something that a worker computes, and whose outcome is kept under its name."""

    @property
    def name(self) -> str:
        """Hash of everything that the result depends on."""
        ...

    @property
    def group(self) -> str:
        """Work of one group is given to one worker."""
        ...

    def compute(self, materials: Materials, session: Session) -> Outcome:
        """Compute; what the work's own settings make impossible becomes the outcome's `error`."""
        ...


@dataclass(frozen=True)
class Job:
    """One simulation. `name` is the hash of everything that its result depends on."""

    name: str
    graph: str
    inputs: str
    calibrate: str | None
    chip: ChipConfig
    options: Mapping[str, Any]  # of azsim.api.run

    @property
    def group(self) -> str:
        """Jobs of one group share the float pass and the integers of their graph."""
        return repr(
            (self.graph, self.inputs, self.calibrate, sorted(self.options.items(), key=str))
        )

    def compute(self, materials: Materials, session: Session) -> Outcome:
        """Simulate."""
        return run_job(self, materials, session)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its figures, or in `error` why there are none."""

    name: str
    error: str | None = None
    figures: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """A point of a plan: its settings, and the job that gives its figures.

    `job` is None if the settings make no chip; `error` then says why.
    """

    settings: Settings
    job: Job | None
    error: str | None = None


def make_point(plan: Plan, reader: MaterialReader, settings: Settings) -> Point:
    """Turn settings into a job. Raises ConfigError for files that cannot be read."""
    needed = reader.need(settings)
    try:
        chip = _chip(plan, settings)
    except ConfigError as error:
        return Point(settings, None, str(error))
    options = _options(plan, settings, needed)
    files = files_key(chip, options["host_traffic"])
    parts = (files, needed.graph, needed.inputs, needed.calibrate or "", chip.config_hash(),
             options)  # fmt: skip
    name = content_key(content_parts(parts))
    return Point(settings, Job(name, needed.graph, needed.inputs, needed.calibrate, chip, options))


def files_key(chip: ChipConfig, more: Sequence[str] = ()) -> tuple[object, ...]:
    """What a run depends on besides its model and frames: our sources, chip and energy files."""
    return (source_key(), _shipped_files(), _named_files(chip, more))


@lru_cache(maxsize=1)
def _shipped_files() -> str:
    """Hash over chip files and what lies beside them: a chip names its energy tables."""
    folder = data_folder("hw_configs")
    files = sorted(folder.rglob("*.yaml"))
    return content_key(part for path in files for part in (path.name, path.read_bytes()))


def _named_files(chip: ChipConfig, more: Sequence[str]) -> tuple[str, ...]:
    """Content of the user's own files that a chip names, and of `more`."""
    values = (value for _, value in leaves(chip.model_dump(mode="json")))
    texts = [value for value in (*values, *more) if isinstance(value, str)]
    paths = [Path(text) for text in texts if text.endswith((".yaml", ".yml"))]
    return tuple(content_key((path.read_bytes(),)) for path in paths if path.is_file())


def _chip(plan: Plan, settings: Settings) -> ChipConfig:
    chip = plan.chips[str(settings.get("chip", plan.file.chip))]
    keys = ((chip_key(name), value) for name, value in settings.items())
    overrides = [override_text(key, value) for key, value in keys if key is not None]
    return override_chip(chip, overrides) if overrides else chip


def _options(plan: Plan, settings: Settings, needed: Needed) -> dict[str, Any]:
    """Keyword arguments of azsim.api.run: the point's words, else the plan's, else the model's."""
    file, own = plan.file, needed.wishes
    bits, sparsity = (_first(settings.get(k), getattr(file, k)) for k in ("bits", "sparsity"))
    return {
        "frames_per_pass": settings.get("frames_per_pass", file.frames_per_pass),
        "frame_ms": settings.get("frame_ms", file.frame_ms),
        "timing_only": not file.outputs,
        "allow_unused_branch": file.allow_unused_branch,
        "host_traffic": _traffic(plan, str(settings.get("host_traffic", file.host_traffic))),
        "bits": _first(bits, own.bits),
        "sparsity": _first(sparsity, own.sparsity),
        "layer_bits": {
            **(own.layer_bits if bits is None else {}),
            **file.layer_bits,
            **_layers(settings, LAYER_PREFIXES[0]),
        },
        "layer_sparsity": {**file.layer_sparsity, **_layers(settings, LAYER_PREFIXES[1])},
    }


def _traffic(plan: Plan, text: str) -> tuple[str, ...]:
    """`none`, or patterns joined by '+': shipped names, or files from the plan's folder."""
    words = [] if text == NO_TRAFFIC else text.split("+")
    files = (".yaml", ".yml")
    return tuple(str(plan.file_path(word)) if word.endswith(files) else word for word in words)


def _layers(settings: Settings, prefix: str) -> dict[str, Scalar]:
    found = settings.items()
    return {name.removeprefix(prefix): value for name, value in found if name.startswith(prefix)}


def _first(*values: Scalar) -> Scalar:
    return next((value for value in values if value is not None), None)


def run_job(job: Job, materials: Materials, session: Session) -> Outcome:
    """Simulate a job. What the point's own settings make impossible becomes its `error`.

    Raises:
        CacheError: an entry of the cache is damaged, which is no fault of the point.
    """
    calibrate = None if job.calibrate is None else materials.inputs[job.calibrate]
    try:
        record = run(
            materials.graphs[job.graph],
            input=materials.inputs[job.inputs],
            chip=job.chip,
            calibrate=calibrate,
            session=session,
            **job.options,
        )
    except CacheError:
        raise
    except AzsimError as error:
        return Outcome(job.name, str(error))
    return Outcome(job.name, None, figures_of(record))


def figures_of(record: RunRecord) -> dict[str, Scalar]:
    """Figures of a run by dotted name: summary.json, the area, rates per second of audio."""
    summary = {k: v for k, v in build_summary(record).items() if k not in _LEFT_OUT}
    summary["chip_status"] = summary.pop("status")
    figures = dict(leaves(summary))
    area = area_proxy(record.chip)
    audio_s = record.frames * record.frame_ms / _MS_PER_S
    moved = record.counters.dram_bytes_read + record.counters.dram_bytes_written
    return {
        **{name: value for name, value in figures.items() if not _is_note(name, value)},
        "audio_s": _rounded(audio_s),
        "dram_bytes_per_audio_s": _rounded(moved / audio_s),
        "area_k_gates": _rounded(area.k_gates),
        "area_sram_kb": _rounded(area.sram_kb),
    }


def _is_note(name: str, value: Scalar) -> bool:
    """True for what explains other figures: texts inside of sections, rows of energy tables."""
    return name.startswith("energy.sources.") or ("." in name and isinstance(value, str))


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
