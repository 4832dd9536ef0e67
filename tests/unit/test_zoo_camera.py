"""Camera nets and single operations: the counts of their sources; small ones run bit-exact."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from azsim import run
from azsim.frontend import read_onnx
from azsim.sweep.materials import random_inputs
from azsim.zoo import build_zoo, find_entry, save_onnx, zoo_table
from azsim.zoo.camera import _mobiledet, _mobilenet_v2
from azsim.zoo.micro import BLOCKS
from azsim.zoo.nets import Recipe

# MACs in millions, counted from the public code (1 in a thousand: biases are not counted here)
MACS = [
    ("mnet_edgetpu", 990.7),
    ("mnet_edgetpu_075", 624.5),
    ("presence_v0", 838 + 20.6),
    ("presence_v2", 1474 + 20.6),
    ("seg_base", 2430),
    ("seg_b", 3420),
    ("seg_c", 1360),
    ("seg_d", 1930),
    ("blink_base", 153),
]
# parameters in millions; a batch norm's two numbers per channel there are one bias here
PARAMETERS = [
    ("mnet_edgetpu", 4.1),
    ("presence_v0", 2.7),
    ("presence_v2", 3.3),
    ("presence_v3", 2.15),
    ("blink_base", 2.22),
    ("seg_base", 1.86),
    ("seg_e", 2.64),
]
# all inverted residuals or mixed, width, side: parameters and MACs in millions, no heads
BACKBONES = [
    (False, 1.0, 320, 2.21, 838),
    (False, 0.75, 320, 1.28, 571),
    (True, 1.0, 320, 2.78, 1474),
    (True, 0.75, 320, 1.66, 1099),
    (False, 1.0, 256, 2.21, 536),
    (False, 0.75, 256, 1.28, 365),
    (True, 1.0, 256, 2.78, 943),
    (True, 0.75, 256, 1.66, 703),
]
# by side of the map: parameters in thousands, MACs in millions of both kinds
PAIRS = {
    160: ((5.8, 134), (20.8, 524)),
    80: ((15.0, 91), (64.4, 410)),
    20: ((78.9, 31), (370, 147)),
    10: ((243, 24), (1154, 115)),
}
MICRO = [entry.full_name for entry in zoo_table() if entry.name.startswith("micro_")]
# what runs in a moment: the others are run by `azsim zoo run`, see docs/zoo_results.md
RUN = [
    ("micro_gemm_m4", "az1"),
    ("micro_dw5x5", "az2"),
    ("micro_attention", "az1"),
    ("micro_svdf", "az2"),
    ("micro_softmax", "az1"),
    ("micro_layernorm", "az2"),
    ("micro_lut", "az1"),
    ("micro_ibn_20", "az1"),
    ("micro_fused_10", "az2"),
    ("blink_expert", "az2"),
]


def counts(recipe: Recipe) -> tuple[float, float]:
    layers = recipe.layers
    return sum(x.parameters for x in layers) / 1e6, sum(x.macs for x in layers) / 1e6


@pytest.mark.small
@pytest.mark.parametrize(("name", "macs"), MACS)
def test_macs_are_those_of_the_source(name: str, macs: float) -> None:
    assert find_entry(name, None).macs / 1e6 == pytest.approx(macs, rel=0.004)


@pytest.mark.small
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_parameters_are_those_of_the_source(name: str, parameters: float) -> None:
    assert find_entry(name, None).parameters / 1e6 == pytest.approx(parameters, rel=0.012)


@pytest.mark.small
@pytest.mark.parametrize(("mixed", "width", "side", "parameters", "macs"), BACKBONES)
def test_backbones_of_the_detector(
    mixed: bool, width: float, side: int, parameters: float, macs: float
) -> None:
    net = partial(_mobiledet, side=side, mixed=mixed, width=width, classes=2, heads=False)
    found = counts(Recipe(net))
    assert found[0] == pytest.approx(parameters, rel=0.011)
    assert found[1] == pytest.approx(macs, abs=0.6)


@pytest.mark.small
def test_the_public_detector_has_the_macs_of_its_source() -> None:
    both = [
        counts(Recipe(partial(_mobiledet, side=320, mixed=True, width=1.0, classes=n, heads=heads)))
        for n, heads in ((91, True), (2, True), (2, False))
    ]
    assert both[0][1] == pytest.approx(1544, rel=0.0005)
    assert both[0][1] - both[2][1] == pytest.approx(70.3, abs=0.1)
    assert both[1][1] - both[2][1] == pytest.approx(20.6, abs=0.1)
    assert both[0][0] - both[2][0] == pytest.approx(1.40, rel=0.01)
    assert both[1][0] - both[2][0] == pytest.approx(0.52, rel=0.01)


@pytest.mark.small
def test_mobilenet_v2_as_control() -> None:
    net = partial(_mobilenet_v2, side=224, classes=1000)
    assert counts(Recipe(net))[1] - 1.28 == pytest.approx(299.5, abs=0.1)  # without the classifier


@pytest.mark.small
def test_the_wink_expert_is_47_percent_smaller_and_no_more() -> None:
    base, expert = (find_entry(name, None) for name in ("blink_base", "blink_expert"))
    assert 1 - expert.parameters / base.parameters == pytest.approx(0.475, abs=0.005)
    # largest input and output of a layer together, int8: at the first block with expansion, and
    # behind the stem
    peaks = 80 * 80 * 96 + 40 * 40 * 96, 80 * 80 * 46 + 40 * 40 * 64
    assert 0.47 <= 1 - peaks[1] / peaks[0] < 0.49


@pytest.mark.small
@pytest.mark.parametrize("sizes", BLOCKS, ids=str)
def test_pairs_of_blocks(sizes: tuple[int, int, int]) -> None:
    side = sizes[0]
    for kind, (parameters, macs) in zip(("ibn", "fused"), PAIRS[side], strict=True):
        entry = find_entry(f"micro_{kind}_{side}", None)
        # the source counts two numbers of a batch norm per channel
        assert entry.parameters / 1e3 == pytest.approx(parameters, rel=0.05)
        assert entry.macs / 1e6 == pytest.approx(macs, rel=0.02)


@pytest.mark.small
def test_what_is_ours_says_so() -> None:
    for entry in zoo_table():
        if entry.name.startswith(("presence", "seg", "blink_expert")):
            assert entry.label == "reconstruction"
        if entry.name.startswith("micro_"):
            assert entry.label == "made up"
    assert len(MICRO) == 22


@pytest.mark.small
@pytest.mark.parametrize("name", [*MICRO, "blink_expert"])
def test_the_file_holds_what_the_table_counts(tmp_path: Path, name: str) -> None:
    entry = find_entry(name, None)
    save_onnx(build_zoo(name, None, entry.bits, entry.sparsity, 1), tmp_path / "net.onnx")
    graph = read_onnx(tmp_path / "net.onnx")
    nodes = [node for node in graph.nodes if node.operator not in ("Reshape", "Transpose", "Take")]
    names = {name for node in nodes for name in node.inputs}
    constants = (graph.values[name] for name in names if name in graph.values)
    stored = sum(value.size for value in constants if value.data is not None and value.size > 1)
    assert stored == entry.parameters


@pytest.mark.parametrize(("name", "chip"), RUN)
def test_small_ones_run_bit_exact(tmp_path: Path, name: str, chip: str) -> None:
    entry = find_entry(name, None)
    save_onnx(build_zoo(name, None, entry.bits, entry.sparsity, 1), tmp_path / "net.onnx")
    frames = random_inputs(read_onnx(tmp_path / "net.onnx"), 2, 1)
    record = run(tmp_path / "net.onnx", input=frames, chip=chip, verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.steps) == (2, 2)
    noise = [value for value in record.sqnr_db.values() if value is not None]
    assert noise
    assert min(noise) > 12  # the outputs are no noise: scales and layouts are right
