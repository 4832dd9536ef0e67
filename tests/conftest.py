"""Shared by all test folders: command line options, hypothesis profiles, golden files, chips."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from azsim.config import ChipConfig, load_chip

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn to files; no display is needed

REPOSITORY = Path(__file__).resolve().parents[1]

# No deadline: the first example of a kernel also pays for its compilation. `fixed` (the default) is
# the same examples in every run; `AZSIM_HYPOTHESIS=search` looks for new ones, longer.
settings.register_profile(
    "fixed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("AZSIM_HYPOTHESIS", "fixed"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`: write golden files instead of comparing with them."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the files of tests/golden anew; say in the commit why they changed",
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def az1() -> ChipConfig:
    """The chip az1 as shipped."""
    return load_chip("az1")


@pytest.fixture(scope="session")
def tiny() -> ChipConfig:
    """The chip tiny as shipped."""
    return load_chip("tiny")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """A function (name, text) that compares `text` with tests/golden/NAME, or writes it there."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(name: str, text: str) -> None:
        path = REPOSITORY / "tests" / "golden" / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.is_file():
            pytest.fail(f"tests/golden/{name}: must exist; make it with --update-golden")
        expected = path.read_text(encoding="utf-8")
        if text != expected:
            lines = difflib.unified_diff(
                expected.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm=""
            )
            pytest.fail("\n".join(lines), pytrace=False)

    return compare
