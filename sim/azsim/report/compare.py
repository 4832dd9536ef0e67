"""What differs between two runs: setting, counters, layers, and at the end time and bytes.

All names are keys of summary.json, with dots for what lies inside; docs/reports.md says what they
mean. The ratio is B / A throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.read import read_run
from azsim.report.summary import Summary, rounded

Value = str | int | float | bool | None
Layer = Mapping[str, Value]
SETTING = (
    "version", "model", "chip", "status", "config_hash", "configuration", "clock_mhz", "input",
    "calibration", "bits", "sparsity", "plan", "timing_only", "seeds", "frames", "frames_per_pass",
    "frame_ms", "frame_ms_source",
)  # fmt: skip
TOTALS = ("dram_bytes_read", "dram_bytes_written", "weight_store_bytes_read")
TIME_AND_BYTES = (  # shown last and always, also where both are equal
    "weights", "stream_bytes", "bits_per_weight", "weight_store_bytes",
    *(f"{name}_per_frame" for name in TOTALS), "dram_bandwidth_gb_per_s",
    "cycles", "cycles_per_frame", "ms_per_frame", "real_time_factor",
    "frame_latency_ms.p50", "frame_latency_ms.p99", "frame_latency_ms.max", "deadline_misses",
    "energy.per_frame_pj.nominal", "energy.per_second_of_audio_pj.nominal",
)  # fmt: skip
ENERGY_DETAILS = ("energy.layers", "energy.actions", "energy.sources")
LAYER_IDENTITY = ("name", "operator", "rows", "columns")


@dataclass(frozen=True)
class Change:
    """One figure of both runs. `ratio` is b / a, None unless both are numbers and a is not 0."""

    name: str
    a: Value
    b: Value
    ratio: float | None


@dataclass(frozen=True)
class LayerChanges:
    """The changed figures of one layer; `a` and `b` hold all its figures in the runs, None if a run
    has no such layer."""

    name: str
    operator: str
    changes: tuple[Change, ...]
    a: Layer | None
    b: Layer | None


@dataclass(frozen=True)
class Comparison:
    """What differs between run `a` and run `b`; `equal` figures do not, those of layers aside."""

    a: Summary
    b: Summary
    setting: tuple[Change, ...]
    counters: tuple[Change, ...]
    layers: tuple[LayerChanges, ...]
    time_and_bytes: tuple[Change, ...]
    equal: int

    def to_json(self) -> dict[str, Any]:
        """Return everything but the figures that are equal, ready for JSON."""
        layers = [
            {
                "name": layer.name,
                "operator": layer.operator,
                "only_in": "b" if layer.a is None else "a" if layer.b is None else None,
                "changes": [asdict(change) for change in layer.changes],
            }
            for layer in self.layers
        ]
        return {
            "setting": [asdict(change) for change in self.setting],
            "counters": [asdict(change) for change in self.counters],
            "layers": layers,
            "time_and_bytes": [asdict(change) for change in self.time_and_bytes],
            "equal": self.equal,
        }


def compare_folders(a: Path, b: Path, force: bool = False) -> Comparison:
    """Compare the runs in two folders.

    Raises:
        ConfigError: a folder is no run, its summary is damaged, or the runs are of nets with other
            layers and `force` is not set.
    """
    first, second = read_run(a), read_run(b)
    if not force:
        _check_same_net(a, first, b, second)
    return compare(first, second)


def _check_same_net(a: Path, first: Summary, b: Path, second: Summary) -> None:
    ours, theirs = ([_identity(layer) for layer in run["layers"]] for run in (first, second))
    if ours != theirs:
        models = f"{one_line(first['model'])} and {one_line(second['model'])}"
        raise ConfigError(
            f"{b}: must have the layers of {a}; {models} are different nets (--force compares them)"
        )


def _identity(layer: Layer) -> tuple[Value, ...]:
    return tuple(layer.get(key) for key in LAYER_IDENTITY)


def compare(a: Summary, b: Summary) -> Comparison:
    """Compare two summaries as `azsim.report.read.read_run` gives them."""
    ours, theirs = flat(a), flat(b)
    setting, counters, equal = [], [], 0
    for name in {**ours, **theirs}:
        change = _change(name, ours.get(name), theirs.get(name))
        if change.a == change.b:
            equal += 1
        elif name.partition(".")[0] in SETTING:
            setting.append(change)
        elif name not in TIME_AND_BYTES:
            counters.append(change)
    ours, theirs = ours | _per_frame(a), theirs | _per_frame(b)
    last = [_change(name, ours.get(name), theirs.get(name)) for name in TIME_AND_BYTES]
    layers = _layers(a["layers"], b["layers"])
    return Comparison(a, b, tuple(setting), tuple(counters), layers, tuple(last), equal)


def flat(summary: Summary) -> dict[str, Value]:
    """Return every figure of a summary but those of its layers and single actions, with dots."""
    figures: dict[str, Value] = {}
    waiting = [(key, value) for key, value in summary.items() if key != "layers"][::-1]
    while waiting:
        name, value = waiting.pop()
        if name in ENERGY_DETAILS:
            continue
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            inside = [(f"{name}.{key}", inner) for key, inner in value.items() if key != "layers"]
            waiting += inside[::-1]
        else:
            figures[name] = value
    return figures


def _per_frame(summary: Summary) -> dict[str, Value]:
    """Figures of a frame that summary.json does not hold; None without frames."""
    frames = summary["frames"]
    figures = {f"{name}_per_frame": _ratio(frames, summary.get(name)) for name in TOTALS}
    cycles_per_ms = 1000 * summary["clock_mhz"]
    return {**figures, "ms_per_frame": _ratio(cycles_per_ms * frames, summary["cycles"])}


def _layers(a: Sequence[Layer], b: Sequence[Layer]) -> tuple[LayerChanges, ...]:
    """Pair the layers by name (the n-th of a name with the n-th) and keep those that differ."""
    ours, theirs = _numbered(a), _numbered(b)
    pairs = [(ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    return tuple(found for found in (_layer(*pair) for pair in pairs) if found is not None)


def _numbered(layers: Sequence[Layer]) -> dict[tuple[Value, int], Layer]:
    seen: Counter[Value] = Counter()
    numbered = {}
    for layer in layers:
        numbered[layer["name"], seen[layer["name"]]] = layer
        seen[layer["name"]] += 1
    return numbered


def _layer(a: Layer | None, b: Layer | None) -> LayerChanges | None:
    ours, theirs = a or {}, b or {}
    both = (_change(name, ours.get(name), theirs.get(name)) for name in {**ours, **theirs})
    changes = tuple(change for change in both if change.a != change.b)
    either = {**theirs, **ours}
    if not changes:
        return None
    return LayerChanges(str(either["name"]), str(either["operator"]), changes, a, b)


def _change(name: str, a: Value, b: Value) -> Change:
    return Change(name, a, b, _ratio(a, b))


def _ratio(a: Value, b: Value) -> float | None:
    """b / a of two numbers; True and False are none."""
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return rounded(b / a) if numbers and a else None  # type: ignore[operator]
