"""Cascades: strips of rows through several nodes give the same integers with less traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bottleneck import Bottleneck, bottlenecks
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azsim.compiler import CompiledGraph, CompressionPlan
from azsim.compiler.emit.turns import Turns, depthwise_pieces
from azsim.compiler.place import place_graph
from azsim.compiler.spill.activations import spill_graph
from azsim.compiler.spill.cascade import (
    CascadePlanner,
    cut,
    find_cascades,
    line_elements,
    plan_bytes,
)
from azsim.compiler.tile import tile_graph
from azsim.config import ChipConfig, load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.graph.integer import (
    TRACK_DMA,
    Depthwise,
    IntegerGraph,
    Linear,
    SpillRows,
    View,
)
from azsim.graph.integer_window import Grid
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine


def chip(kilobytes: int, *more: str) -> ChipConfig:
    return load_chip("tiny", [f"abuf.capacity_kb={kilobytes}", "sequencer.semaphores=32", *more])


def compiled_net(
    net: Bottleneck, folder: Path, config: ChipConfig
) -> tuple[CompiledGraph, list[dict[str, np.ndarray]]]:
    feeds = {"x": np.random.default_rng(1).normal(size=(2, *net.shape)).astype(np.float32)}
    compiled, _ = compile_file(net.save(folder), feeds, config, CompressionPlan())
    return compiled, integer_steps(compiled.program, feeds, 2)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(net=bottlenecks(), kilobytes=st.sampled_from([1, 2, 3, 16]))
def test_strips_give_the_same_integers(
    tmp_path_factory: pytest.TempPathFactory, net: Bottleneck, kilobytes: int
) -> None:
    config = chip(kilobytes)
    compiled, steps = compiled_net(net, tmp_path_factory.mktemp("net"), config)
    outputs, results = run_machine(FastMachine, compiled.program, config, steps)
    for got, want, result in zip(outputs, reference_outputs(compiled, steps), results, strict=True):
        assert result.status == isa.DONE
        np.testing.assert_array_equal(got["y"], want["y"])


@pytest.mark.parametrize(
    ("kilobytes", "changes"),
    [(3, {}), (3, {"stride": 2}), (2, {"fused": True, "first": False}), (32, {"wide": 16})],
)
def test_the_machines_agree(tmp_path: Path, changes: dict[str, int], kilobytes: int) -> None:
    config = chip(kilobytes)
    net = replace(Bottleneck(height=16, width=8, channels=8), **changes)
    compiled, steps = compiled_net(net, tmp_path, config)
    assert spill_graph(compiled.integers, config).sections
    fast = run_machine(FastMachine, compiled.program, config, steps[:1])
    clocked = run_machine(ClockedMachine, compiled.program, config, steps[:1])
    np.testing.assert_array_equal(fast[0][0]["y"], clocked[0][0]["y"])
    for name, a, b in zip(fast[1][0]._fields, fast[1][0], clocked[1][0], strict=True):
        np.testing.assert_array_equal(a, b, name)


def test_what_lies_between_never_goes_to_dram(tmp_path: Path) -> None:
    net = Bottleneck(height=40, wide=16)
    config = chip(3)
    compiled, _ = compiled_net(net, tmp_path, config)
    graph = spill_graph(compiled.integers, config)
    written = {node.y for node in graph.nodes if isinstance(node, SpillRows)}
    inner = {name for cascade in find_cascades(compiled.integers) for name in cascade.inner}
    assert inner
    assert written
    assert not inner & written


def test_no_product_is_made_twice(tmp_path: Path) -> None:
    net = Bottleneck(height=40, wide=16)
    counts = []
    for kilobytes in (64, 3):
        config = chip(kilobytes, "mac_array.skip=none")
        compiled, _ = compiled_net(net, tmp_path, config)
        graph = spill_graph(compiled.integers, config)
        linear = [node for node in graph.nodes if isinstance(node, Linear)]
        counts.append(sum(graph.tensors[n.y].size * n.weights.shape[1] for n in linear))
    assert counts[0] == counts[1] > 0


def test_a_cascade_is_faster_where_all_would_fit(tmp_path: Path) -> None:
    """MAC and VECTOR work at the same time: less than their work one after the other."""
    net = Bottleneck(height=24, width=16, channels=8, wide=16)
    config = chip(64, "mac_array.macs_per_lane=1", "sequencer.queue_depth=8")
    compiled, steps = compiled_net(net, tmp_path, config)
    graph = spill_graph(compiled.integers, config)
    assert graph.sections
    assert not any(t.in_dram for t in graph.tensors.values())
    _, results = run_machine(FastMachine, compiled.program, config, steps[:1])
    commands, spent = compiled.program.commands, results[0].free - results[0].start
    busy = [int(spent[commands["engine"] == engine].sum()) for engine in (isa.MAC, isa.VECTOR)]
    assert max(busy) <= results[0].cycles < 0.9 * sum(busy)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(net=bottlenecks(), kilobytes=st.sampled_from([2, 3, 16]))
def test_tracks_of_a_section_share_no_memory(
    tmp_path_factory: pytest.TempPathFactory, net: Bottleneck, kilobytes: int
) -> None:
    """What one track writes no other one of the section reads or writes."""
    config = chip(kilobytes)
    compiled, _ = compiled_net(net, tmp_path_factory.mktemp("net"), config)
    graph = spill_graph(compiled.integers, config)
    address = place_graph(graph, tile_graph(graph, config), config).address
    for section in {number for number, _ in graph.sections.values()}:
        used = {track: touched(graph, address, (section, track)) for track in range(3)}
        for track, (_, written) in used.items():
            for other in set(used) - {track}:
                assert not written & (used[other][0] | used[other][1]), section


def touched(
    graph: IntegerGraph, address: Mapping[str, int], section: tuple[int, int]
) -> tuple[set[int], set[int]]:
    """Bytes of ABUF that a track reads, and that it writes."""
    sets: tuple[set[int], set[int]] = set(), set()
    for node in graph.nodes:
        if graph.sections.get(node.name) == section and not isinstance(node, View):
            for names, found in zip((node.reads, node.writes), sets, strict=True):
                for tensor in (graph.tensors[n] for n in names):
                    if not tensor.in_dram:
                        size = tensor.size * np.dtype(tensor.element).itemsize
                        found |= set(range(address[tensor.name], address[tensor.name] + size))
    return sets


def test_rows_are_fetched_one_section_ahead(tmp_path: Path) -> None:
    net = Bottleneck(height=40, wide=16, residual=False)
    config = chip(3)
    compiled, _ = compiled_net(net, tmp_path, config)
    graph = spill_graph(compiled.integers, config)
    section = {n.name: graph.sections[n.name] for n in graph.nodes if n.name in graph.sections}
    fetched = [name for name, (_, track) in section.items() if track == TRACK_DMA and "/in" in name]
    assert len(fetched) > 3
    for name in fetched[1:]:
        assert section[name][0] == section[name.split("/")[0]][0] - 1


def test_cutting_keeps_rows_and_order(tmp_path: Path) -> None:
    net = Bottleneck(height=12, residual=False)
    compiled, _ = compiled_net(net, tmp_path, chip(64))
    (cascade,) = find_cascades(compiled.integers)
    assert [type(n).__name__ for n in cascade.nodes] == [
        "Linear", "Move", "Depthwise", "Linear", "Requant",
    ][: len(cascade.nodes)]  # fmt: skip
    strips = cut(cascade, 5)
    assert strips is not None
    assert len(strips) == 3
    made = [[strip.made for s in strips if (strip := s[i])] for i in range(4)]
    rows = [[tuple(e // cascade.rows[i] for e in m) for m in made[i]] for i in range(4)]
    assert rows[3] == [(0, 5), (5, 10), (10, 12)]
    assert rows[1] == [(0, 7), (7, 12), (12, 14)]  # padded rows: two more than the first 5
    assert rows[0] == [(0, 6), (6, 11), (11, 12)]
    lines = line_elements(cascade, strips, 0)
    assert lines == {cascade.results[1]: 14 * cascade.rows[1]}  # all there are
    strips = cut(cascade, 2)
    assert strips is not None
    # the window of one strip, behind it what the next one keeps and makes, less what overlaps
    assert line_elements(cascade, strips, 0) == {cascade.results[1]: (4 + 2 + 4 - 1) * 64}


def test_the_bytes_of_a_plan_are_enough(tmp_path: Path) -> None:
    net = Bottleneck(height=40, wide=16)
    config = chip(64)
    compiled, _ = compiled_net(net, tmp_path, config)
    (cascade,) = find_cascades(compiled.integers)
    planner = CascadePlanner(cascade, config)
    small, large = planner.plan(2500, ()), planner.plan(60_000, ())
    assert small is not None
    assert large is not None
    assert plan_bytes(cascade, small.strips, small.lines, ()) <= 2500
    assert large.cycles <= small.cycles
    assert planner.plan(100, ()) is None


@pytest.mark.small
@given(
    out=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    channels=st.integers(1, 40),
    kernel=st.integers(1, 5),
)
def test_pieces_of_a_window_cover_it(out: tuple[int, int], channels: int, kernel: int) -> None:
    grid = Grid(3, 5, *out, kernel, kernel, 1000, 10, 1000, 10)
    node = Depthwise("d", "x", "y", "w", "p", channels, (grid,))
    targets: list[int] = []
    for piece in (part.grids[0] for part in depthwise_pieces(node, 16)):
        for h in range(piece.out_h):
            for w in range(piece.out_w):
                targets.append(piece.target + (h * piece.out_w + w) * channels)
                place = (targets[-1] - grid.target) // channels
                row, column = divmod(place, grid.out_w)
                assert piece.source + h * 1000 + w * 10 == 3 + row * 1000 + column * 10
    assert targets == [5 + k * channels for k in range(grid.outputs)]


@pytest.mark.small
def test_turns_give_vector_work_while_products_run() -> None:
    order: list[str] = []

    def track(name: str, steps: list[tuple[int, int]]):  # type: ignore[no-untyped-def]
        for number, step in enumerate(steps):
            yield step
            order.append(f"{name}{number}")

    Turns().take(track("p", [(100, 10)] * 3), track("v", [(0, 60)] * 4))

    assert order == ["v0", "v1", "p0", "v2", "v3", "p1", "p2"]
