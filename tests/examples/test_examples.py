"""Every example runs as described, in a folder of its own, and says nothing on standard error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from command import REPOSITORY, azsim, azsim_process, process_environment

from azsim.sweep import Workers, load_plan, run_sweep
from azsim.sweep.points import plan_points

EXAMPLES = REPOSITORY / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))

# What each example must have said: figures that mean that it did its work.
SAYS = {
    "own_model.py": r"bit-exact 25/25, SQNR \d\d\.\d dB\n\d+ cycles a frame on az1\n",
    "compression_pays.py": r"dense +8 +0% +\d+ +\d+ +8\.\d\d +[\d.]+ dB\n(az1 .* dB\n){4}",
    "fleet_energy.py": r"az1 \(assumed\) +[\d.,]+ kWh a year \([\d.,]+ to [\d.,]+\)\nmobile CPU +",
    "recognize_speech.py": r"az1:    set a timer for ten minutes\ncycles: encoder [\d,]+, .*\n\d",
    "step_by_step.py": r"equal to the integer reference: 10 of 10 frames\n",
}


def run_example(name: str, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        cwd=folder,
        env=process_environment(folder),
        capture_output=True,
        timeout=500,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.mark.parametrize("name", SCRIPTS)
def test_example(name: str, tmp_path: Path) -> None:
    text = run_example(name, tmp_path)
    assert re.search(SAYS[name], text), text
    assert set(os.listdir(tmp_path)) <= {"cache"}


def test_each_example_is_described_and_checked() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert set(SAYS) == set(SCRIPTS)
    for entry in (*SCRIPTS, *(path.name for path in EXAMPLES.iterdir() if path.is_dir())):
        if entry != "__pycache__":
            assert f"]({entry}" in page, entry


def test_the_own_model_is_left_in_a_folder_that_is_named(tmp_path: Path) -> None:
    run_example("own_model.py", tmp_path, str(tmp_path))
    assert {"own_model.onnx", "frames.npz", "run"} <= set(os.listdir(tmp_path))
    done = azsim_process(
        *("run", "own_model.onnx", "-i", "frames.npz", "--bits", "6", "--verify"),
        *("-o", "again"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    for name in ("summary.json", "outputs.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_compression_pays_as_its_title_says(tmp_path: Path) -> None:
    rows = [line.split() for line in run_example("compression_pays.py", tmp_path).splitlines()[1:]]
    traffic = [int(row[4]) for row in rows]
    # raw int8; the same through the decoder, which cannot gain there; then fewer and fewer bytes
    assert traffic[2] > traffic[3] > traffic[4]
    assert traffic[0] > traffic[2]
    quality = [float(row[6]) for row in rows]
    assert quality[0] == quality[1] > quality[2]


def test_the_fleet_is_arithmetic(tmp_path: Path) -> None:
    """80 s of audio a day for a million users; the last column of a year is in kilowatt hours."""
    spec = spec_from_file_location("fleet_energy", EXAMPLES / "fleet_energy.py")
    assert spec is not None
    assert spec.loader is not None
    fleet = module_from_spec(spec)
    spec.loader.exec_module(fleet)
    # 1 W while somebody speaks: 80 s x 365 days x a million = 2.92e10 J
    assert fleet.kwh_a_year(1e12) == pytest.approx(2.92e10 / 3.6e6)


def test_the_commands_of_the_page_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if re.match("azsim (zoo|run)", line)]
    assert len(lines) == 2
    frames = np.random.default_rng(1).normal(size=(3, 1, 1, 24)).astype(np.float32)
    np.savez("frames.npz", frames)
    for line in lines:
        done = azsim(*line.split()[1:])
        assert (done.code, done.err) == (0, "")
    assert Path("runs/tiny/summary.json").is_file()


def test_the_script_of_the_recording_is_sound() -> None:
    script = EXAMPLES / "speech_command" / "make_wav.sh"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    done = azsim_process("demo", "--frames", "3", "-o", "demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert "bit-exact 3/3" in text
    assert "rnnt_alexa_l_encoder.onnx on az1 (assumed)" in text
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) <= 40
    assert (tmp_path / "demo" / "summary.json").is_file()
    assert set(os.listdir(tmp_path)) == {"demo"}


def test_the_sweep_around_az1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    plan = EXAMPLES / "sweep_az1" / "plan.yaml"
    assert len(plan_points(load_plan(plan))) == 200
    few = tmp_path / "few.yaml"
    few.write_text(plan.read_text(encoding="utf-8").replace("points: 200", "points: 3"))
    result = run_sweep(few, tmp_path / "out", Workers(count=1))
    assert (len(result.rows), result.failed) == (3, 0)
    assert result.front
