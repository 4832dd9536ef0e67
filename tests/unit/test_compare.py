"""What differs between two runs: found, counted once, and read from any folder without harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import LAYER_COUNTERS, LAYERS, make_record, with_layers

from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.report.compare import Change, Comparison, compare, compare_folders, flat
from azsim.report.read import LARGEST_SUMMARY_BYTES, read_run
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary, save_summary

pytestmark = pytest.mark.small
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the summary of a run (or any text) to a folder of this name."""

    def written(name: str, content: RunRecord | str | bytes) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "summary.json"
        if isinstance(content, RunRecord):
            save_summary(build_summary(content), path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return written


def slower() -> RunRecord:
    """The run on another chip: one counter, one layer and the cycles differ."""
    record = make_record(chip=load_chip("az1", ["decoder.units=2", "mac_array.skip=none"]))
    counts = {**record.counters.counts, "mac_products_skipped": 0}
    layers = (replace(LAYER_COUNTERS[0], span_cycles=9000), *LAYER_COUNTERS[1:])
    counters = replace(
        record.counters,
        counts=counts,
        layers=layers,
        step_cycles=2 * record.counters.step_cycles,
    )
    return replace(record, counters=counters)


def names(changes: tuple[Change, ...]) -> list[str]:
    return [change.name for change in changes]


def by_name(comparison: Comparison) -> dict[str, Change]:
    everything = comparison.setting + comparison.counters + comparison.time_and_bytes
    found = {change.name: change for change in everything}
    assert len(found) == len(everything)  # nothing is told twice
    return found


def test_equal_runs_differ_in_nothing(write: Write) -> None:
    found = compare_folders(write("a", make_record()), write("b", make_record(wall_seconds=7.0)))
    assert not found.setting
    assert not found.counters
    assert not found.layers
    assert all(change.a == change.b for change in found.time_and_bytes)
    assert found.equal == len(flat(found.a))


def test_every_figure_that_differs_is_told(write: Write) -> None:
    found = compare_folders(write("a", make_record()), write("b", slower()))
    assert names(found.setting) == ["config_hash", "configuration.mac_array.skip"]
    told = by_name(found)
    assert told["configuration.mac_array.skip"] == Change(
        "configuration.mac_array.skip", "weight", "none", None
    )
    assert told["mac_products_skipped"] == Change("mac_products_skipped", 240, 0, 0.0)
    assert told["cycles"] == Change("cycles", 5000, 10000, 2.0)
    # 5000 and 10000 cycles of 2 ns in 3 frames
    assert told["ms_per_frame"] == Change("ms_per_frame", 0.00333333333, 0.00666666667, 2.0)
    assert told["dram_bytes_read_per_frame"].ratio == 1.0
    ours, theirs = flat(build_summary(make_record())), flat(build_summary(slower()))
    differing = {name for name in ours if ours[name] != theirs[name]}
    assert differing <= set(told)
    assert found.equal == len(ours) - len(differing)


def test_layers_are_compared_by_name(write: Write) -> None:
    found = compare_folders(write("a", make_record()), write("b", slower()))
    (layer,) = found.layers
    assert (layer.name, layer.operator) == ("enc/x", "Linear")
    assert layer.changes == (
        Change("span_cycles", 4000, 9000, 2.25),
        Change("cycles_over_bound", 1.81818182, 4.09090909, 2.25),  # of 2200 cycles
        Change("products", 240, 480, 2.0),  # no zero weight is left out
    )


def test_the_json_form_holds_all_that_differs(write: Write) -> None:
    found = compare_folders(write("a", make_record()), write("b", slower()))
    told = json.loads(json.dumps(found.to_json()))
    assert list(told) == ["setting", "counters", "layers", "time_and_bytes", "equal"]
    assert told["layers"] == [
        {
            "name": "enc/x",
            "operator": "Linear",
            "only_in": None,
            "changes": [
                {"name": "span_cycles", "a": 4000, "b": 9000, "ratio": 2.25},
                {"name": "cycles_over_bound", "a": 1.81818182, "b": 4.09090909, "ratio": 2.25},
                {"name": "products", "a": 240, "b": 480, "ratio": 2.0},
            ],
        }
    ]
    assert [change["name"] for change in told["counters"]] == names(found.counters)


def other_net() -> RunRecord:
    infos = [replace(LAYERS[0], columns=11), LAYERS[1], replace(LAYERS[2], name="enc/cell")]
    return with_layers(make_record(model="other.onnx"), infos, LAYER_COUNTERS)


def test_runs_of_other_nets_need_force(write: Write) -> None:
    a, b = write("a", make_record()), write("b", other_net())
    with pytest.raises(ConfigError) as caught:
        compare_folders(a, b)
    assert str(caught.value) == (
        f"{b}: must have the layers of {a}; small.onnx and other.onnx are different nets"
        " (--force compares them)"
    )
    found = compare_folders(a, b, force=True)
    # the second layer called enc/cell is no partner of the first one
    told = [(layer.name, layer.a is None, layer.b is None) for layer in found.layers]
    assert told == [
        ("enc/x", False, False),
        ("input and output", False, True),
        ("enc/cell", True, False),
    ]
    assert [layer["only_in"] for layer in found.to_json()["layers"]] == [None, "a", "b"]


def test_another_file_name_is_the_same_net(write: Write) -> None:
    found = compare_folders(write("a", make_record()), write("b", make_record(model="new.onnx")))
    assert names(found.setting) == ["model"]


def test_a_figure_that_one_run_lacks_and_a_zero_have_no_ratio() -> None:
    a, b = build_summary(make_record()), build_summary(make_record())
    del b["weights"]
    a["deadline_misses"], b["deadline_misses"] = 0, 4
    b["new_figure"] = 5
    told = by_name(compare(a, b))
    assert told["weights"] == Change("weights", 160, None, None)
    assert told["deadline_misses"] == Change("deadline_misses", 0, 4, None)
    assert told["new_figure"] == Change("new_figure", None, 5, None)


def test_true_is_no_number() -> None:
    a, b = build_summary(make_record()), build_summary(make_record(timing_only=True))
    assert by_name(compare(a, b))["timing_only"] == Change("timing_only", False, True, None)


def test_names_have_dots_and_the_order_of_the_file() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [2, {"e": None}]}, "layers": [], "f": "x"}) == {
        "a.b.c": 1,
        "a.d.0": 2,
        "a.d.1.e": None,
        "f": "x",
    }
    assert list(flat(build_summary(make_record())))[:3] == ["written_by", "version", "model"]


