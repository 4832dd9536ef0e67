"""outputs.npz: values, keys for any output name, equal bytes for equal runs."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import OUTPUT, make_record

from azsim.report.outputs import dequantized, save_outputs
from azsim.report.record import RunRecord

pytestmark = pytest.mark.small


def named(*names: str) -> RunRecord:
    record = make_record()
    ports = tuple(replace(OUTPUT, name=name) for name in names)
    integers = {name: np.full((3, 2, 2), n, np.int8) for n, name in enumerate(names)}
    return replace(record, program=replace(record.program, outputs=ports), integers=integers)


def test_values_by_hand(tmp_path: Path) -> None:
    save_outputs(make_record(), tmp_path / "outputs.npz")
    with np.load(tmp_path / "outputs.npz", allow_pickle=False) as archive:
        assert archive.files == ["y", "y_int", "y_scale", "y_zero_point"]
        integers = np.arange(12, dtype=np.int8).reshape(3, 2, 2)
        np.testing.assert_array_equal(archive["y_int"], integers, strict=True)
        real = (np.arange(12, dtype=np.float32).reshape(3, 2, 2) - 3) / 2
        np.testing.assert_array_equal(archive["y"], real, strict=True)
        assert archive["y_scale"] == np.float64(0.5)
        assert archive["y_scale"].shape == archive["y_zero_point"].shape == ()
        assert archive["y_zero_point"] == 3
        assert archive["y_zero_point"].dtype == np.int64


@given(
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40),
    st.floats(1e-6, 1e3),
    st.integers(-(2**31), 2**31 - 1),
)
def test_real_values_are_rounded_once(integers: list[int], scale: float, zero_point: int) -> None:
    port = replace(OUTPUT, scale=scale, zero_point=zero_point)
    real = dequantized(port, np.array(integers, np.int32))
    assert real.dtype == np.float32
    assert real.tolist() == [float(np.float32((i - zero_point) * scale)) for i in integers]


def test_outputs_without_integers_are_left_out(tmp_path: Path) -> None:
    save_outputs(make_record(integers={}), tmp_path / "outputs.npz")
    with np.load(tmp_path / "outputs.npz") as archive:
        assert archive.files == []


@pytest.mark.parametrize(
    "name", ["/enc/Concat:0", "../up", "a b", "ä", "", ".", "y.npy", "c\\d", "x" * 300, "a\nb"]
)
def test_an_odd_name_is_its_own_key(tmp_path: Path, name: str) -> None:
    save_outputs(named(name, "other"), tmp_path / "outputs.npz")
    with np.load(tmp_path / "outputs.npz") as archive:
        assert (archive[name] == -1.5).all()
        assert (archive[f"{name}_int"] == 0).all()
        assert (archive["other_int"] == 1).all()


def test_names_that_collide_keep_their_values(tmp_path: Path) -> None:
    save_outputs(named("a", "a_int", "a_int_int", "a.npy"), tmp_path / "outputs.npz")
    with np.load(tmp_path / "outputs.npz") as archive:
        assert len(archive.files) == len(set(archive.files)) == 16
        assert [int(archive[key][0, 0, 0] * 2 + 3) for key in ("a", "a_int", "a_int_int")] == [
            0, 1, 2,
        ]  # fmt: skip
        assert [archive[key][0, 0, 0] for key in ("a_int_", "a_int_int_", "a_int_int_int")] == [
            0, 1, 2,
        ]  # fmt: skip
        assert archive["a.npy_"][0, 0, 0] == 0.0


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 70_000])
def test_a_name_no_zip_can_hold_is_mended(tmp_path: Path, name: str) -> None:
    save_outputs(named(name), tmp_path / "outputs.npz")
    with np.load(tmp_path / "outputs.npz") as archive:
        assert (archive[archive.files[1]] == 0).all()
        assert archive.files[1].endswith("_int")


def test_equal_runs_give_equal_bytes_whatever_the_time(tmp_path: Path) -> None:
    save_outputs(make_record(), tmp_path / "one.npz")
    save_outputs(make_record(), tmp_path / "other.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED


def test_a_column_major_array_is_written_in_rows(tmp_path: Path) -> None:
    integers = {"y": np.asfortranarray(np.arange(12, dtype=np.int8).reshape(3, 2, 2))}
    save_outputs(make_record(), tmp_path / "rows.npz")
    save_outputs(make_record(integers=integers), tmp_path / "columns.npz")
    assert (tmp_path / "rows.npz").read_bytes() == (tmp_path / "columns.npz").read_bytes()
