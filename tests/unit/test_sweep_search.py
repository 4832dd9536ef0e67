"""Search: the front that a full grid has is found, searches go on, and storages are shared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from command import azsim
from sweeps import MODEL, written

from azsim.errors import ConfigError
from azsim.sweep import SweepResult, Workers, run_search, run_sweep

# 48 points; bits and sparsity have one best value, lanes and MACs trade latency for gates
GRID = f"""{MODEL}
axes:
  mac_array.lanes: [1, 2, 4, 8]
  mac_array.macs_per_lane: [1, 2]
  bits: [8, 4]
  sparsity: [0.0, 0.5, 0.75]
keep: [cycles]
objectives: {{frame_latency_ms.p99: minimize, area_k_gates: minimize}}
search: {{trials: 60, population: 12, seed: 3}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(autouse=True)
def _own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(folder / "cache"))


def values(result: SweepResult) -> set[tuple[object, ...]]:
    """Objectives of the points on the front."""
    return {tuple(row[name] for name in result.objectives) for row in result.front}


def settings(rows: Sequence[dict[str, object]], names: Sequence[str]) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture(scope="module")
def swept(folder: Path) -> SweepResult:
    """The true front, from the full grid; its journal is the searches' too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZSIM_CACHE_DIR", str(folder / "cache"))
        return run_sweep(written(folder, GRID, "grid.yaml"), folder / "out", Workers(count=1))


def test_nsga2_finds_the_true_front(folder: Path, swept: SweepResult) -> None:
    assert len(swept.rows) == 48
    assert 2 <= len(values(swept)) <= 12
    plan = written(folder, GRID, "grid.yaml")
    result = run_search(plan, folder / "out", Workers(count=1))
    assert values(result) == values(swept)
    assert len(result.rows) < 48  # without running every point
    assert result.computed == 0  # the grid's journal knew them all
    assert (folder / "out" / "front.csv").is_file()


def test_tpe_finds_the_true_front(folder: Path, swept: SweepResult) -> None:
    plan = written(folder, GRID.replace("{trials", "{sampler: tpe, trials"), "tpe.yaml")
    result = run_search(plan, folder / "out", Workers(count=1), study="tpe")
    assert values(result) == values(swept)


def test_a_search_goes_on_as_if_it_had_not_stopped(folder: Path, swept: SweepResult) -> None:
    plan = written(folder, GRID, "grid.yaml")
    whole = run_search(plan, folder / "out", Workers(count=1), trials=36, study="whole")
    storage = f"sqlite:///{folder}/study.db"  # another storage, in parts
    for trials in (12, 24, 36):
        parts = run_search(
            plan, folder / "out", Workers(count=1), trials=trials, storage=storage, study="parts"
        )
    names = swept.plan.axis_names
    assert settings(parts.rows, names) == settings(whole.rows, names)


def test_constraints_and_where_hold_on_the_front(folder: Path, swept: SweepResult) -> None:
    text = GRID + "where: [mac_array.lanes * mac_array.macs_per_lane >= 4]\n"
    text += "constraints: [bits >= 8, area_k_gates < 140]\n"
    plan = written(folder, text.replace("trials: 60", "trials: 150"), "limited.yaml")
    true = run_sweep(plan, folder / "out", Workers(count=1))
    assert true.front
    found = run_search(plan, folder / "out", Workers(count=1), study="limited")
    assert values(found) == values(true)
    for row in found.front:
        assert row["bits"] == 8
        assert float(str(row["area_k_gates"])) < 140
    assert any(row["feasible"] is False for row in true.rows)


def test_two_clients_share_a_storage(folder: Path, swept: SweepResult) -> None:
    plan, storage = written(folder, GRID, "grid.yaml"), str(folder / "shared.journal")
    first = run_search(plan, folder / "one", Workers(count=1), trials=6, storage=storage)
    second = run_search(plan, folder / "two", Workers(count=1), trials=12, storage=storage)
    names = swept.plan.axis_names
    assert set(settings(first.rows, names)) < set(settings(second.rows, names))
    assert 6 <= len(second.rows) + 6 <= 18


def test_refusals(folder: Path, swept: SweepResult) -> None:
    plan = written(folder, GRID, "grid.yaml")
    done = azsim("search", plan, "-o", folder / "out", "--storage", folder / "none" / "x")
    assert done.code == 2
    assert done.err.startswith(f"azsim: --storage {folder}/none/x: cannot be used: ")
    assert done.err.count("\n") == 1
    other = written(folder, GRID.replace("area_k_gates: min", "area_k_gates: max"), "other.yaml")
    with pytest.raises(ConfigError, match=r"^--study azsim: must have the plan's 2 objectives, or"):
        run_search(other, folder / "out", Workers(count=1))
    with pytest.raises(ConfigError, match=r"^--trials: must be 1 or more, not 0$"):
        run_search(plan, folder / "out", trials=0)
    points = f"{MODEL}sampling: {{method: list}}\npoints: [{{bits: 4}}]\n"
    listed = written(folder, points, "list.yaml")
    done = azsim("search", listed, "-o", folder / "out")
    assert done.code == 2
    assert done.err.endswith(": axes: must be present: a search needs axes, not a list of points\n")