GOOD = build_summary(make_record())
REFUSED = {
    "": "summary.json:1: must be JSON (Expecting value)",
    "{": "summary.json:1: must be JSON (Expecting property name enclosed in double quotes)",
    '{"a": 1,\n "b" 2}': "summary.json:2: must be JSON (Expecting ':' delimiter)",
    "[]": "summary.json: must be the summary of a run of azsim",
    "7": "summary.json: must be the summary of a run of azsim",
    '{"written_by": "other"}': "summary.json: must be the summary of a run of azsim",
    '{"written_by": "azsim"}': "summary.json: 'model' must be text",
    "[" * 100_000: "summary.json: must have at most 16 levels",
    '{"a": NaN}': "summary.json: numbers must be finite, not NaN",
    '{"a": -Infinity}': "summary.json: numbers must be finite, not -Infinity",
    '{"a": 1e999}': "summary.json: numbers must be finite",
    f'{{"a": {1 << 63}}}': "summary.json: whole numbers must be below 2^63",
    f'{{"a": {"9" * 5000}}}': "summary.json: whole numbers must be below 2^63",
    json.dumps({**GOOD, "x": json.loads("[" * 20 + "]" * 20)}): (
        "summary.json: must have at most 16 levels"
    ),
    json.dumps({**GOOD, "frames": -1}): (
        "summary.json: 'frames' must be a whole number, 0 or more"
    ),
    json.dumps({**GOOD, "cycles": True}): (
        "summary.json: 'cycles' must be a whole number, 0 or more"
    ),
    json.dumps({**GOOD, "clock_mhz": "fast"}): (
        "summary.json: 'clock_mhz' must be a whole number, 0 or more"
    ),
    json.dumps({**GOOD, "layers": {}}): (
        "summary.json: 'layers' must be a list of layers with name and operator"
    ),
    json.dumps({**GOOD, "layers": [{"name": "a", "operator": "b", "c": []}]}): (
        "summary.json: 'layers' must be a list of layers with name and operator"
    ),
}


@pytest.mark.parametrize(("content", "text"), REFUSED.items(), ids=range(len(REFUSED)))
def test_damaged_summaries_are_one_line(write: Write, content: str, text: str) -> None:
    folder = write("run", content)
    with pytest.raises(ConfigError) as caught:
        read_run(folder)
    assert str(caught.value) == f"{folder}/{text}"


def test_bytes_that_are_no_text(write: Write) -> None:
    folder = write("run", b'{"a": "\xff"}')
    with pytest.raises(ConfigError) as caught:
        read_run(folder)
    assert str(caught.value) == f"{folder}/summary.json: must be text in UTF-8"


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "odd" / "summary.json").mkdir(parents=True)
    texts = {
        "none": "must be the folder of a run (azsim run --out)",
        "file": "must be the folder of a run (azsim run --out)",
        "empty": "must be the folder of a run, with a summary.json in it",
        "odd": "must be the folder of a run, with a summary.json in it",
        "x" * 300: "cannot be read: File name too long",
    }
    for name, text in texts.items():
        with pytest.raises(ConfigError) as caught:
            read_run(tmp_path / name)
        assert str(caught.value) == f"{tmp_path}/{name}: {text}"


def test_a_file_that_is_too_large_is_not_read(write: Write) -> None:
    folder = write("run", "")
    with (folder / "summary.json").open("r+b") as file:
        file.truncate(LARGEST_SUMMARY_BYTES + 1)
    with pytest.raises(ConfigError) as caught:
        read_run(folder)
    text = f"{folder}/summary.json: must be at most {LARGEST_SUMMARY_BYTES} bytes"
    assert str(caught.value) == text


def test_a_file_without_rights(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    # by hand: the tests may run as root, who may read everything
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    folder = write("run", make_record())
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError) as caught:
        read_run(folder)
    assert str(caught.value) == f"{folder}: cannot be read: Permission denied"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(GOOD)), VALUES)
def test_any_value_is_compared_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("run")
    text = json.dumps({**GOOD, key: value})
    (folder / "summary.json").write_text(text, encoding="utf-8", errors="backslashreplace")
    try:
        summary = read_run(folder)
    except ConfigError as error:
        refused = str(error)
    else:
        json.dumps(compare(GOOD, summary).to_json(), allow_nan=False)
        return
    assert refused.startswith(f"{folder}/summary.json")
    assert "\n" not in refused
