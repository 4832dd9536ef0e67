"""The wheel: what it holds, and that azsim works from it alone, in another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("azsim-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel, and this one's packages behind it.

    `-m venv` gives an empty environment. Its dependencies come from this one by a path file, which
    is searched last, and through which no editable azsim can be found: path files found there are
    not followed.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, arguments: list[str], folder: Path) -> str:
    """Return what `python arguments` prints, run in `folder` without this checkout in sight."""
    hidden = ("PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment.update(COLUMNS="200", NO_COLOR="1", XDG_CACHE_HOME=str(folder / "cache"))
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_code_chips_examples_and_licence_and_nothing_else(
    wheel: Path, repository: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"azsim", "azsim_kernels"}
    for folder in ("hw_configs", "examples"):
        inside = {name for name in names if name.startswith(f"azsim/_data/{folder}/")}
        files = (path for path in (repository / folder).rglob("*") if path.is_file())
        wanted = {path.relative_to(repository) for path in files if "__pycache__" not in str(path)}
        missing = {f"azsim/_data/{path.as_posix()}" for path in wanted} - inside
        assert not missing
    assets = {f"azsim/report/html/assets/page.{kind}" for kind in ("html.j2", "css", "js")}
    assert assets <= names
    assert {"azsim/py.typed", "azsim_kernels/py.typed"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_azsim_comes_from_the_wheel_and_finds_its_chips(installed: Path, tmp_path: Path) -> None:
    program = (
        "import azsim, azsim_kernels, azsim.config as config\n"
        "print(azsim.__file__, azsim_kernels.__file__, config.__file__, sep='\\n')\n"
        "print(config.load_chip('az1').name, len(config.chip_names()))\n"
    )
    *files, chips = run(installed, ["-c", program], tmp_path).splitlines()
    inside = installed.parents[1]
    assert all(Path(file).is_relative_to(inside) for file in files), files
    name, count = chips.split()
    assert name == "az1"
    assert int(count) >= 3


def test_the_command_lists_the_chips(installed: Path, tmp_path: Path) -> None:
    for start in (["-m", "azsim"], [str(installed.with_name("azsim"))]):
        output = run(installed, [*start, "chips"], tmp_path)
        assert "az1" in output
        assert "assumed" in output


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    output = run(installed, ["-m", "azsim", "demo", "--frames", "3"], tmp_path)
    assert "bit-exact 3/3" in output
    assert (tmp_path / "runs" / "demo" / "summary.json").is_file()
