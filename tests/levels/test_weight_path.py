"""The attribution along the weight path equals what the clocked model does, cycle by cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import compile_file, integer_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker
from path_watch import watch_clocked
from random_nets import RandomNet, random_nets
from strategies import Case, cases, random_case

from azsim.compiler import CompressionPlan
from azsim.config import ChipConfig, load_chip
from azsim.counters import WEIGHT_PATH_UNITS, WHAT_IF, WeightPath
from azsim.engine import machine_params, simulate
from azsim.engine.cuts import layer_ends
from azsim.engine.fast_machine import FastMachine
from azsim.engine.observed import ObservedMachine
from azsim.engine.weight_path import observe_weight_path
from azsim.program import Program
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.clocked import step as clocked_step
from azsim_kernels.clocked.decoder import WeightDecoder
from azsim_kernels.isa import STALL_CLASS_NAMES as CLASS_NAMES
from azsim_kernels.tile_format import WINDOW_BITS


def fits(case: Case, result: isa.StepResult) -> bool:
    """Say whether the step is one that a compiler would make: it ends, all that is fetched is
    decoded, slots are used in the order of the program, a PRODUCT finds all its weights in its
    tile, and nobody disturbs its activations."""
    opcode, arg = case.commands["opcode"], case.commands["arg"]
    if result.status != isa.DONE or (opcode == isa.GATHER).any():
        return False
    for unit in range(case.params.units):
        mine = case.commands["unit"] == unit
        decodes = np.isin(opcode, (isa.TILE, isa.RAW, isa.TABLE))
        if (mine & (opcode == isa.FETCH)).sum() != (mine & decodes).sum():
            return False
    writes = np.isin(opcode, (isa.LOAD, *range(isa.RESCALE, isa.GRU_CELL + 1)))
    if case.params.skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH) and writes.sum() > 1:
        return False
    held: dict[int, int] = {}
    used_until: dict[int, int] = {}
    fills = (isa.TILE, isa.RAW, isa.PACK)
    for command in np.flatnonzero(np.isin(opcode, (*fills, isa.PRODUCT))):
        slot = int(arg[command, 0])
        if result.start[command] < used_until.get(slot, 0):
            return False
        used_until[slot] = int(result.free[command])
        if opcode[command] == isa.PACK:
            held[slot] = int(arg[command, 2] * arg[command, 3])
        elif opcode[command] != isa.PRODUCT:
            held[slot] = 256 * int(arg[command, 1])
        elif held.get(slot, 0) < arg[command, 1] * arg[command, 2]:
            return False
    return True


def check(case: Case, layers: np.ndarray, rows: int) -> WeightPath | None:
    """Compare both levels; None if the case is not one for it."""
    result = case.build(FastMachine).run_step()
    if not fits(case, result):
        return None
    path = observe_weight_path(case.build(ObservedMachine), layers, rows, result.free)
    seen = watch_clocked(case.build(ClockedMachine), result.cycles)
    ends = np.maximum.accumulate(
        [max([0, *result.free[layers == row].tolist()]) for row in range(rows)]
    )
    assert path.spans.tolist() == np.diff(ends, prepend=0).tolist()
    for unit in WEIGHT_PATH_UNITS:
        begin = 0
        for row, end in enumerate(ends):
            want = seen[unit][begin:end].sum(axis=0)
            assert path.classes[unit][row].tolist() == want.tolist(), (unit, row)
            assert want.sum() == path.counts[unit] * path.spans[row]
            begin = end
    return path


@settings(max_examples=120, suppress_health_check=[HealthCheck.filter_too_much])
@given(case=cases(), rows=st.integers(1, 6), seed=st.integers(0, 99))
def test_generated_cases(case: Case, rows: int, seed: int) -> None:
    check(case, np.random.default_rng(seed).integers(0, rows, len(case.commands)), rows)


def test_seeds_that_fit() -> None:
    """Enough of the random cases are compared, and among them all classes but one occur."""
    compared, classes = 0, np.zeros((6, 5), np.int64)
    for seed in range(150):
        case = random_case(seed)
        layers = np.sort(np.random.default_rng(seed).integers(0, 4, len(case.commands)))
        path = check(case, layers, 4)
        if path is not None:
            compared += 1
            classes += np.array([path.classes[unit].sum(axis=0) for unit in WEIGHT_PATH_UNITS])
    print(compared, classes)
    assert compared > 10


CHIPS = [
    (),
    ("decoder.units=1", "wbuf.tile_slots=3", "mac_array.lanes=8", "vector.lanes=3"),
    ("decoder.units=3", "mac_array.item_rows_per_lane=2", "mac_array.accumulators_per_lane=6"),
    ("mac_array.skip=both", "wbuf.slot_weights=256", "sequencer.semaphores=20"),
    ("mac_array.skip=activation", "sequencer.queue_depth=1", "memory.access_bytes=16"),
    ("decoder.profile=ans", "decoder.table_slots=2", "wbuf.slot_weights=2048"),
    ("decoder.profile=none", "mac_array.skip=none", "mac_array.min_item_cycles=0"),
]


class InstantDecoder(WeightDecoder):
    """A decoder without limit but its port: one beat takes the whole tile with its last word."""

    def _may_fire(self) -> bool:
        waits = self.running is None or self.last_beat_fired or self.tile is None
        return not waits and self.remaining_bits == 0

    def _may_accept(self) -> bool:
        if not self.fifo.words or (self.tile is not None and self.remaining_bits == 0):
            return False
        begun = self.running is not None and not self.last_beat_fired
        return begun or self.fill + self.params.port_bits <= WINDOW_BITS

    def _decode(self) -> list[int]:
        super()._decode()
        return [self.fill]

    def _use_registers(self) -> None:
        self.hold_cycles = 0


def run_clocked(
    monkeypatch: pytest.MonkeyPatch, what: str, program: Program, chip: ChipConfig, inputs: Any
) -> isa.StepResult:
    """Run a step on the clocked model of `chip` with one thing unlimited, in its own way."""
    params, commands = machine_params(chip), program.commands.copy()
    far = 1 << 30
    with monkeypatch.context() as patch:
        if what == "memory":
            params = params._replace(
                memory_bytes=far, memory_per_cycles=1, memory_latency_cycles=0,
                store_bytes_per_cycle=far, store_latency_cycles=0, dma_w_outstanding=far,
                dma_a_outstanding=far,
            )  # fmt: skip
        elif what == "decoder":
            params = params._replace(decoder_pipeline_cycles=0)
            patch.setattr(clocked_step, "WeightDecoder", InstantDecoder)
        elif what == "mac":
            params = params._replace(
                macs_per_lane=far, min_item_cycles=0, fill_cycles=0, broadcast_interval_cycles=0,
                lane_queue=far,
            )  # fmt: skip
        else:
            params = params._replace(tile_slots=len(commands), semaphore_max=far)
            give_own_slots(program, commands)
        machine = machine_of(replace(program, commands=commands), params, chip, inputs)
        return machine.run_step()


def give_own_slots(program: Program, commands: np.ndarray) -> None:
    """Let tile k have slot k, and neither TILE nor PACK wait for space."""
    tiles: dict[int, int] = {}
    for number, command in enumerate(commands):
        slot = int(command["arg"][0])
        if command["opcode"] in (isa.TILE, isa.RAW, isa.PACK):
            tiles[slot] = number
            waits = [int(command["wait"][k]) for k in range(command["n_wait"])]
            counts = [int(command["wait_count"][k]) for k in range(command["n_wait"])]
            pairs = [
                pair
                for pair in zip(waits, counts, strict=True)
                if program.semaphore_kinds[pair[0]] != isa.SPACE
            ]
            assert not pairs or command["opcode"] == isa.PACK
            command["n_wait"] = len(pairs)
            for k, (semaphore, count) in enumerate(pairs):
                command["wait"][k], command["wait_count"][k] = semaphore, count
        if command["opcode"] in (isa.TILE, isa.RAW, isa.PACK, isa.PRODUCT):
            command["arg"][0] = tiles[slot]


@pytest.mark.parametrize("skip", ["weight", "none", "both"])
def test_products_of_activations_with_slots_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skip: str
) -> None:
    """More packed tiles than the machine has slots: none is written where another one's weights
    are. Where times depend on results the packed weights would need room: left out."""
    rng = np.random.default_rng(3)
    maker = ModelMaker()
    maker.input("x", (1, 6, 24))
    maker.tensor("w", rng.normal(size=(24, 24)))
    maker.node("Transpose", ["x"], ["turned"], perm=(0, 2, 1))
    maker.node("MatMul", ["x", "turned"], ["scores"])
    maker.node("MatMul", ["scores", "x"], ["mixed"])
    maker.node("MatMul", ["mixed", "w"], ["dense"])
    maker.node("MatMul", ["scores", "dense"], ["again"])
    maker.node("MatMul", ["again", "turned"], ["y"])
    maker.output("y")
    feeds = {"x": rng.normal(size=(1, 1, 6, 24)).astype(np.float32)}
    chip = load_chip("tiny", [f"mac_array.skip={skip}", "sequencer.semaphores=32"])
    compiled, _ = compile_file(maker.save(tmp_path), feeds, chip, CompressionPlan())
    program, steps = compiled.program, integer_steps(compiled.program, feeds, 1)
    packs = int((program.commands["opcode"] == isa.PACK).sum())
    assert packs > chip.wbuf.tile_slots - 2
    path = simulate(program, chip, steps, timing_only=True, explain=True).weight_path
    assert path is not None
    assert set(WHAT_IF) - set(path.what_if) == ({"slots"} if skip == "both" else set())
    layers, rows = program.commands["layer"], len(program.layers)
    for what, spans in path.what_if.items():
        result = run_clocked(monkeypatch, what, program, chip, steps[0])
        assert result.status == isa.DONE, what
        assert spans.tolist() == np.diff(layer_ends(layers, result.free, rows), prepend=0).tolist()


def made(
    folder: Path, net: RandomNet, overrides: tuple[str, ...]
) -> tuple[Program, ChipConfig, list[dict[str, np.ndarray]]]:
    for name, shape in net.live[1:]:
        net.maker.output(name, shape)
    chip, feeds = load_chip("tiny", overrides), {"x": net.feeds["x"][None]}
    compiled, _ = compile_file(
        net.maker.save(folder), feeds, chip, CompressionPlan(bits=5, sparsity=0.3)
    )
    return compiled.program, chip, integer_steps(compiled.program, feeds, 1)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(net=random_nets(), overrides=st.sampled_from(CHIPS))
def test_compiled_nets(
    tmp_path_factory: pytest.TempPathFactory, net: RandomNet, overrides: tuple[str, ...]
) -> None:
    if len(net.live) < 2:
        return
    program, chip, steps = made(tmp_path_factory.mktemp("net"), net, overrides)
    compare_with_clocked(program, chip, steps)


@pytest.mark.parametrize("overrides", CHIPS, ids=lambda chip: ",".join(chip) or "tiny")
def test_matrices_on_each_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    """Two layers with several tiles each: attribution and what-ifs against the clocked model."""
    rng = np.random.default_rng(3)
    maker = ModelMaker()
    maker.input("x", (1, 70))
    for name, source, columns, rows in (("a", "x", 70, 40), ("b", "a", 40, 24)):
        maker.tensor(f"w{name}", rng.normal(size=(rows, columns)))
        maker.tensor(f"b{name}", rng.normal(size=rows))
        maker.node("Gemm", [source, f"w{name}", f"b{name}"], [name], transB=1)
    maker.output("b")
    feeds = {"x": rng.normal(size=(1, 1, 70)).astype(np.float32)}
    chip = load_chip("tiny", overrides)
    compiled, _ = compile_file(
        maker.save(tmp_path), feeds, chip, CompressionPlan(bits=5, sparsity=0.4)
    )
    program, steps = compiled.program, integer_steps(compiled.program, feeds, 1)
    path = compare_with_clocked(program, chip, steps)
    assert set(path.what_if) == set(WHAT_IF)
    layers, rows = program.commands["layer"], len(program.layers)
    for what, spans in path.what_if.items():
        result = run_clocked(monkeypatch, what, program, chip, steps[0])
        assert result.status == isa.DONE, what
        assert spans.tolist() == np.diff(layer_ends(layers, result.free, rows), prepend=0).tolist()
    products = int((program.commands["opcode"] == isa.PRODUCT).sum())
    assert len(path.lanes.layer) == products > 1
    assert (path.lanes.spread <= path.lanes.column_cycles).all()


def compare_with_clocked(program: Program, chip: ChipConfig, steps: Any) -> WeightPath:
    """Compare all units of all layers; return the weight path of the run."""
    result = simulate(program, chip, steps, timing_only=True, explain=True)
    path = result.weight_path
    assert path is not None
    assert path.spans.tolist() == [layer.span_cycles for layer in result.counters.layers]
    seen = watch_clocked(machine_of(program, machine_params(chip), chip, steps[0]), path.cycles)
    ends = np.cumsum(path.spans)
    for unit in WEIGHT_PATH_UNITS:
        want = [seen[unit][b:e].sum(axis=0) for b, e in zip([0, *ends[:-1]], ends, strict=True)]
        assert path.classes[unit].tolist() == np.array(want).tolist(), unit
    stalls = result.counters.stalls
    for unit, prefix in (("dram_burst", "dma_w"), ("decoder", "decode")):
        sums = [sum(s[c] for e, s in stalls.items() if e.startswith(prefix)) for c in CLASS_NAMES]
        assert path.classes[unit].sum(axis=0).tolist() == sums
    return path


def machine_of(
    program: Program, params: isa.MachineParams, chip: ChipConfig, inputs: Any
) -> ClockedMachine:
    dram = np.zeros(program.dram_bytes, np.uint8)
    dram[: len(program.dram)] = program.dram
    for port in program.inputs:
        raw = np.ascontiguousarray(inputs[port.name]).reshape(-1).view(np.uint8)
        dram[port.address : port.address + port.bytes] = raw
    return ClockedMachine(
        params, program.commands, program.semaphore_kinds.tolist(),
        program.semaphore_initial.tolist(), dram=dram, store=program.store.copy(),
        abuf=np.zeros(chip.abuf.capacity_kb * 1024, np.uint8),
    )  # fmt: skip
