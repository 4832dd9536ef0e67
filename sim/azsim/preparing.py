"""From a float graph to a program and its input integers: what a run does before it simulates."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from azsim.calibration import Calibration, FloatPasses, Progress
from azsim.compiler import CompressionPlan, batch_graph, compress_weights, lower_integers
from azsim.compiler.cached import compile_cached, graph_key
from azsim.compiler.ranges import Ranges
from azsim.config import ChipConfig
from azsim.errors import ConfigError
from azsim.frontend import Inputs, load_inputs
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.program import Port, Program
from azsim.run_setting import PlanWishes
from azsim.session import Session

IntegerArray = npt.NDArray[np.integer[Any]]
T = TypeVar("T")

MAX_FRAMES_PER_PASS = (
    1024  # each frame of a pass has its own nodes: more only takes the host's time
)


class WeightIntegers:
    """The integer graph of a float graph, made when first asked for.

    From then on the float graph is let go: it takes four times the memory.
    """

    def __init__(
        self, graph: Graph, ranges: Ranges, plan: CompressionPlan, session: Session | None
    ) -> None:
        self._graph: Graph | None = graph
        self._made: IntegerGraph | None = None
        self._ranges, self._plan, self._session = ranges, plan, session

    def __call__(self) -> IntegerGraph:
        """Return the integer graph."""
        graph, self._graph = self._graph, None
        if graph is not None:
            self._made = _once(
                self._session,
                "integers",
                (graph, self._ranges),
                self._plan.to_json(),
                lambda: compress_weights(graph, self._ranges, self._plan),
            )
        assert self._made is not None
        return self._made


@dataclass(frozen=True)
class Calibrated:
    """A graph after its float pass. `key` names its content and the frames per pass in the cache,
    None: nothing is kept there."""

    inputs: Inputs
    calibration: Calibration
    plan: CompressionPlan
    key: str | None
    integers: WeightIntegers


@dataclass(frozen=True)
class Prepared:
    """A graph with its inputs, compiled for a chip; `integers` is what its outputs mean."""

    inputs: Inputs
    calibration: Calibration
    plan: CompressionPlan
    program: Program
    integers: Callable[[], IntegerGraph] | None


def check_frames(frames: int | None) -> None:
    """Refuse a number of frames to run that is not 1 or more (None: all)."""
    if frames is not None and frames < 1:
        raise ConfigError(f"--frames: must be 1 or more, not {frames}")


def calibrate_graph(
    graph: Graph,
    input: str | Path | Inputs,
    frames: int | None,
    wishes: PlanWishes,
    calibrate: str | Path | Inputs | None,
    progress: Progress,
    *,
    frames_per_pass: int = 1,
    want_outputs: bool = True,
    cache: bool = True,
    session: Session | None = None,
) -> Calibrated:
    """Run the float pass of `graph` over the frames; the float outputs are kept if
    `want_outputs`."""
    check_frames(frames)
    if not 1 <= frames_per_pass <= MAX_FRAMES_PER_PASS:
        raise ConfigError(
            f"--frames-per-pass: must be 1 to {MAX_FRAMES_PER_PASS}, not {frames_per_pass}"
        )
    plan = wishes.plan(graph)
    batched = _once(
        session,
        "batched",
        (graph,),
        frames_per_pass,
        lambda: batch_graph(graph, frames_per_pass),
    )
    inputs = load_inputs(input, graph, frames) if isinstance(input, str | Path) else input
    key = _once(session, "key", (graph,), None, lambda: graph_key(graph)) if cache else None
    passes = FloatPasses(graph, key, progress)
    calibration = _once(
        session,
        "calibration",
        (graph, inputs, calibrate),
        want_outputs,
        lambda: passes.calibrate(inputs, calibrate, want_outputs),
    )
    integers = WeightIntegers(batched, calibration.ranges, plan, session)
    name = None if key is None else f"{frames_per_pass} x {key}"
    return Calibrated(inputs, calibration, plan, name, integers)


def compile_calibrated(
    calibrated: Calibrated, chip: ChipConfig, progress: Progress, keep_integers: bool = True
) -> Prepared:
    """Compile for `chip`, or take what the cache has; without `keep_integers` only the program is
    held afterwards."""
    progress("compiling", 0, 1)
    made = calibrated
    integers = made.integers
    if made.key is None:
        program = lower_integers(integers(), chip)
    else:
        ranges = made.calibration.ranges
        program = compile_cached(chip, ranges, made.plan, made.key, integers)
    progress("compiling", 1, 1)
    kept = integers if keep_integers else None
    return Prepared(made.inputs, made.calibration, made.plan, program, kept)


def compile_program(
    graph: Graph,
    chip: ChipConfig,
    frames: str | Path | Inputs,
    wishes: PlanWishes,
    progress: Progress,
    frames_per_pass: int = 1,
) -> Program:
    """The program of `graph`, calibrated on `frames`; nothing is kept for another time."""
    calibrated = calibrate_graph(
        graph, frames, None, wishes, None, progress, frames_per_pass=frames_per_pass,
        want_outputs=False, cache=False,
    )  # fmt: skip
    return compile_calibrated(calibrated, chip, progress, keep_integers=False).program


def _once(
    session: Session | None,
    kind: str,
    sources: tuple[object, ...],
    words: Hashable,
    make: Callable[[], T],
) -> T:
    return make() if session is None else session.once(kind, sources, words, make)


def quantize_inputs(
    ports: Sequence[Port], inputs: Inputs, frames_per_pass: int = 1
) -> Sequence[Mapping[str, IntegerArray]]:
    """The frames as the integers that `ports` expect, pass by pass, made when asked for.

    int8: round half to even of value / scale, plus zero point, saturated (as ONNX QuantizeLinear).

    Raises:
        ConfigError: an index outside its table.
    """
    for port in ports:
        array = inputs.frames[port.name]
        if port.index_rows and (array.min() < 0 or array.max() >= port.index_rows):
            raise ConfigError(
                f"input '{port.name}': each index must be 0..{port.index_rows - 1},"
                f" not {int(array.min())}..{int(array.max())}"
            )
    return _IntegerSteps(ports, inputs, frames_per_pass)


class _IntegerSteps(Sequence[Mapping[str, IntegerArray]]):
    """Quantizes one pass at a time, so that a long recording is not held twice."""

    def __init__(self, ports: Sequence[Port], inputs: Inputs, frames_per_pass: int) -> None:
        self._ports, self._inputs, self._together = ports, inputs, frames_per_pass

    def __len__(self) -> int:
        return -(-self._inputs.steps // self._together)

    def __getitem__(self, step: Any) -> Any:
        if not 0 <= step < len(self):
            raise IndexError(step)
        return {port.name: self._quantized(port, step) for port in self._ports}

    def __iter__(self) -> Iterator[Mapping[str, IntegerArray]]:
        return (self[step] for step in range(len(self)))

    def _quantized(self, port: Port, step: int) -> IntegerArray:
        last = self._inputs.steps - 1
        together = self._together
        frames = [min(k, last) for k in range(step * together, (step + 1) * together)]
        array = self._inputs.frames[port.name][frames]
        if together == 1:
            array = array[0]
        if port.index_rows:
            return array.astype(np.int32)
        limits = np.iinfo(port.element)
        integers = np.rint(array.astype(np.float64) / port.scale) + port.zero_point
        clipped: IntegerArray = np.clip(integers, limits.min, limits.max).astype(port.element)
        return clipped
