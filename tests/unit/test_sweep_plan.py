"""Plans: axes, samples, and refusals with the line that is wrong."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import MODEL, SMALL, plan_of, written

from azsim.config import load_chip, override_chip
from azsim.errors import ConfigError
from azsim.sweep.axes import make_axis
from azsim.sweep.front import pareto_front
from azsim.sweep.plan import load_plan, override_text
from azsim.sweep.points import plan_points

pytestmark = pytest.mark.small


@pytest.mark.parametrize(
    ("what", "levels"),
    [
        ([4, 1, 2], (4, 1, 2)),
        ({"from": 1, "to": 4}, (1, 2, 3, 4)),
        ({"from": 1, "to": 8, "step": 3}, (1, 4, 7)),
        ({"from": 0.1, "to": 0.4, "step": 0.1}, (0.1, 0.2, 0.3, 0.4)),
        ({"from": 8, "to": 64, "factor": 2}, (8, 16, 32, 64)),
        ({"from": 0.0, "to": 0.75, "steps": 4}, (0.0, 0.25, 0.5, 0.75)),
        ({"from": 1, "to": 100, "steps": 3, "scale": "log"}, (1, 10, 100)),
        ({"from": 0.0, "to": 1.0}, ()),
    ],
)
def test_axes(what: object, levels: tuple[object, ...]) -> None:
    assert make_axis("a", what).levels == levels


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ([], "must have at least one value"),
        (3, "must be a list of values, or a range with 'from' and 'to'"),
        ([[1]], "must have plain values: numbers, words, true or false"),
        ([None], "must have plain values: numbers, words, true or false"),
        ([math.inf], "must have finite values"),
        ([1, 1], "must have each value once, not 1 again"),
        ({"from": 1}, "'to' must be present in a range"),
        ({"from": 2, "to": 1}, "'from' must be below 'to', not 2 and 1"),
        ({"from": 1, "to": 9, "stepp": 1}, "unknown key 'stepp': must be from, to, step, steps,"
         " factor or scale"),
        ({"from": 1, "to": 9, "step": 0}, "'step' must be above 0, not 0"),
        ({"from": 1, "to": 9, "step": 1, "steps": 3}, "must have one of step, steps and factor"),
        ({"from": 0, "to": 9, "factor": 2}, "'from' must be above 0 for a factor or scale log,"
         " not 0"),
        ({"from": 1, "to": 9, "factor": 1}, "'factor' must be above 1, not 1"),
        ({"from": 0, "to": 10**9}, "must have at most 100000 values, not 1000000001"),
    ],
)  # fmt: skip
def test_what_is_no_axis(what: object, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(reason)}$"):
        make_axis("a", what)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("modle: x\n", ":1: modle: unknown key (did you mean 'model'?)"),
        (f"{MODEL}axes: {{}}\n", ":4: axes: must have at least one axis"),
        ("axes: {bits: [4]}\n",
         ": model: must be present, as 'zoo:NAME' or the path of an ONNX file"),
        (f"{MODEL}axes:\n  bits: []\n", ":5: axes.bits: must have at least one value"),
        (f"{MODEL}axes:\n  bits: [7]\n", ":5: axes.bits: must be 8, 6, 5, 4, 3 or 2, not 7"),
        (f"{MODEL}axes:\n  host_traffic: [none, musik]\n",
         ":5: axes.host_traffic: must be none, or of cpu_misses, display, music joined by '+',"
         " or files, not 'musik'"),
        (f"{MODEL}axes:\n  sparsity: [1.0]\n",
         ":5: axes.sparsity: must be 0 or more and below 1, not 1.0"),
        (f"{MODEL}axes:\n  mac_array.lane: [1]\n",
         ":5: axes.mac_array.lane: unknown key (did you mean 'lanes'?)"),
        (f"{MODEL}axes:\n  lanes: [1]\n",
         ":5: axes.lanes: unknown key (did you mean 'mac_array.lanes'?)"),
        (f"{MODEL}axes:\n  mac_array.lanes: [0]\n",
         ":5: axes.mac_array.lanes: must be at least 1, not 0"),
        (f"{MODEL}axes:\n  mac_array.lanes: [many]\n",
         ":5: axes.mac_array.lanes: must be an integer, not 'many'"),
        (f"{MODEL}axes:\n  chip: [az1, az9]\n",
         ":5: axes.chip: chip 'az9': must be one of " + "az1"),
        (f"{MODEL}set: {{core.clock: 3}}\naxes: {{bits: [4]}}\n",
         ":4: set: core.clock: unknown key (did you mean 'clock_mhz'?)"),
        (f"{MODEL}axes: {{bits: [4]}}\nwhere: [bits <]\n",
         ":5: where: 'bits <': must be an expression such as 'mac_array.lanes <= 64'"),
        (f"{MODEL}axes: {{bits: [4]}}\nwhere: [bit < 4]\n",
         ":5: where: 'bit < 4': no figure is called 'bit'"),
        (f"{MODEL}axes: {{bits: [4]}}\nwhere: [bits < 4]\n",
         ":5: where: must leave at least one point"),
        (f"{MODEL}axes: {{bits: [4]}}\ncolumns: {{a-b: bits}}\n",
         ":5: columns.a-b: must be a name of letters, digits and '_'"),
        (f"{MODEL}axes: {{sparsity: {{from: 0.0, to: 0.5}}}}\n",
         ":4: axes.sparsity: must have step, steps, factor or a list of values for a grid"),
        (f"{MODEL}axes: {{bits: [4]}}\nsampling: {{method: lhs}}\n",
         ":5: sampling: must say how many 'points' for method lhs"),
        (f"{MODEL}axes: {{bits: [4]}}\nsampling: {{method: gird}}\n",
         ":5: sampling.method: must be grid, random, lhs or list, not 'gird'"),
        (f"{MODEL}points: [{{bits: 4}}]\n",
         ":4: points: must stand with 'sampling: {method: list}' and without axes"),
        (f"{MODEL}sampling: {{method: list}}\n",
         ":4: sampling.method: list: must stand with 'points'"),
        (f"{MODEL}sampling: {{method: list}}\npoints:\n- bits: 4\n- bits: 9\n",
         ":7: points.1.bits: must be 8, 6, 5, 4, 3 or 2, not 9"),
        (f"{MODEL}bits: 4.5\naxes: {{sparsity: [0.5]}}\n", ":4: bits: must be an integer, not 4.5"),
        (f"{MODEL}axes: {{bits: &x [4]}}\n", ":4: must be plain data, without anchors or aliases"),
        ("- 1\n", ": must be a mapping of sections"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_one_line_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_points(plan_of(tmp_path, text))
    message = str(caught.value).removeprefix(str(tmp_path / "plan.yaml"))
    assert message.split(", az2")[0] == line


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plan\.yaml: must be a readable file: No such file"):
        load_plan(tmp_path / "plan.yaml")


def test_a_grid_runs_its_last_axis_fastest_and_where_leaves_points_out(tmp_path: Path) -> None:
    points = plan_points(plan_of(tmp_path, SMALL))
    assert [tuple(point.values()) for point in points] == [(2, 8), (2, 4), (4, 8), (4, 4), (8, 4)]


def test_a_million_points_are_asked_for(tmp_path: Path) -> None:
    axis = "{from: 1, to: 100}"
    text = f"{MODEL}axes: {{mac_array.lane_queue: {axis}, dma_w.outstanding_bursts: {axis}}}\n"
    assert len(plan_points(plan_of(tmp_path, text))) == 10_000
    more = text.replace("}}\n", "}, sequencer.queue_depth: {from: 1, to: 100}}\n")
    where = str(tmp_path / "plan.yaml")
    asked = "gives 1,000,000 points or more; more than 200,000 must be asked for with --yes"
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{where}: {asked}')}$"):
        plan_points(plan_of(tmp_path, more))
    lots = f"{MODEL}axes: {{mac_array.lane_queue: {axis}, dma_w.outstanding_bursts: {axis},"
    lots += f" sequencer.queue_depth: {axis}, dma_a.outstanding_bursts: {axis}}}\n"
    never = "gives 100,000,000 points; at most 10,000,000 can be swept"
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{where}: {never}')}$"):
        plan_points(plan_of(tmp_path, lots), yes=True)


@pytest.mark.parametrize("method", ["random", "lhs"])
def test_samples_are_seeded_distinct_and_inside(tmp_path: Path, method: str) -> None:
    text = f"""{MODEL}
