"""What a page needs of a run's folder, checked: a damaged file is one line, not a traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azsim.errors import ConfigError
from azsim.report.read import SUMMARY, read_run

TIMELINE = "timeline.json"
LARGEST_BYTES = 1 << 24
MOST_SLICES = 4000
Whole = Annotated[int, Field(ge=0)]
Real = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Share = Annotated[float, Field(allow_inf_nan=False, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Spread(_Part):
    """A figure with its range."""

    nominal: Real
    low: Real
    high: Real


class Layer(_Part):
    """A layer, as in summary.json; runs before version 0.2 do not know their products."""

    name: str
    operator: str
    rows: Whole
    columns: Whole
    bits: Whole
    weights: Whole
    nonzeros: Whole
    stream_bytes: Whole
    products: Whole | None = None
    products_per_cycle: Whole | None = None
    dram_bytes: Whole
    span_cycles: Whole
    memory_cycles: Whole
    decode_cycles: Whole
    mac_cycles: Whole
    vector_cycles: Whole
    lower_bound_cycles: Whole
    cycles_over_bound: Real | None
    bound_by: str


class EnergyPlace(_Part):
    """Energy of a layer, or of what belongs to none."""

    name: str
    total_pj: Spread
    components_pj: dict[str, Real]


class MobileCpu(_Part):
    """What a mobile CPU would take."""

    assumption: str
    total_pj: Spread


class EnergyAction(_Part):
    """What was done how often, and what one of it takes."""

    component: str
    action: str
    count: Real
    pj_each: Spread
    total_pj: Spread


class Energy(_Part):
    """Section `energy`."""

    table: str
    dram_table: str
    node_nm: Real
    voltage_mv: Real
    idle_policy: str
    duty_cycle: Real | None
    total_pj: Spread
    per_frame_pj: Spread | None
    per_second_of_audio_pj: Spread | None
    power_mw: Spread | None
    components: dict[str, Spread]
    mobile_cpu: MobileCpu
    not_counted: str
    layers: list[EnergyPlace]
    actions: list[EnergyAction]


class Latency(_Part):
    """Section `frame_latency_ms`."""

    p50: Real | None
    p99: Real | None
    max: Real | None


class PathUnit(_Part):
    """Cycles of one kind of unit by class, summed over `count` units."""

    count: Whole
    busy: Whole
    starved: Whole
    blocked: Whole
    waiting: Whole
    idle: Whole


class PathLayer(_Part):
    """A layer in `weight_path`."""

    name: str
    span_cycles: Whole
    units: dict[str, PathUnit]
    what_if: dict[str, Whole | None]
    products: Whole
    lane_spread_cycles: Whole
    lane_spread_max_cycles: Whole
    lane_spread_histogram: Annotated[list[Whole], Field(min_length=10, max_length=10)]


class WeightPath(_Part):
    """Section `weight_path`."""

    cycles: Whole
    units: dict[str, PathUnit]
    what_if: dict[str, Whole | None]
    layers: list[PathLayer]


class BranchCosts(_Part):
    """Means over the frames of a branch; runs before version 0.2 know only the first ones."""

    frames: Whole
    share: Real | None
    cycles_per_frame: Real | None
    dram_bytes_per_frame: Real | None
    products_per_frame: Real | None = None
    energy_pj_per_frame: Real | None = None
    cycles_after_switch: Real | None = None
    cycles_without_switch: Real | None = None


class Saving(_Part):
    """What the choice saves against a branch, as shares; below 0 it costs."""

    against: str
    cycles: Share | None
    dram_bytes: Share | None
    products: Share | None
    energy_pj: Share | None


class Branches(_Part):
    """Section `branches`."""

    node: str
    decision_cycles: Whole
    switches: Whole
    arbitrator_cycles_per_frame: Real | None
    branches: Annotated[dict[str, BranchCosts], Field(max_length=2)]
    saving: Saving | None = None


class Run(_Part):
    """summary.json, as far as a page shows it."""

    version: str
    model: str
    chip: str
    status: str
    config_hash: str
    configuration: dict[str, Any]
    clock_mhz: Annotated[int, Field(gt=0)]
    input: str
    calibration: str
    bits: Whole
    sparsity: Real
    seeds: dict[str, int]
    frames: Whole
    frames_per_pass: Annotated[int, Field(gt=0)]
    frame_ms: Real
    cycles: Whole
    real_time_factor: Real | None
    frame_latency_ms: Latency
    deadline_misses: Whole
    dram_bytes_read: Whole
    dram_bytes_written: Whole
    dram_bandwidth_gb_per_s: Real | None
    dram_peak_gb_per_s: Real
    dram_bandwidth_share: Real | None
    weight_store_bytes: Whole
    weights: Whole
    zeros_share: Real | None
    stream_bytes: Whole
    bits_per_weight: Real | None
    entropy_bits_per_weight: Real | None
    mac_products_done: Whole
    mac_products_skipped: Whole
    mac_utilization: Real | None
    decoder_units: Annotated[int, Field(gt=0)]
    decoder_utilization: Real | None
    lower_bound_cycles: Whole
    cycles_over_bound: Real | None
    bound_by: str
    memory_cycles: Whole
    decode_cycles: Whole
    mac_cycles: Whole
    vector_cycles: Whole
    stalls: dict[str, dict[str, Whole]]
    sqnr_db: dict[str, float | None]
    energy: Energy
    layers: list[Layer]
    weight_path: WeightPath | None
    branches: Branches | None = None

    @property
    def passes(self) -> int:
        """Executions of the program."""
        return -(-self.frames // self.frames_per_pass)


class Track(_Part):
    """Busy cycles of one engine for one group of layers (-1: none), slice by slice."""

    engine: Whole
    group: Annotated[int, Field(ge=-1)]
    first_slice: Whole
    busy_cycles: list[Real]


class FirstTiles(_Part):
    """Commands up to the end of the first tiles: engine, opcode, layer, tile, start, free."""

    cycles: Annotated[int, Field(gt=0)]
    commands: Annotated[list[tuple[Whole, str, int, int, Whole, Whole]], Field(max_length=4000)]


class Timeline(_Part):
    """timeline.json."""

    cycles: Annotated[int, Field(gt=0)]
    slices: Annotated[int, Field(gt=0, le=MOST_SLICES)]
    engines: Annotated[list[str], Field(max_length=200)]
    groups: list[str]
    tracks: list[Track]
    use: dict[str, list[Real]]
    first_tiles: FirstTiles


Checked = TypeVar("Checked", bound=BaseModel)


def run_of_summary(path: Path, summary: Mapping[str, Any]) -> Run:
    """Return the run of a summary as `read_run` gives it. Raises ConfigError, naming `path`."""
    return _checked(Run, path, summary)


def load_run(folder: Path) -> tuple[Run, Timeline | None]:
    """Return the run in `folder`, and its first step if its timeline.json is there.

    Raises:
        ConfigError: no run, a damaged file, or one that cannot be read.
    """
    run = run_of_summary(folder / SUMMARY, read_run(folder))
    path = folder / TIMELINE
    try:
        if not path.is_file():
            return run, None
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{path}: must be at most {LARGEST_BYTES} bytes")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: must be JSON as azsim writes it") from None
    timeline = _checked(Timeline, path, content)
    _check_places(path, timeline)
    return run, timeline


def _checked(kind: type[Checked], path: Path, content: Any) -> Checked:
    """Return `content` as `kind`; lists may stand for tuples, whole numbers for real ones."""
    try:
        return kind.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ConfigError(f"{path}: '{where}': {first['msg']}") from None


def _check_places(path: Path, timeline: Timeline) -> None:
    for number, track in enumerate(timeline.tracks):
        fits = track.first_slice + len(track.busy_cycles) <= timeline.slices
        known = track.engine < len(timeline.engines) and track.group < len(timeline.groups)
        if not (fits and known):
            raise ConfigError(f"{path}: 'tracks.{number}': must lie within engines and slices")
    engines = len(timeline.engines)
    if any(command[0] >= engines for command in timeline.first_tiles.commands):
        raise ConfigError(f"{path}: 'first_tiles': must name engines of the list")
