"""Sweeps as processes: the same bytes whoever computes them, nothing lost when they are killed."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from command import azsim, azsim_process, process_environment
from sweeps import MODEL, SMALL, written

from azsim import run
from azsim.frontend import read_onnx
from azsim.sweep import Workers, run_sweep
from azsim.sweep.materials import random_inputs
from azsim.zoo import build_zoo, save_onnx

RESULTS = ("results.csv", "results.parquet", "front.csv", "front.json", "sweep.json", "plan.yaml",
           "pareto.png", "pareto.pdf", "parallel.png", "parallel.pdf")  # fmt: skip
# long enough to be killed in the middle
LONG = f"""{MODEL.replace("frames: 2", "frames: 1500")}
axes:
  mac_array.lanes: [2, 4, 8]
  memory.simple.latency_cycles: {{from: 1, to: 20}}
keep: [cycles, frame_latency_ms]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(autouse=True)
def _own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(folder / "cache"))
    monkeypatch.delenv("AZSIM_CACHE_MB", raising=False)


@pytest.fixture(scope="module")
def small(folder: Path) -> Path:
    return written(folder, SMALL)


@pytest.fixture(scope="module")
def reference(folder: Path, small: Path) -> Path:
    """The small plan, run by one worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZSIM_CACHE_DIR", str(folder / "cache"))
        done = azsim("sweep", small, "-o", folder / "reference", "--workers", 1)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("5 points: 5 computed, 0 found in the journal, 0 failed\nfront: ")
    assert sorted(p.name for p in (folder / "reference").iterdir()) == sorted([*RESULTS, "journal"])
    return folder / "reference"


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_same(one: Path, other: Path) -> None:
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_table_holds_what_single_runs_say(reference: Path, folder: Path) -> None:
    rows = rows_of(reference)
    table = pyarrow.parquet.read_table(reference / "results.parquet")
    assert table.column_names == list(rows[0])
    assert table.column("cycles").to_pylist() == [int(row["cycles"]) for row in rows]
    assert [row["lane_bits"] for row in rows] == ["16", "8", "32", "16", "32"]
    assert {row["feasible"] for row in rows} == {"true"}
    assert {row["chip_status"] for row in rows} == {"test"}
    # the same point by hand: build the net, give it the same frames, run it
    save_onnx(build_zoo("tiny_lstm", None, 8, 0.0, 1), folder / "net.onnx")
    frames = random_inputs(read_onnx(folder / "net.onnx"), 2, 1).frames
    np.savez(folder / "frames.npz", **frames)
    record = run(
        folder / "net.onnx",
        input=folder / "frames.npz",
        chip="tiny",
        overrides=["mac_array.lanes=2"],
        bits=8,
        sparsity=0.5,  # what the net is meant to be run with
        timing_only=True,
    )
    assert record.counters.cycles == int(rows[0]["cycles"])
    assert record.chip.config_hash() == rows[0]["config_hash"]


def test_a_finished_sweep_computes_nothing_again(reference: Path, small: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (reference / "journal").rglob("*.json")}
    done = azsim("sweep", small, "-o", reference, "--scheduler", "tcp://127.0.0.1:1")
    assert (done.code, done.err) == (0, "")  # it does not even need its cluster
    assert done.out.startswith("5 points: 0 computed, 5 found in the journal, 0 failed\n")
    assert {p: p.stat().st_mtime_ns for p in (reference / "journal").rglob("*.json")} == before


def test_more_workers_and_a_longer_plan(reference: Path, folder: Path, small: Path) -> None:
    result = run_sweep(small, folder / "two", Workers(count=2))
    assert (result.computed, result.found, result.failed) == (5, 0, 0)
    assert_same(folder / "two", reference)
    longer = written(folder, SMALL.replace("[2, 4, 8]", "[8, 4, 2, 1]"), "longer.yaml")
    result = run_sweep(longer, folder / "two", Workers(count=2))
    assert (result.computed, result.found) == (2, 5)
    assert [row["cycles"] for row in rows_of(folder / "two")][:5] == [
        rows_of(reference)[k]["cycles"] for k in (4, 2, 3, 0, 1)
    ]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(reference: Path, folder: Path, small: Path) -> None:
    command = [sys.executable, "-c", DASK]
    environment = process_environment(folder)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().decode().strip()
        try:
            words = ["sweep", str(small), "-o", str(folder / "dask"), "--scheduler", address]
            done = subprocess.run(
                [sys.executable, "-m", "azsim", *words],
                env=environment,
                capture_output=True,
                timeout=300,
                check=False,
            )
        finally:
            assert cluster.stdin is not None
            cluster.stdin.close()
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.startswith(b"5 points: 5 computed, 0 found")
    assert_same(folder / "dask", reference)


# As Slurm does, it keeps a copy: dask-jobqueue deletes the script once it has been handed over.
SBATCH = """#!/bin/sh
cp "$1" "$0.job"
sh "$0.job" > /dev/null 2>&1 &
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_batch_jobs_give_the_same_bytes(reference: Path, folder: Path, small: Path) -> None:
    """A stand-in for Slurm starts the job scripts that dask-jobqueue makes."""
    tools = folder / "tools"
    tools.mkdir()
    for name, script in (("sbatch", SBATCH), ("scancel", '#!/bin/sh\nkill "$@"\n')):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    changes = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "DASK_JOBQUEUE__SLURM__CORES": "1",
        "DASK_JOBQUEUE__SLURM__MEMORY": "2GB",
    }
    words = ["sweep", str(small), "-o", str(folder / "batch"), "--cluster", "slurm"]
    done = subprocess.run(
        [sys.executable, "-m", "azsim", *words, "--workers", "1"],
        env=process_environment(folder, **changes),
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout.startswith(b"5 points: 5 computed, 0 found")
    assert_same(folder / "batch", reference)


def test_a_batch_system_that_is_not_configured(folder: Path, small: Path) -> None:
    done = azsim_process("sweep", small, "-o", "pbs", "--cluster", "pbs", cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"azsim: --cluster pbs: You must specify how much cores")
    assert done.stderr.count(b"\n") == 1


DASK = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
                      silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def start(folder: Path, plan: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "azsim", "sweep", str(plan), "-o", str(out), "--workers", "2"],
        env=process_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def entries(out: Path) -> dict[str, tuple[int, int]]:
    """Finished points: name -> (inode, time of writing)."""
    found = (out / "journal").glob("*/*.json")
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def wait_for(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 300
    while len(entries(out)) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_killed_and_finished_gives_the_bytes_of_an_uninterrupted_sweep(folder: Path) -> None:
    plan, out = written(folder, LONG, "long.yaml"), folder / "killed"
    with start(folder, plan, out) as process:
        wait_for(out, 8, process)
        workers = children(process.pid)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while not all(map(gone, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert all(map(gone, workers))  # nobody goes on computing
    kept = entries(out)
    assert 8 <= len(kept) < 60
    assert not (out / "results.csv").exists()
    with start(folder, plan, out) as process:  # now a worker is killed, and the sweep goes on
        wait_for(out, len(kept) + 5, process)
        victims = [pid for pid in children(process.pid) if not gone(pid)]
        os.kill(victims[0], signal.SIGKILL)
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, b"")
    line = re.match(rb"60 points: (\d+) computed, (\d+) found in the journal, 0 failed\n", output)
    assert line is not None
    assert (int(line[1]), int(line[2])) == (60 - len(kept), len(kept))
    assert kept.items() <= entries(out).items()  # nothing lost, nothing written twice
    assert len(entries(out)) == 60
    assert not list((out / "journal").rglob("*.part"))
    whole = run_sweep(plan, folder / "whole", Workers(count=1))
    assert whole.computed == 60
    assert_same(out, folder / "whole")


def test_what_cannot_be_run_is_a_row(folder: Path) -> None:
    plan = written(folder, f"""{MODEL}
axes:
  mac_array.lanes: [4, 3]
  abuf.capacity_kb: [16, 1]
""", "failing.yaml")  # fmt: skip
    result = run_sweep(plan, folder / "failed", Workers(count=1))
    rows = {(r["mac_array.lanes"], r["abuf.capacity_kb"]): r for r in result.rows}
    assert rows[4, 16]["status"] == "ok"
    assert rows[4, 16]["error"] is None
    assert result.failed == 3
    assert rows[3, 16]["error"] == (
        "override 'mac_array.lanes=3': wbuf.slot_weights:"
        " must be a multiple of mac_array.lanes (3), not 512"
    )
    assert rows[3, 16]["config_hash"] is None
    assert rows[4, 1]["error"] == (
        "ABUF: 'parameters' (576 bytes) needs 1536 bytes, the chip has 1024"
    )
    assert rows[4, 1]["cycles"] is None
    assert [row["point"] for row in result.front] == [rows[4, 16]["point"]]


def refused(*words: object) -> str:
    done = azsim("sweep", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("azsim: ")
    assert done.err.count("\n") == 1
    return done.err.removeprefix("azsim: ").rstrip("\n")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("columns: {twice: 2 * cycle}\n", "{}:7: columns.twice: '2 * cycle': no figure is called"
         " 'cycle'"),
        ("objectives: {cycle: minimize}\n", "{}:7: objectives.cycle: must be a figure of a run or a"
         " column"),
        ("objectives: {bound_by: minimize}\n", "{}:7: objectives.bound_by: must be a number, not"
         " 'memory'"),
        ("keep: [cycle]\n", "{}:7: keep: 'cycle': must be a figure of a run"),
        ("model: none.onnx\n", "{}:7: model: none.onnx: cannot be read: No such file or directory"),
        ("input: none.npz\n",
         "{}:7: input: {}/none.npz: cannot be read: No such file or directory"),
        ("model: zoo:ep\n", "{}:7: model: net must be one that `azsim zoo` lists"),
    ],
)  # fmt: skip
def test_names_that_no_run_has(folder: Path, more: str, line: str) -> None:
    base = "chip: tiny\nframes: 2\n\naxes:\n  bits: [8]\n\n"
    text = base + more
    if not more.startswith("model"):
        text += "model: zoo:tiny_lstm\n"
    plan = written(folder, text, "names.yaml")
    words = refused(plan, "-o", folder / "names", "--workers", 1)
    wanted = line.replace("{}/", f"{folder}/").replace("{}", str(plan)).replace(
        "model: none", f"model: {folder}/none")  # fmt: skip
    assert words.startswith(wanted)


def test_a_damaged_entry_of_the_journal_is_named(
    reference: Path, folder: Path, small: Path
) -> None:
    run_sweep(small, folder / "damaged", Workers(count=1))
    entry = sorted((folder / "damaged" / "journal").glob("*/*.json"))[2]
    sound = entry.read_bytes()
    for content in (b"", sound[:40], sound.replace(b'"cycles": 1', b'"cycles": 2')):
        if content == sound:
            continue
        entry.write_bytes(content)
        line = f"{entry}: journal entry is damaged and must be deleted"
        assert refused(small, "-o", folder / "damaged") == line
    entry.unlink()
    done = azsim("sweep", small, "-o", folder / "damaged", "--workers", 1)
    assert done.out.startswith("5 points: 1 computed, 4 found")
    assert_same(folder / "damaged", reference)


def test_a_damaged_entry_of_the_cache_stops_the_sweep(folder: Path, small: Path) -> None:
    cache = folder / "cache" / "results"
    run_sweep(small, folder / "cached", Workers(count=1))
    for entry in cache.glob("*.azp"):
        entry.write_bytes(b"damage")
    line = refused(small, "-o", folder / "cached again", "--workers", 1)
    assert re.fullmatch(
        rf"{cache}/[0-9a-f]+\.azp: cache entry is damaged and must be deleted", line
    )
    for entry in cache.glob("*.azp"):
        entry.unlink()


def test_folders_that_cannot_be_used(folder: Path, small: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    line = refused(small, "-o", other)
    assert line == f"{other}: must be empty, or the folder of a sweep of azsim"
    assert [p.name for p in other.iterdir()] == ["thesis.txt"]
    assert refused(small, "-o", small) == f"{small}: must be a folder, not a file"
    line = refused(small, "-o", "/proc/here")
    assert line == "/proc/here: cannot be written: No such file or directory"


def test_two_sweeps_do_not_share_a_folder(folder: Path, small: Path) -> None:
    from azsim.sweep.folder import open_folder

    with open_folder(folder / "taken"):
        line = refused(small, "-o", folder / "taken")
    assert line == f"{folder / 'taken'}: another sweep is writing there"


LIMITED = (
    "import resource, sys; from azsim.cli import main;"
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); sys.argv[1:] = {1!r}; main()"
)


def test_a_full_disk_is_one_line_and_loses_nothing(folder: Path) -> None:
    save_onnx(build_zoo("tiny_lstm", None, 8, 0.0, 1), folder / "disk.onnx")
    text = SMALL.replace("zoo:tiny_lstm", "disk.onnx")
    plan, out = written(folder, text, "disk.yaml"), folder / "full"
    words = ["sweep", str(plan), "-o", str(out), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(1500, words)],
        env=process_environment(folder, AZSIM_CACHE_MB="0"),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    place = re.escape(os.fsencode(out / "journal"))
    assert re.fullmatch(
        b"azsim: " + place + rb"/\S+\.json: cannot be written: File too large\n", done.stderr
    )
    assert not list(out.rglob("*.part"))
    assert run_sweep(plan, out, Workers(count=1)).failed == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--workers", 0], "--workers: must be 1 to 1024, not 0"),
        (["--cluster", "lpd"], "--cluster: must be slurm, lsf, pbs, not 'lpd'"),
        (["--cluster", "lsf", "--scheduler", "tcp://x:1"],
         "--cluster: must be left out where there is a --scheduler"),
    ],
)  # fmt: skip
def test_wrong_words(folder: Path, small: Path, words: list[object], line: str) -> None:
    assert refused(small, "-o", folder / "words", *words) == line


def test_a_scheduler_that_does_not_answer(
    folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azsim.sweep.cluster.CONNECT_SECONDS", 1)
    line = refused(small, "-o", folder / "nobody", "--scheduler", "tcp://127.0.0.1:9")
    assert line.startswith("--scheduler tcp://127.0.0.1:9: cannot be reached: ")