axes:
  mac_array.lanes: [1, 2, 4, 8]
  sparsity: {{from: 0.0, to: 0.9}}
  core.clock_mhz: {{from: 100, to: 1000}}
where: [mac_array.lanes > 1]
sampling: {{method: {method}, points: 40, seed: 7}}
"""
    points = plan_points(plan_of(tmp_path, text))
    assert points == plan_points(plan_of(tmp_path, text))
    assert points != plan_points(plan_of(tmp_path, text.replace("seed: 7", "seed: 8")))
    assert len({repr(point) for point in points}) == len(points)
    assert {point["mac_array.lanes"] for point in points} == {2, 4, 8}
    assert all(0 <= float(str(point["sparsity"])) <= 0.9 for point in points)
    if method == "random":
        assert len(points) == 40
    else:  # a quarter of the lanes are left out; each of 40 parts of a range is met once
        assert len(points) == 30


def test_a_latin_hypercube_meets_each_part_of_a_range_once(tmp_path: Path) -> None:
    text = f"{MODEL}axes: {{sparsity: {{from: 0.0, to: 0.8}}}}\n"
    text += "sampling: {method: lhs, points: 16}\n"
    shares = [float(str(point["sparsity"])) / 0.8 for point in plan_points(plan_of(tmp_path, text))]
    assert sorted(int(share * 16) for share in shares) == list(range(16))


@given(
    st.one_of(
        st.integers(1, 8), st.floats(1e-300, 1e300), st.sampled_from(["bitmap", 'a"\\b: #', "1"])
    )
)
def test_overrides_give_back_the_value(value: int | float | str) -> None:
    from azsim.config._yaml import parse_scalar

    text = override_text("key", value).removeprefix("key=")
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_axes_over_any_key_of_a_chip(tmp_path: Path) -> None:
    text = f"{MODEL}axes:\n  profile: [bitmap, none]\n  mac_array.products_per_mac.8: [1, 2]\n"
    text += "  vector.ops.add.latency_cycles: [3]\n  tile_weights: [256]\n"
    plan = plan_of(tmp_path, text)
    assert len(plan_points(plan)) == 4
    chip = override_chip(load_chip("tiny"), [override_text("mac_array.products_per_mac.8", 2)])
    assert chip.mac_array.products_per_mac == {8: 2}


# -- the front ----------------------------------------------------------------------------------


def naive_front(values: np.ndarray) -> list[bool]:
    """By definition, point against point."""
    return [
        not any((other <= row).all() and (other < row).any() for other in values) for row in values
    ]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30))
def test_the_front_is_what_its_definition_says(rows: list[tuple[int, ...]]) -> None:
    values = np.array(rows)
    assert pareto_front(values).tolist() == naive_front(values)
    flipped = values * [1, -1, 1]
    assert pareto_front(flipped, [False, True, False]).tolist() == naive_front(values)


def test_points_without_a_figure_are_never_on_the_front() -> None:
    values = [[1, math.nan], [2, 2], [math.nan, math.nan]]
    assert pareto_front(values).tolist() == [False, True, False]


def test_a_plan_keeps_its_text(tmp_path: Path) -> None:
    assert load_plan(written(tmp_path, SMALL)).text == SMALL
